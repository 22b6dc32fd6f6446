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
inline void activate(int32_t kind, Vector* values) {
  switch (kind) {
    case SMIDGEN_RELU:
      for (int64_t i = 0; i < COUNT; ++i) values[i] = at_least(values[i], 0.0f);
      return;
    case SMIDGEN_RELU6:
      for (int64_t i = 0; i < COUNT; ++i) values[i] = at_most(at_least(values[i], 0.0f), 6.0f);
      return;
    case SMIDGEN_SILU:
      for (int64_t i = 0; i < COUNT; ++i) values[i] *= sigmoid(values[i]);
      return;
    case SMIDGEN_SIGMOID:
      for (int64_t i = 0; i < COUNT; ++i) values[i] = sigmoid(values[i]);
      return;
    default: return;
  }
}

// ---- Convolution: products of small matrices ----------------------------------------------------------

// Neighbouring numbers of the input, counted from the place of an output pixel.
struct Segment {
  int64_t at, count;
};
constexpr int64_t most_segments = 31 * 31;

constexpr int64_t TALL = 2 * ROWS < 12 ? 2 * ROWS : 12;  // rows of a tile of one vector's width

// What is left to do for the columns of one panel, for rows that follow each other.
struct Finish {
  const float* bias;
  const float* add;
  int64_t add_step;
  float* y;
  int64_t y_step, columns;
  int32_t activation, then;
};

