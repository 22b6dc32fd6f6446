// The operations of whole networks, written once on vectors of LANES floats; the build compiles this file for each
// instruction set, with SMIDGEN_LAYERS as the name of its table. Nothing but the table may leave this file: a template
// of the standard library compiled here could stand in for the same one elsewhere, on a processor without these
// instructions.

#include "network.hpp"
#include "vectors.hpp"

#include <cstring>

namespace smidgen {
namespace {

// ---- What happens to sums -----------------------------------------------------------------------------

template <int64_t COUNT>
[[gnu::always_inline]] inline void activate(int32_t kind, Vector* values) {
  switch (kind) {
    case SMIDGEN_RELU: return each<COUNT>([&](auto i) { values[i] = at_least(values[i], 0.0f); });
    case SMIDGEN_RELU6: return each<COUNT>([&](auto i) { values[i] = at_most(at_least(values[i], 0.0f), 6.0f); });
    case SMIDGEN_SILU: return each<COUNT>([&](auto i) { values[i] = silu(values[i]); });
    case SMIDGEN_SIGMOID: return each<COUNT>([&](auto i) { values[i] = sigmoid(values[i]); });
    default: return;
  }
}

// ---- Convolution: products of small matrices ----------------------------------------------------------

// Neighbouring numbers of the input, counted from the place of an output pixel.
struct Segment {
  int64_t at, count;
};

// Some of the segments, one after the other: their weights stay in the nearest cache while all pixels pass by.
struct Stretch {
  const Segment *first, *last;
  int64_t depth;      // of its weights in the panel
  bool begins, ends;  // whether sums start here, and whether they are done
};

constexpr int64_t TALL = 2 * ROWS < 12 ? 2 * ROWS : 12;  // rows of a tile of one vector's width

// What is left to do for the columns of one panel.
struct Finish {
  const float* bias;
  const float* add;
  int64_t add_step;
  float* y;
  int64_t y_step, columns;
  int32_t activation, then;
};

template <int64_t WIDTH>
inline void finish_row(const Finish& f, int64_t pixel, Vector* sums) {
  activate<WIDTH>(f.activation, sums);
  float* const y = f.y + pixel * f.y_step;
  const float* const add = f.add ? f.add + pixel * f.add_step : nullptr;
  if (f.columns == WIDTH * LANES) {
    if (add)
      for (int64_t v = 0; v < WIDTH; ++v) sums[v] += load(add + v * LANES);
    activate<WIDTH>(f.then, sums);
    for (int64_t v = 0; v < WIDTH; ++v) store(y + v * LANES, sums[v]);
    return;
  }
  for (int64_t v = 0; v < WIDTH; ++v) {
    const int64_t count = clamped(f.columns - v * LANES, 0, LANES);
    if (add) sums[v] += load(add + v * LANES, count);
    activate<1>(f.then, sums + v);
    store(y + v * LANES, sums[v], count);
  }
}

template <int64_t WIDTH>
inline void start(const Finish& f, Vector* sums) {
  for (int64_t v = 0; v < WIDTH; ++v)
    sums[v] = f.bias ? load(f.bias + v * LANES, clamped(f.columns - v * LANES, 0, LANES)) : Vector{};
}

// The rows of a tile that is not as plain as most, from where its sums were put.
template <int64_t WIDTH>
[[gnu::noinline]] void finish_rows(const Finish& finish, const float* sums, int64_t height, const int64_t* to) {
  for (int64_t i = 0; i < height; ++i, sums += WIDTH * LANES) {
    Vector row[WIDTH];
    for (int64_t v = 0; v < WIDTH; ++v) row[v] = load(sums + v * LANES);
    finish_row<WIDTH>(finish, to[i], row);
  }
}

// HEIGHT pixels against `panels` neighbouring panels of WIDTH vectors of outputs, `step` floats apart. a[i]: what pixel
// i reads; to[i]: which pixel of the output it is; partial: sums between stretches, of one panel only.
template <int64_t HEIGHT, int64_t WIDTH>
void tile(const Stretch& stretch, const float* const* a, const float* packed, int64_t step, int64_t panels,
          const Finish& finish, const int64_t* to, float* partial) {
  const float* rows[HEIGHT];
  each<HEIGHT>([&](auto i) { rows[i] = a[i]; });
  const int64_t whole = stretch.ends && !finish.then ? finish.columns / (WIDTH * LANES) : 0;
  for (int64_t number = 0; number < panels; ++number, packed += step) {
    const int64_t column = number * WIDTH * LANES;
    Vector sums[HEIGHT * WIDTH];
    const bool plain = number < whole;
    if (!stretch.begins) {
      each<HEIGHT * WIDTH>([&](auto i) { sums[i] = load(partial + i * LANES); });
    } else if (finish.bias) {
      each<WIDTH>([&](auto v) { sums[v] = load(finish.bias + column + v * LANES); });
      each<(HEIGHT - 1) * WIDTH>([&](auto i) { sums[i + WIDTH] = sums[i % WIDTH]; });
    } else {
      each<HEIGHT * WIDTH>([&](auto i) { sums[i] = Vector{}; });
    }
    float* const y = finish.y + column;
    if (plain)  // what is written must come near first, meanwhile
      each<HEIGHT>([&](auto i) { __builtin_prefetch(y + to[i] * finish.y_step, 1); });
    const float* panel = packed;
    for (const Segment* one = stretch.first; one < stretch.last; ++one)
#pragma GCC unroll 4
      for (int64_t k = one->at, end = one->at + one->count; k < end; ++k, panel += WIDTH * LANES) {
        Vector weights[WIDTH];
        each<WIDTH>([&](auto v) { weights[v] = load(panel + v * LANES); });
        each<HEIGHT>([&](auto i) {
          const Vector value = broadcast(rows[i][k]);
          each<WIDTH>([&](auto v) { sums[i * WIDTH + v] += value * weights[v]; });
        });
      }
    if (plain) {
      activate<HEIGHT * WIDTH>(finish.activation, sums);
      if (finish.add)
        each<HEIGHT * WIDTH>([&](auto i) {
          sums[i] += load(finish.add + column + to[i / WIDTH] * finish.add_step + i % WIDTH * LANES);
        });
      each<HEIGHT * WIDTH>([&](auto i) { store(y + to[i / WIDTH] * finish.y_step + i % WIDTH * LANES, sums[i]); });
      continue;
    }
    each<HEIGHT * WIDTH>([&](auto i) { store(partial + i * LANES, sums[i]); });
    if (!stretch.ends) continue;
    Finish rest = finish;
    rest.columns -= column;
    rest.y += column;
    if (rest.add) rest.add += column;
    finish_rows<WIDTH>(rest, partial, HEIGHT, to);
  }
}

using Tile = void (*)(const Stretch&, const float* const*, const float*, int64_t, int64_t, const Finish&,
                      const int64_t*, float*);
template <int64_t HEIGHT>
constexpr Tile broad = tile<least(HEIGHT, ROWS), 2>;
template <int64_t HEIGHT>
constexpr Tile tall = tile<least(HEIGHT, TALL), 1>;
// Constants: nothing in this file may run before the processor is known to have its instructions.
constexpr Tile tiles[2][13] = {
    {nullptr, tall<1>, tall<2>, tall<3>, tall<4>, tall<5>, tall<6>, tall<7>, tall<8>, tall<9>, tall<10>, tall<11>,
     tall<12>},
    {nullptr, broad<1>, broad<2>, broad<3>, broad<4>, broad<5>, broad<6>, broad<7>, broad<8>, broad<9>, broad<10>,
     broad<11>, broad<12>},
};

// What pixels of one kind read, cut into stretches.
struct Reading {
  static constexpr int64_t most_segments = 1024, near = 256;  // numbers for which a panel stays in the first cache
  Segment segments[most_segments];
  Stretch stretches[most_segments];
  int64_t n_segments = 0, n_stretches = 0;

  void add(int64_t at, int64_t count) {
    for (; count > 0; at += near, count -= near) segments[n_segments++] = {at, least(near, count)};
  }
  void cut() {
    const Segment* const end = segments + n_segments;
    for (const Segment* one = segments; one < end;) {
      const Segment* const first = one;
      int64_t depth = 0;
      do depth += one++->count;
      while (one < end && depth + one->count <= near);
      stretches[n_stretches++] = {first, one, depth, first == segments, one == end};
    }
  }
};

bool is_narrow(int64_t columns) { return columns <= LANES; }

// All pixels of a block that read alike against `panels` panels, which lie one after the other.
void multiply(const Reading& reading, int64_t pixels, const float* const* a, const int64_t* to, const float* packed,
              int64_t depth, int64_t panels, const Finish& finish, float* partial) {
  const int64_t last = (panels - 1) * PANEL;  // the panels before the last one are broad
  const bool narrow = is_narrow(finish.columns - last);
  const int64_t broads = panels - narrow, number = ceil_div(pixels, broads ? ROWS : TALL);
  for (const Stretch* one = reading.stretches; one < reading.stretches + reading.n_stretches; ++one) {
    // Tiles of nearly equal height: a last one of a single row would take as long as a whole one.
    for (int64_t t = 0, at = 0; t < number; ++t) {
      const int64_t height = (pixels - at) / (number - t);
      if (broads) tiles[1][height](*one, a + at, packed, PANEL * depth, broads, finish, to + at, partial + at * PANEL);
      if (narrow) {
        Finish thin = finish;
        thin.columns -= last;
        thin.y += last;
        if (thin.add) thin.add += last;
        if (thin.bias) thin.bias += last;
        tiles[0][height](*one, a + at, packed + last * depth, 0, 1, thin, to + at, partial + at * PANEL);
      }
      at += height;
    }
    packed += one->depth * (broads ? PANEL : LANES);
  }
}

// One pixel against GROUP neighbouring panels: alone, a panel would keep the units waiting for its own sums.
template <int64_t GROUP>
void row(const Reading& reading, const float* a, const float* panels, int64_t depth,
         Vector (*sums)[2]) {
  Vector mine[GROUP][2];
  for (int64_t g = 0; g < GROUP; ++g)
    for (int64_t v = 0; v < 2; ++v) mine[g][v] = sums[g][v];
  int64_t done = 0;
  for (const Segment* one = reading.segments; one < reading.segments + reading.n_segments; ++one)
    for (int64_t k = one->at; k < one->at + one->count; ++k, ++done) {
      const Vector value = broadcast(a[k]);
#pragma GCC unroll 4
      for (int64_t g = 0; g < GROUP; ++g) {
        const float* const panel = panels + (g * depth + done) * PANEL;
        mine[g][0] += value * load(panel);
        mine[g][1] += value * load(panel + LANES);
      }
    }
  for (int64_t g = 0; g < GROUP; ++g)
    for (int64_t v = 0; v < 2; ++v) sums[g][v] = mine[g][v];
}

// ---- Convolution: how it is cut -----------------------------------------------------------------------

struct Cut {
  int64_t depth, panels;
  bool gathers;          // what all pixels read is copied together first; else only what looks over the edge
  int64_t up, down, left, right;  // how far any channel looks
  bool scales_weights;   // the gate goes into the weights, and not into what is copied together
  int64_t pixels;        // of a block: whole rows where the kernel is larger than 1
  int64_t blocks, groups;
  int64_t width, height;  // of the rows that are copied together, kernel larger than 1
  // Floats of scratch for what is copied together, for two addresses a pixel, and for scaled weights.
  int64_t gathered, addresses, scaled;
};

bool is_padded(const smidgen_op& op) {
  const int64_t reach = (op.kernel - 1) * op.dilation + 1;
  return op.top > 0 || op.left > 0 || (op.y.h - 1) * op.stride + reach > op.x.h + op.top ||
         (op.y.w - 1) * op.stride + reach > op.x.w + op.left;
}

Cut cut(const smidgen_op& op) {
  Cut c = {};
  const int64_t plane = op.y.h * op.y.w, channels = op.x.c;
  c.depth = op.kernel * op.kernel * channels;
  c.panels = ceil_div(op.y.c, PANEL);
  const bool gated = op.gate.space != SMIDGEN_NOWHERE;
  for (const int64_t* run = op.runs; run < op.runs + 3 * op.n_runs; run += 3) {
    c.up = most(c.up, -run[1]);
    c.down = most(c.down, run[1]);
    c.left = most(c.left, -run[2]);
    c.right = most(c.right, run[2]);
  }
  c.gathers = op.n_runs > 255 || op.scale || op.before || op.x.channel != 1 || (op.kernel > 1 && is_padded(op));
  if (op.kernel == 1) {
    constexpr int64_t near = 48 * 1024, fewest = 4 * ROWS, most_pixels = 240;
    const int64_t fitting = clamped(near / most(1, channels + op.y.c), fewest, most_pixels);
    c.blocks = ceil_div(plane, fitting);
    c.pixels = up(ceil_div(plane, c.blocks), ROWS);
    c.scales_weights = gated && !c.gathers;
    c.gathered = c.gathers || op.runs ? c.pixels * channels : 0;
  } else {
    constexpr int64_t near = 24 * 1024;
    const int64_t reach = (op.kernel - 1) * op.dilation + 1;
    c.width = (op.y.w - 1) * op.stride + reach;
    const int64_t line = c.width * channels;
    const int64_t rows = clamped((near / most(1, line) - reach) / op.stride + 1, 1, most(1, 480 / op.y.w));
    const int64_t whole = ceil_div(op.y.h, ceil_div(op.y.h, rows));
    c.height = (whole - 1) * op.stride + reach;
    c.pixels = whole * op.y.w;
    c.gathered = c.gathers ? c.height * line : 0;
  }
  c.blocks = ceil_div(plane, c.pixels);
  constexpr int64_t enough = 8, worthwhile = 64 * 1024;
  const int64_t parts = clamped(plane * c.depth * op.y.c / worthwhile, 1, enough);
  c.groups = clamped(ceil_div(parts, c.blocks), 1, c.panels);
  c.gathered = up(c.gathered, 16);
  c.addresses = up(4 * c.pixels, 16);
  c.scaled = c.scales_weights ? c.depth * PANEL : 0;
  return c;
}

int64_t packed_floats(int64_t columns, int64_t depth) {
  const int64_t rest = columns % PANEL;
  return (columns / PANEL * PANEL + (rest == 0 ? 0 : is_narrow(rest) ? LANES : PANEL)) * depth;
}

void pack(const float* matrix, int64_t columns, int64_t depth, float* panels) {
  for (int64_t first = 0; first < columns; first += PANEL) {
    const int64_t width = is_narrow(columns - first) ? LANES : PANEL;
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t j = first; j < first + width; ++j) *panels++ = j < columns ? matrix[j * depth + k] : 0.0f;
  }
}

// ---- Convolution: what the pixels read ----------------------------------------------------------------

// Up to 15 floats past a multiple of LANES are copied by two vectors that overlap, where there is room for one.
void copy(float* to, const float* from, int64_t count) {
  typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));
  if (count >= LANES) {
    const Vector last = load(from + count - LANES);
    for (int64_t i = 0; i < count - LANES; i += LANES) store(to + i, load(from + i));
    store(to + count - LANES, last);
  } else if (count >= 4) {
    const Four last = *reinterpret_cast<const Four*>(from + count - 4);
    for (int64_t i = 0; i < count - 4; i += 4)
      *reinterpret_cast<Four*>(to + i) = *reinterpret_cast<const Four*>(from + i);
    *reinterpret_cast<Four*>(to + count - 4) = last;
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
  }
}
void clear(float* to, int64_t count) { std::memset(to, 0, static_cast<size_t>(count) * sizeof(float)); }