template <int64_t WIDTH>
inline void finish_row(const Finish& f, int64_t row, Vector* sums) {
  activate<WIDTH>(f.activation, sums);
  float* const y = f.y + row * f.y_step;
  const float* const add = f.add ? f.add + row * f.add_step : nullptr;
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

// HEIGHT pixels against one panel of WIDTH vectors of outputs; a[i]: what pixel i reads.
template <int64_t HEIGHT, int64_t WIDTH>
void tile(const Segment* segments, int64_t n_segments, const float* const* a, const float* panel, const Finish& finish,
          int64_t first) {
  Vector sums[HEIGHT][WIDTH];
  for (int64_t v = 0; v < WIDTH; ++v) {
    const Vector start =
        finish.bias ? load(finish.bias + v * LANES, clamped(finish.columns - v * LANES, 0, LANES)) : Vector{};
    for (int64_t i = 0; i < HEIGHT; ++i) sums[i][v] = start;
  }
  const float* rows[HEIGHT];
  for (int64_t i = 0; i < HEIGHT; ++i) rows[i] = a[i];
  for (const Segment* one = segments; one < segments + n_segments; ++one)
    for (int64_t k = one->at; k < one->at + one->count; ++k, panel += WIDTH * LANES) {
      Vector weights[WIDTH];
#pragma GCC unroll 4
      for (int64_t v = 0; v < WIDTH; ++v) weights[v] = load(panel + v * LANES);
#pragma GCC unroll 12
      for (int64_t i = 0; i < HEIGHT; ++i) {
        const Vector value = broadcast(rows[i][k]);
#pragma GCC unroll 4
        for (int64_t v = 0; v < WIDTH; ++v) sums[i][v] += value * weights[v];
      }
    }
#pragma GCC unroll 12
  for (int64_t i = 0; i < HEIGHT; ++i) finish_row<WIDTH>(finish, first + i, sums[i]);
}

using Tile = void (*)(const Segment*, int64_t, const float* const*, const float*, const Finish&, int64_t);
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

// One pixel against GROUP neighbouring panels: alone, a panel would keep the units waiting for its own sums.
template <int64_t GROUP>
void row(const Segment* segments, int64_t n_segments, const float* a, const float* panels, int64_t depth,
         Vector (*sums)[2]) {
  Vector mine[GROUP][2];
  for (int64_t g = 0; g < GROUP; ++g)
    for (int64_t v = 0; v < 2; ++v) mine[g][v] = sums[g][v];
  int64_t done = 0;
  for (const Segment* one = segments; one < segments + n_segments; ++one)
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

bool is_narrow(int64_t columns) { return columns <= LANES; }

struct Cut {
  int64_t depth, panels;
  bool gathers;          // what the pixels read is copied together first
  bool scales_weights;   // the gate goes into the weights, not into what the pixels read
  int64_t pixels;        // of a block: whole rows where the kernel is larger than 1
  int64_t blocks, groups;
  int64_t width, height;  // of the rows that are copied together, kernel larger than 1
  // Floats of scratch for what is copied together, for addresses of rows, and for scaled weights.
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
  c.gathers = op.runs || op.scale || op.before || op.x.channel != 1 || (op.kernel > 1 && is_padded(op));
  if (op.kernel == 1) {
    constexpr int64_t near = 48 * 1024, fewest = 4 * ROWS, most_pixels = 240;
    const int64_t fitting = clamped(near / most(1, channels + op.y.c), fewest, most_pixels);
    c.blocks = ceil_div(plane, fitting);
    c.pixels = up(ceil_div(plane, c.blocks), ROWS);
    c.scales_weights = gated && (c.gathers ? false : c.pixels >= op.y.c);
    if (gated && !c.scales_weights) c.gathers = true;
    c.gathered = c.gathers ? c.pixels * channels : 0;
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
  c.addresses = up(2 * c.pixels, 16);
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

void copy(float* to, const float* from, int64_t count) {
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) store(to + i, load(from + i));
  for (; i < count; ++i) to[i] = from[i];
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

void gather_pixels(const smidgen_op& op, const Cut& c, const Places& places, int64_t first, int64_t last, float* to) {
  const float* const gate = c.scales_weights ? nullptr : places.gate;
  const bool prepares = op.scale || op.before || gate;
  for (int64_t pixel = first; pixel < last; ++pixel, to += op.x.c) {
    shifted_pixel(op, places.x, pixel / op.y.w * op.stride, pixel % op.y.w * op.stride, to);
    if (prepares) prepare(op, gate, to);
  }
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

void convolve_one(const smidgen_op& op, const Cut& c, const Segment* segments, int64_t n_segments, const float* a,
                  int64_t first_panel, int64_t last_panel, Finish finish) {
  for (int64_t panel = first_panel; panel < last_panel;) {
    int64_t group = 0;  // panels of full width
    while (group < 4 && panel + group < last_panel && !is_narrow(op.y.c - (panel + group) * PANEL)) ++group;
    const float* const packed = op.weight + panel * PANEL * c.depth;
    finish.bias = op.bias ? op.bias + panel * PANEL : nullptr;
    if (group == 0) {
      finish.columns = op.y.c - panel * PANEL;
      Finish shifted = finish;
      shifted.y += panel * PANEL;
      if (shifted.add) shifted.add += panel * PANEL;
      tiles[0][1](segments, n_segments, &a, packed, shifted, 0);
      ++panel;
      continue;
    }
    Vector sums[4][2];
    for (int64_t g = 0; g < group; ++g)
      for (int64_t v = 0; v < 2; ++v) {
        const int64_t column = (panel + g) * PANEL + v * LANES;
        sums[g][v] = op.bias ? load(op.bias + column, clamped(op.y.c - column, 0, LANES)) : Vector{};
      }
    switch (group) {
      case 1: row<1>(segments, n_segments, a, packed, c.depth, sums); break;
      case 2: row<2>(segments, n_segments, a, packed, c.depth, sums); break;
      case 3: row<3>(segments, n_segments, a, packed, c.depth, sums); break;
      default: row<4>(segments, n_segments, a, packed, c.depth, sums); break;
    }
    for (int64_t g = 0; g < group; ++g) {
      Finish shifted = finish;
      shifted.columns = least(PANEL, op.y.c - (panel + g) * PANEL);
      shifted.y += (panel + g) * PANEL;
      if (shifted.add) shifted.add += (panel + g) * PANEL;
      finish_row<2>(shifted, 0, sums[g]);
    }
    panel += group;
  }
}

void convolve(const smidgen_op& op, const Places& places, int64_t part, float* scratch) {
  const Cut c = cut(op);
  const int64_t block = part / c.groups, group = part % c.groups, plane = op.y.h * op.y.w;
  const int64_t first = block * c.pixels, last = least(first + c.pixels, plane), pixels = last - first;
  float* const gathered = scratch;
  const float** const rows = reinterpret_cast<const float**>(scratch + c.gathered);
  float* const scaled = scratch + c.gathered + c.addresses;

  Segment segments[most_segments];
  int64_t n_segments = 0;
  if (op.kernel == 1) {
    segments[n_segments++] = {0, op.x.c};
    if (c.gathers) {
      gather_pixels(op, c, places, first, last, gathered);
      for (int64_t i = 0; i < pixels; ++i) rows[i] = gathered + i * op.x.c;
    } else {
      for (int64_t i = 0, h = first / op.y.w, w = first % op.y.w; i < pixels; ++i) {
        rows[i] = places.x + (h * op.x.w + w) * op.stride * op.x.pixel;
        if (++w == op.y.w) w = 0, ++h;
      }
    }
  } else {
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
      rows[i] = start + h * op.stride * line + w * op.stride * pixel;
      if (++w == op.y.w) w = 0, ++h;
    }
    const bool dense = op.dilation == 1 && pixel == op.x.c;
    for (int64_t h = 0; h < op.kernel; ++h)
      for (int64_t w = 0; w < (dense ? 1 : op.kernel); ++w)
        segments[n_segments++] = {op.dilation * (h * line + w * pixel), dense ? op.kernel * op.x.c : op.x.c};
  }

  Finish finish = {};
  finish.add = places.add ? places.add + first * op.add.pixel : nullptr;
  finish.add_step = op.add.pixel;
  finish.y = places.y + first * op.y.pixel;
  finish.y_step = op.y.pixel;
  finish.activation = op.activation;
  finish.then = op.then;
  const int64_t first_panel = c.panels * group / c.groups, last_panel = c.panels * (group + 1) / c.groups;
  if (pixels == 1 && !c.scales_weights)
    return convolve_one(op, c, segments, n_segments, rows[0], first_panel, last_panel, finish);
  finish.y += first_panel * PANEL;
  if (finish.add) finish.add += first_panel * PANEL;
  for (int64_t panel = first_panel; panel < last_panel; ++panel) {
    const int64_t columns = op.y.c - panel * PANEL;
    const bool narrow = is_narrow(columns);
    const float* packed = op.weight + panel * PANEL * c.depth;
    finish.columns = least(PANEL, columns);
    finish.bias = op.bias ? op.bias + panel * PANEL : nullptr;
    if (c.scales_weights) {
      const int64_t width = narrow ? LANES : PANEL;
      for (int64_t k = 0; k < c.depth; ++k) {
        const Vector factor = broadcast(places.gate[k]);
        for (int64_t j = 0; j < width; j += LANES)
          store(scaled + k * width + j, load(packed + k * width + j) * factor);
      }
      packed = scaled;
    }
    // Tiles of nearly equal height: a last one of a single row would take as long as a whole one.
    const int64_t number = ceil_div(pixels, narrow ? TALL : ROWS);
    for (int64_t t = 0, at = 0; t < number; ++t) {
      const int64_t height = (pixels - at) / (number - t);
      tiles[narrow ? 0 : 1][height](segments, n_segments, rows + at, packed, finish, at);
      at += height;
    }
    finish.y += PANEL;
    if (finish.add) finish.add += PANEL;
  }
}

// ---- Depthwise convolution ----------------------------------------------------------------------------

// Taps [first, last) of a window that lie inside, for the window that begins at `start`.
struct Taps {
  int64_t first, last;
};
inline Taps taps(const smidgen_op& op, int64_t start, int64_t size) {
  const int64_t first = start >= 0 ? 0 : ceil_div(-start, op.dilation);
  const int64_t last = start >= size ? 0 : ceil_div(size - start, op.dilation);
  return {least(first, op.kernel), clamped(last, first, op.kernel)};
}

// One output pixel from the taps that lie inside; any kernel.
void depthwise_pixel(const smidgen_op& op, const float* x, int64_t h, int64_t w, const Taps& rows, const Taps& columns,
                     float* y, float* sums) {
  const int64_t line = op.x.w * op.x.pixel;
  for (int64_t c = 0; c < op.x.c; c += LANES) {
    const int64_t count = least(LANES, op.x.c - c);
    Vector sum = op.bias ? load(op.bias + c, count) : Vector{};
    for (int64_t i = rows.first; i < rows.last; ++i) {
      const float* from = x + (h + i * op.dilation) * line + (w + columns.first * op.dilation) * op.x.pixel + c;
      const float* weight = op.weight + (i * op.kernel + columns.first) * op.x.c + c;
      for (int64_t j = columns.first; j < columns.last; ++j, from += op.dilation * op.x.pixel, weight += op.x.c)
        sum += load(from, count) * load(weight, count);
    }
    activate<1>(op.activation, &sum);
    if (sums) store(sums + c, load(sums + c, count) + sum, count);
    store(y + c, sum, count);
  }
}

// GROUP neighbouring output pixels whose every column lies inside.
template <int64_t KERNEL, int64_t STRIDE, int64_t GROUP>
void depthwise_group(const smidgen_op& op, const float* x, const Taps& rows, float* y, float* sums) {
  const int64_t pixel = op.x.pixel, line = op.x.w * pixel, channels = op.x.c;
  auto vector = [&](int64_t c, auto whole) {
    const int64_t count = whole ? LANES : channels - c;
    auto get = [&](const float* from) { return whole ? load(from) : load(from, count); };
    Vector all[GROUP];
    const Vector start = op.bias ? get(op.bias + c) : Vector{};
    for (int64_t g = 0; g < GROUP; ++g) all[g] = start;
    for (int64_t i = rows.first; i < rows.last; ++i) {
      const float* const from = x + i * line + c;
      const float* const weight = op.weight + i * KERNEL * channels + c;
      Vector weights[KERNEL];
#pragma GCC unroll 8
      for (int64_t j = 0; j < KERNEL; ++j) weights[j] = get(weight + j * channels);
#pragma GCC unroll 16
      for (int64_t at = 0; at < (GROUP - 1) * STRIDE + KERNEL; ++at) {
        const Vector value = get(from + at * pixel);
#pragma GCC unroll 8
        for (int64_t g = 0; g < GROUP; ++g) {
          const int64_t j = at - g * STRIDE;
          if (j >= 0 && j < KERNEL) all[g] += value * weights[j];
        }
      }
    }
    activate<GROUP>(op.activation, all);
    if (sums) {
      Vector sum = get(sums + c);
      for (int64_t g = 0; g < GROUP; ++g) sum += all[g];
      store(sums + c, sum, count);
    }
    for (int64_t g = 0; g < GROUP; ++g) store(y + g * op.y.pixel + c, all[g], count);
  };
  struct Whole {
    constexpr operator bool() const { return true; }
  };
  struct Rest {
    constexpr operator bool() const { return false; }
  };
  int64_t c = 0;
  for (; c + LANES <= channels; c += LANES) vector(c, Whole{});
  if (c < channels) vector(c, Rest{});
}

// The output pixels of a row whose every column lies inside.
template <int64_t KERNEL, int64_t STRIDE>
void depthwise_middle(const smidgen_op& op, const float* x, const Taps& rows, int64_t pixels, float* y, float* sums) {
  constexpr int64_t GROUP = 4;
  const int64_t step = STRIDE * op.x.pixel;
  for (; pixels >= GROUP; pixels -= GROUP, x += GROUP * step, y += GROUP * op.y.pixel)
    depthwise_group<KERNEL, STRIDE, GROUP>(op, x, rows, y, sums);
  if (pixels == 3) depthwise_group<KERNEL, STRIDE, 3>(op, x, rows, y, sums);
  if (pixels == 2) depthwise_group<KERNEL, STRIDE, 2>(op, x, rows, y, sums);
  if (pixels == 1) depthwise_group<KERNEL, STRIDE, 1>(op, x, rows, y, sums);
}

using Middle = void (*)(const smidgen_op&, const float*, const Taps&, int64_t, float*, float*);
Middle middle_of(const smidgen_op& op) {
  if (op.dilation != 1) return nullptr;
  if (op.kernel == 3 && op.stride == 1) return depthwise_middle<3, 1>;
  if (op.kernel == 3 && op.stride == 2) return depthwise_middle<3, 2>;
  if (op.kernel == 5 && op.stride == 1) return depthwise_middle<5, 1>;
  if (op.kernel == 5 && op.stride == 2) return depthwise_middle<5, 2>;
  return nullptr;
}

void depthwise(const smidgen_op& op, const Places& places, int64_t part, int64_t parts) {
  float* const sums = places.sums ? places.sums + part * op.sums.pixel : nullptr;
  if (sums) clear(sums, op.x.c);
  const Middle middle = middle_of(op);
  const int64_t reach = (op.kernel - 1) * op.dilation + 1;
  const int64_t first = clamped(ceil_div(op.left, op.stride), 0, op.y.w);
  const int64_t last = op.x.w + op.left < reach
                           ? first
                           : clamped((op.x.w + op.left - reach) / op.stride + 1, first, op.y.w);
  for (int64_t row = op.y.h * part / parts; row < op.y.h * (part + 1) / parts; ++row) {
    const int64_t h = row * op.stride - op.top;
    const Taps rows = taps(op, h, op.x.h);
    float* const y = places.y + row * op.y.w * op.y.pixel;
    auto single = [&](int64_t w) {
      const int64_t start = w * op.stride - op.left;
      depthwise_pixel(op, places.x, h, start, rows, taps(op, start, op.x.w), y + w * op.y.pixel, sums);
    };
    if (!middle || first == last) {
      for (int64_t w = 0; w < op.y.w; ++w) single(w);
      continue;
    }
    for (int64_t w = 0; w < first; ++w) single(w);
    middle(op, places.x + (h * op.x.w + first * op.stride - op.left) * op.x.pixel, rows, last - first,
           y + first * op.y.pixel, sums);
    for (int64_t w = last; w < op.y.w; ++w) single(w);
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
  for (int64_t pixel = pixels * part / parts; pixel < pixels * (part + 1) / parts; ++pixel) {
    const float* x = places.x + pixel * op.x.pixel;
    if (gathers) {
      shifted_pixel(op, places.x, pixel / op.y.w, pixel % op.y.w, scratch);
      x = scratch;
    }
    const float* const gate = places.gate ? places.gate + (everywhere ? pixel * op.gate.pixel : 0) : nullptr;
    const float* const add = places.add ? places.add + pixel * op.add.pixel : nullptr;
    float* const y = places.y + pixel * op.y.pixel;
    for (int64_t c = 0; c < op.x.c; c += LANES) {
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
  if (op.kind == SMIDGEN_POINTWISE) return op.x.c;
  if (op.kind != SMIDGEN_CONV) return 0;
  const Cut c = cut(op);
  return c.gathered + c.addresses + c.scaled;
}

void run(const smidgen_op& op, const Places& places, int64_t part, float* scratch) {
  switch (op.kind) {
    case SMIDGEN_CONV: return convolve(op, places, part, scratch);
    case SMIDGEN_DEPTHWISE: return depthwise(op, places, part, parts(op));
    case SMIDGEN_POOL: return pool(op, places, part, parts(op));
    case SMIDGEN_MEAN: return mean(op, places, part, parts(op));
    case SMIDGEN_POINTWISE: return pointwise(op, places, part, parts(op), scratch);
    default: return transpose(op, places);
  }
}

}  // namespace

extern const Layers SMIDGEN_LAYERS = {packed_floats, pack, parts, scratch_floats, run};

}  // namespace smidgen