// Channels of one pixel, wherever they lie.
inline void copy_pixel(float* to, const float* from, int64_t count, int64_t step) {
  if (step == 1) return copy(to, from, count);
  for (int64_t c = 0; c < count; ++c) to[c] = from[c * step];
}

// The channels of one pixel of the shifted map.
inline void shifted_pixel(const smidgen_op& op, const float* x, int64_t h, int64_t w, float* to) {
  if (!op.runs) return copy_pixel(to, x + (h * op.x.w + w) * op.x.pixel, op.x.c, op.x.channel);
  int64_t channel = 0;
  for (const int64_t* run = op.runs; run < op.runs + 3 * op.n_runs; channel += run[0], run += 3) {
    const int64_t y = h + run[1], z = w + run[2];
    const bool inside = y >= 0 && y < op.x.h && z >= 0 && z < op.x.w;
    if (inside)
      copy_pixel(to + channel, x + (y * op.x.w + z) * op.x.pixel + channel * op.x.channel, run[0], op.x.channel);
    else
      clear(to + channel, run[0]);
  }
}

// before(x) * gate, in place, for all channels of one pixel. Each may be missing.
inline void prepare(const smidgen_op& op, const float* gate, float* x) {
  for (int64_t c = 0; c < op.x.c; c += LANES) {
    const int64_t count = least(LANES, op.x.c - c);
    Vector value = load(x + c, count);
    if (op.scale) value = value * load(op.scale + c, count) + load(op.offset + c, count);
    activate<1>(op.before, &value);
    if (gate) value *= load(gate + c, count);
    store(x + c, value, count);
  }
}

void gather_pixel(const smidgen_op& op, const Cut& c, const Places& places, int64_t h, int64_t w, float* to) {
  const float* const gate = c.scales_weights ? nullptr : places.gate;
  shifted_pixel(op, places.x, h, w, to);
  if (op.scale || op.before || gate) prepare(op, gate, to);
}

// Rows of the input with the padding around them.
void gather_rows(const smidgen_op& op, const Cut& c, const float* x, int64_t first_row, int64_t rows, float* to) {
  const int64_t channels = op.x.c, line = op.x.w * op.x.pixel;
  const int64_t left = least(op.left, c.width), inside = clamped(op.x.w, 0, c.width - left);
  const bool dense = op.x.channel == 1 && op.x.pixel == channels;
  for (int64_t h = first_row; h < first_row + rows; ++h, to += c.width * channels) {
    if (h < 0 || h >= op.x.h) {
      clear(to, c.width * channels);
      continue;
    }
    clear(to, left * channels);
    float* middle = to + left * channels;
    const float* from = x + h * line;
    if (dense) {
      copy(middle, from, inside * channels);
    } else {
      for (int64_t w = 0; w < inside; ++w)
        copy_pixel(middle + w * channels, from + w * op.x.pixel, channels, op.x.channel);
    }
    clear(middle + inside * channels, (c.width - left - inside) * channels);
  }
}

// ---- Convolution --------------------------------------------------------------------------------------

// Sums of one pixel over neighbouring panels.
void convolve_one(const smidgen_op& op, const Cut& c, const Reading& reading, const float* a, int64_t first_panel,
                  int64_t last_panel, const Finish& whole) {
  for (int64_t panel = first_panel, group; panel < last_panel; panel += group) {
    group = 0;  // panels of full width
    while (group < 4 && panel + group < last_panel && !is_narrow(op.y.c - (panel + group) * PANEL)) ++group;
    Vector sums[4][2];
    auto finish_of = [&](int64_t g) {
      Finish one = whole;
      const int64_t column = (panel + g) * PANEL;
      one.columns = least(PANEL, op.y.c - column);
      one.bias = op.bias ? op.bias + column : nullptr;
      one.y += column;
      if (one.add) one.add += column;
      return one;
    };
    const float* const packed = op.weight + panel * PANEL * c.depth;
    if (group == 0) {
      const int64_t here = 0;
      float partial[PANEL];
      multiply(reading, 1, &a, &here, packed, c.depth, 1, finish_of(0), partial);
      group = 1;
      continue;
    }
    for (int64_t g = 0; g < group; ++g) start<2>(finish_of(g), sums[g]);
    switch (group) {
      case 1: row<1>(reading, a, packed, c.depth, sums); break;
      case 2: row<2>(reading, a, packed, c.depth, sums); break;
      case 3: row<3>(reading, a, packed, c.depth, sums); break;
      default: row<4>(reading, a, packed, c.depth, sums); break;
    }
    for (int64_t g = 0; g < group; ++g) finish_row<2>(finish_of(g), 0, sums[g]);
  }
}

// The pixels of a block: first those that read where the input lies, or a copy of its rows, and then those for which
// what they read is copied together.
struct Block {
  const float** rows;
  int64_t* to;
  int64_t near, all;  // how many of the first kind, and of both
  Reading reading, together;
};

void read_pixels(const smidgen_op& op, const Cut& c, const Places& places, int64_t first, int64_t pixels,
                 float* gathered, Block& block) {
  block.together.add(0, op.x.c);
  int64_t near = 0, far = pixels;  // the second kind is filled from the end
  if (!c.gathers && op.runs) {
    int64_t channel = 0;
    for (const int64_t* run = op.runs; run < op.runs + 3 * op.n_runs; channel += run[0], run += 3)
      block.reading.add((run[1] * op.x.w + run[2]) * op.x.pixel + channel, run[0]);
  } else {
    block.reading.add(0, op.x.c);
  }
  for (int64_t i = 0, h = first / op.y.w, w = first % op.y.w; i < pixels; ++i) {
    const int64_t y = h * op.stride, x = w * op.stride;
    const bool reads = !c.gathers && y >= c.up && y < op.x.h - c.down && x >= c.left && x < op.x.w - c.right;
    const int64_t number = reads ? near++ : --far;
    block.to[number] = i;
    if (reads) {
      block.rows[number] = places.x + (y * op.x.w + x) * op.x.pixel;
    } else {
      block.rows[number] = gathered;
      gather_pixel(op, c, places, y, x, gathered);
      gathered += op.x.c;
    }
    if (++w == op.y.w) w = 0, ++h;
  }
  block.near = near;
  block.all = pixels;
}

void read_rows(const smidgen_op& op, const Cut& c, const Places& places, int64_t first, int64_t pixels,
               float* gathered, Block& block) {
  const int64_t row = first / op.y.w, count = pixels / op.y.w, reach = (op.kernel - 1) * op.dilation + 1;
  int64_t pixel = op.x.pixel, line = op.x.w * op.x.pixel;
  const float* start = places.x + row * op.stride * line;
  if (c.gathers) {
    pixel = op.x.c;
    line = c.width * op.x.c;
    start = gathered;
    gather_rows(op, c, places.x, row * op.stride - op.top, (count - 1) * op.stride + reach, gathered);
  }
  for (int64_t i = 0, h = 0, w = 0; i < pixels; ++i) {
    block.rows[i] = start + h * op.stride * line + w * op.stride * pixel;
    block.to[i] = i;
    if (++w == op.y.w) w = 0, ++h;
  }
  const bool dense = op.dilation == 1 && pixel == op.x.c;
  for (int64_t h = 0; h < op.kernel; ++h)
    for (int64_t w = 0; w < (dense ? 1 : op.kernel); ++w)
      block.reading.add(op.dilation * (h * line + w * pixel), dense ? op.kernel * op.x.c : op.x.c);
  block.near = block.all = pixels;
}

void convolve(const smidgen_op& op, const Places& places, int64_t part, float* scratch) {
  const Cut c = cut(op);
  const int64_t number = part / c.groups, group = part % c.groups, plane = op.y.h * op.y.w;
  const int64_t first = number * c.pixels, pixels = least(first + c.pixels, plane) - first;
  Block block;
  block.rows = reinterpret_cast<const float**>(scratch + c.gathered);
  block.to = reinterpret_cast<int64_t*>(scratch + c.gathered) + c.pixels;
  float* const partial = scratch + c.gathered + c.addresses;
  float* const scaled = partial + c.pixels * PANEL;
  if (op.kernel == 1)
    read_pixels(op, c, places, first, pixels, scratch, block);
  else
    read_rows(op, c, places, first, pixels, scratch, block);
  block.reading.cut();
  block.together.cut();

  Finish finish = {};
  finish.add = places.add ? places.add + first * op.add.pixel : nullptr;
  finish.add_step = op.add.pixel;
  finish.y = places.y + first * op.y.pixel;
  finish.y_step = op.y.pixel;
  finish.activation = op.activation;
  finish.then = op.then;
  const int64_t first_panel = c.panels * group / c.groups, last_panel = c.panels * (group + 1) / c.groups;
  if (pixels == 1 && !c.scales_weights)
    return convolve_one(op, c, block.near ? block.reading : block.together, block.rows[0], first_panel, last_panel,
                        finish);
  finish.y += first_panel * PANEL;
  if (finish.add) finish.add += first_panel * PANEL;
  // As many panels at a time as stay in the first cache: then a pixel's outputs are written side by side. A depth of
  // several stretches goes panel by panel, since their sums wait in `partial`.
  const int64_t together = block.reading.n_stretches > 1 || c.scales_weights ? 1 : most(1, 3072 / c.depth / PANEL);
  for (int64_t panel = first_panel, panels; panel < last_panel; panel += panels) {
    const float* packed = op.weight + panel * PANEL * c.depth;
    panels = least(together, last_panel - panel);
    finish.columns = op.y.c - panel * PANEL;
    finish.bias = op.bias ? op.bias + panel * PANEL : nullptr;
    if (c.scales_weights) {
      const int64_t width = is_narrow(finish.columns) ? LANES : PANEL;
      for (int64_t k = 0; k < c.depth; ++k) {
        const Vector factor = broadcast(places.gate[k]);
        for (int64_t j = 0; j < width; j += LANES)
          store(scaled + k * width + j, load(packed + k * width + j) * factor);
      }
      packed = scaled;
    }
    const int64_t far = block.all - block.near;
    if (block.near)
      multiply(block.reading, block.near, block.rows, block.to, packed, c.depth, panels, finish, partial);
    if (far)
      multiply(block.together, far, block.rows + block.near, block.to + block.near, packed, c.depth, panels, finish,
               partial);
    finish.y += panels * PANEL;
    if (finish.add) finish.add += panels * PANEL;
  }
}

// ---- Depthwise convolution ----------------------------------------------------------------------------

// The same, where the code would grow too much.
[[gnu::noinline]] void activate_all(int32_t kind, Vector* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i) activate<1>(kind, values + i);
}

// Channels from `c` on of one output pixel; any kernel. h, w: where its window begins.
void depthwise_pixel(const smidgen_op& op, const float* x, int64_t h, int64_t w, int64_t c, float* y, float* sums) {
  for (; c < op.x.c; c += LANES) {
    const int64_t count = least(LANES, op.x.c - c);
    Vector sum = op.bias ? load(op.bias + c, count) : Vector{};
    for (int64_t i = 0; i < op.kernel; ++i) {
      const int64_t row = h + i * op.dilation;
      if (row < 0 || row >= op.x.h) continue;
      for (int64_t j = 0; j < op.kernel; ++j) {
        const int64_t column = w + j * op.dilation;
        if (column < 0 || column >= op.x.w) continue;
        sum += load(x + (row * op.x.w + column) * op.x.pixel + c, count) *
               load(op.weight + (i * op.kernel + j) * op.x.c + c, count);
      }
    }
    activate<1>(op.activation, &sum);
    if (sums) store(sums + c, load(sums + c, count) + sum, count);
    store(y + c, sum, count);
  }
}

// GROUP neighbouring output pixels, channels in whole vectors. x: where the first window begins, or for each place of
// the windows, row by row, where it lies: padding is a row of zeros. The first `skipped` have been summed before.
// ahead: what the next row of outputs will be the first to read, or NULL.
template <int64_t KERNEL, int64_t STRIDE, int64_t GROUP, class Where>
void depthwise_group(const smidgen_op& op, Where x, float* y, float* sums, int64_t skipped, const float* ahead) {
  constexpr int64_t WIDTH = (GROUP - 1) * STRIDE + KERNEL;
  constexpr bool SCATTERED = !__is_same(Where, const float*);
  const int64_t pixel = op.x.pixel, line = op.x.w * pixel, channels = op.x.c, y_pixel = op.y.pixel;
  const int32_t activation = op.activation;
  const float* const bias = op.bias;
  for (int64_t c = 0; c + LANES <= channels; c += LANES) {
    Vector all[GROUP];
    const Vector start = bias ? load(bias + c) : Vector{};
    each<GROUP>([&](auto g) { all[g] = start; });
    const float* weight = op.weight + c;
    for (int64_t i = 0; i < KERNEL; ++i, weight += KERNEL * channels) {
      Vector weights[KERNEL];
      each<KERNEL>([&](auto j) { weights[j] = load(weight + j * channels); });
      const float* from = nullptr;
      if constexpr (!SCATTERED) from = x + i * line + c;
      each<WIDTH>([&](auto at) {
        Vector value;
        if constexpr (SCATTERED) {
          value = load(x[i * WIDTH + at] + c);
        } else {
          value = load(from);
          from += pixel;
        }
        each<GROUP>([&](auto g) {
          constexpr int64_t j = decltype(at)::value - decltype(g)::value * STRIDE;
          if constexpr (j >= 0 && j < KERNEL) all[g] += value * weights[j];
        });
      });
    }
    if (ahead && c % 16 == 0)
      for (int64_t i = 0; i < STRIDE; ++i)
        for (int64_t g = 0; g < GROUP * STRIDE; ++g) __builtin_prefetch(ahead + i * line + g * pixel + c, 0, 2);
    if (activation) activate_all(activation, all, GROUP);
    if (sums) {
      Vector sum = load(sums + c);
      for (int64_t g = skipped; g < GROUP; ++g) sum += all[g];
      store(sums + c, sum);
    }
    float* to = y + c;
    for (int64_t g = 0; g < GROUP; ++g, to += y_pixel) store(to, all[g]);
  }
}

// A row of outputs in groups; where the last one would not be full, it begins earlier and does some again.
template <int64_t KERNEL, int64_t STRIDE, int64_t GROUP>
void depthwise_row(const smidgen_op& op, const float* x, int64_t h, float* y, float* sums, const float* zeros) {
  constexpr int64_t WIDTH = (GROUP - 1) * STRIDE + KERNEL;
  const bool rows_inside = h >= 0 && h + KERNEL <= op.x.h;
  for (int64_t next = 0; next < op.y.w; next += GROUP) {
    const int64_t first = least(next, op.y.w - GROUP), w = first * STRIDE - op.left;
    float* const to = y + first * op.y.pixel;
    const int64_t new_row = h + KERNEL;
    const float* const ahead =
        new_row + STRIDE <= op.x.h && w + (GROUP - 1) * STRIDE < op.x.w ? x + (new_row * op.x.w + most(0, w)) * op.x.pixel : nullptr;
    if (rows_inside && w >= 0 && w + WIDTH <= op.x.w) {
      depthwise_group<KERNEL, STRIDE, GROUP>(op, x + (h * op.x.w + w) * op.x.pixel, to, sums, next - first, ahead);
      continue;
    }
    const float* table[KERNEL * WIDTH];
    for (int64_t i = 0; i < KERNEL; ++i)
      for (int64_t j = 0; j < WIDTH; ++j) {
        const bool inside = h + i >= 0 && h + i < op.x.h && w + j >= 0 && w + j < op.x.w;
        table[i * WIDTH + j] = inside ? x + ((h + i) * op.x.w + w + j) * op.x.pixel : zeros;
      }
    depthwise_group<KERNEL, STRIDE, GROUP>(op, static_cast<const float* const*>(table), to, sums, next - first, ahead);
  }
}

using Row = void (*)(const smidgen_op&, const float*, int64_t, float*, float*, const float*);
template <int64_t KERNEL, int64_t STRIDE>
constexpr Row row_of(int64_t width) {
  return width >= 7 ? depthwise_row<KERNEL, STRIDE, 7>
                    : width >= 4 ? depthwise_row<KERNEL, STRIDE, 4> : depthwise_row<KERNEL, STRIDE, 1>;
}
Row row_of(const smidgen_op& op) {
  if (op.dilation != 1) return nullptr;
  if (op.kernel == 3 && op.stride == 1) return row_of<3, 1>(op.y.w);
  if (op.kernel == 3 && op.stride == 2) return row_of<3, 2>(op.y.w);
  if (op.kernel == 5 && op.stride == 1) return row_of<5, 1>(op.y.w);
  if (op.kernel == 5 && op.stride == 2) return row_of<5, 2>(op.y.w);
  return nullptr;
}

void depthwise(const smidgen_op& op, const Places& places, int64_t part, int64_t parts, float* zeros) {
  float* const sums = places.sums ? places.sums + part * op.sums.pixel : nullptr;
  if (sums) clear(sums, op.x.c);
  clear(zeros, op.x.c);
  const Row row = row_of(op);
  const int64_t vectors = row ? op.x.c / LANES * LANES : 0;  // the channels that it does
  for (int64_t number = op.y.h * part / parts; number < op.y.h * (part + 1) / parts; ++number) {
    const int64_t h = number * op.stride - op.top;
    float* const y = places.y + number * op.y.w * op.y.pixel;
    if (vectors) row(op, places.x, h, y, sums, zeros);
    if (vectors == op.x.c) continue;
    for (int64_t w = 0; w < op.y.w; ++w)
      depthwise_pixel(op, places.x, h, w * op.stride - op.left, vectors, y + w * op.y.pixel, sums);
  }
}

// ---- The others ---------------------------------------------------------------------------------------

inline Vector larger(Vector value, Vector most_so_far) {  // not a number is the largest
  const Integers chosen = (value > most_so_far) | (value != value);
  return chosen ? value : most_so_far;
}

void pool(const smidgen_op& op, const Places& places, int64_t part, int64_t parts) {
  const int64_t line = op.x.w * op.x.pixel;
  for (int64_t row = op.y.h * part / parts; row < op.y.h * (part + 1) / parts; ++row)
    for (int64_t column = 0; column < op.y.w; ++column) {
      const int64_t top = row * op.stride - op.top, left = column * op.stride - op.left;
      const int64_t h0 = most(0, top), h1 = least(op.x.h, top + op.kernel);
      const int64_t w0 = most(0, left), w1 = least(op.x.w, left + op.kernel);
      int64_t counted = (h1 - h0) * (w1 - w0);
      if (op.pool == SMIDGEN_AVERAGE)
        counted = (least(op.x.h + op.padding, top + op.kernel) - top) *
                  (least(op.x.w + op.padding, left + op.kernel) - left);
      const float share = 1.0f / static_cast<float>(counted);
      float* const y = places.y + (row * op.y.w + column) * op.y.pixel;
      for (int64_t c = 0; c < op.x.c; c += LANES) {
        const int64_t count = least(LANES, op.x.c - c);
        if (op.pool == SMIDGEN_MAX) {
          Vector value = broadcast(-__builtin_inff());
          for (int64_t h = h0; h < h1; ++h)
            for (int64_t w = w0; w < w1; ++w)
              value = larger(load(places.x + h * line + w * op.x.pixel + c, count), value);
          store(y + c, value, count);
        } else {
          Vector value = {};
          for (int64_t h = h0; h < h1; ++h)
            for (int64_t w = w0; w < w1; ++w) value += load(places.x + h * line + w * op.x.pixel + c, count);
          store(y + c, value * share, count);
        }
      }
    }
}

void mean(const smidgen_op& op, const Places& places, int64_t part, int64_t parts) {
  const int64_t vectors = ceil_div(op.x.c, LANES), pixels = op.x.h * op.x.w;
  for (int64_t v = vectors * part / parts; v < vectors * (part + 1) / parts; ++v) {
    const int64_t c = v * LANES, count = least(LANES, op.x.c - c);
    Vector sums[4] = {};
    const float* x = places.x + c;
    int64_t i = 0;
    for (; i + 4 <= pixels; i += 4)
      for (int64_t j = 0; j < 4; ++j, x += op.x.pixel) sums[j] += load(x, count);
    for (; i < pixels; ++i, x += op.x.pixel) sums[0] += load(x, count);
    store(places.y + c, ((sums[0] + sums[1]) + (sums[2] + sums[3])) * op.factor, count);
  }
}

void pointwise(const smidgen_op& op, const Places& places, int64_t part, int64_t parts, float* scratch) {
  const int64_t pixels = op.y.h * op.y.w;
  const bool gathers = op.runs || op.x.channel != 1, everywhere = op.gate.h * op.gate.w > 1;
  const bool gates_only = places.gate && !op.scale && !op.before && !places.add && !op.then;
  for (int64_t pixel = pixels * part / parts; pixel < pixels * (part + 1) / parts; ++pixel) {
    const float* x = places.x + pixel * op.x.pixel;
    if (gathers) {
      shifted_pixel(op, places.x, pixel / op.y.w, pixel % op.y.w, scratch);
      x = scratch;
    }
    const float* const gate = places.gate ? places.gate + (everywhere ? pixel * op.gate.pixel : 0) : nullptr;
    const float* const add = places.add ? places.add + pixel * op.add.pixel : nullptr;
    float* const y = places.y + pixel * op.y.pixel;
    int64_t c = 0;
    if (gates_only)
      for (; c + LANES <= op.x.c; c += LANES) store(y + c, load(x + c) * load(gate + c));
    for (; c < op.x.c; c += LANES) {
      const int64_t count = least(LANES, op.x.c - c);
      Vector value = load(x + c, count);
      if (op.scale) value = value * load(op.scale + c, count) + load(op.offset + c, count);
      activate<1>(op.before, &value);
      if (gate) value *= load(gate + c, count);
      if (add) value += load(add + c, count);
      activate<1>(op.then, &value);
      store(y + c, value, count);
    }
  }
}

void transpose(const smidgen_op& op, const Places& places) {
  const int64_t pixels = op.x.h * op.x.w;
  for (int64_t c = 0; c < op.x.c; ++c)
    for (int64_t i = 0; i < pixels; ++i)
      places.y[c * pixels + i] = places.x[i * op.x.pixel + c * op.x.channel];
}

// ---- The table ----------------------------------------------------------------------------------------

int64_t parts(const smidgen_op& op) {
  constexpr int64_t enough = 8;
  const int64_t outputs = op.y.h * op.y.w * op.y.c;
  switch (op.kind) {
    case SMIDGEN_CONV: {
      const Cut c = cut(op);
      return c.blocks * c.groups;
    }
    case SMIDGEN_DEPTHWISE: return clamped(outputs * op.kernel * op.kernel / (64 * 1024), 1, least(enough, op.y.h));
    case SMIDGEN_POOL: return clamped(outputs * op.kernel * op.kernel / (64 * 1024), 1, least(enough, op.y.h));
    case SMIDGEN_MEAN:
      return clamped(op.x.h * op.x.w * op.x.c / (32 * 1024), 1, least(enough, ceil_div(op.x.c, LANES)));
    case SMIDGEN_POINTWISE: return clamped(outputs / (16 * 1024), 1, least(enough, op.y.h * op.y.w));
    default: return 1;
  }
}

int64_t scratch_floats(const smidgen_op& op) {
  if (op.kind == SMIDGEN_POINTWISE || op.kind == SMIDGEN_DEPTHWISE) return op.x.c;
  if (op.kind != SMIDGEN_CONV) return 0;
  const Cut c = cut(op);
  return c.gathered + c.addresses + c.pixels * PANEL + c.scaled;
}

void run(const smidgen_op& op, const Places& places, int64_t part, float* scratch) {
  switch (op.kind) {
    case SMIDGEN_CONV: return convolve(op, places, part, scratch);
    case SMIDGEN_DEPTHWISE: return depthwise(op, places, part, parts(op), scratch);
    case SMIDGEN_POOL: return pool(op, places, part, parts(op));
    case SMIDGEN_MEAN: return mean(op, places, part, parts(op));
    case SMIDGEN_POINTWISE: return pointwise(op, places, part, parts(op), scratch);
    default: return transpose(op, places);
  }
}

}  // namespace

extern const Layers SMIDGEN_LAYERS = {PANEL, packed_floats, pack, parts, scratch_floats, run};

}  // namespace smidgen
