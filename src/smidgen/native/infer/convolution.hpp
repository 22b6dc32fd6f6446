// Convolutions of any kernel over all channels, with what stands around them.
#pragma once

#include "product/product.hpp"

namespace smidgen {
namespace {

// ---- Convolution: how it is cut -----------------------------------------------------------------------

struct Cut {
  int64_t depth, panels;
  bool spatial;          // kernel larger than 1, or padded: whole rows are read
  bool gathers;          // what all pixels read is copied together first; else only what looks over the edge
  int64_t up, down, left, right;  // how far any channel looks
  bool scales_weights;   // the gate goes into the weights, and not into what is copied together
  int64_t pixels;        // of a block: whole rows where it is spatial
  int64_t blocks, groups;
  int64_t width, height;  // of the rows that are copied together, where it is spatial
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
  const bool padded = is_padded(op);
  c.spatial = op.kernel > 1 || padded;
  c.gathers = op.scale || op.before || op.x.channel != 1 || padded;
  // One pixel's product waits for its weights: more threads bring more of them.
  const int64_t enough = 8, worthwhile = plane == 1 ? 12 * 1024 : 64 * 1024;
  const int64_t parts = clamped(plane * c.depth * op.y.c / worthwhile, 1, enough);
  if (!c.spatial) {
    constexpr int64_t near = 48 * 1024, fewest = 4 * ROWS, most_pixels = 240;
    int64_t fitting = clamped(near / most(1, channels + op.y.c), fewest, most_pixels);
    // Weights that no near cache holds should pass by seldom.
    if (c.depth * op.y.c > 2 * near) fitting = clamped(2 * near / channels, fitting, most_pixels);
    // Groups of panels would copy together again what the pixels read: rather more blocks.
    if (c.gathers || op.runs) fitting = least(fitting, most(fewest, ceil_div(plane, parts)));
    c.blocks = even(ceil_div(plane, fitting), plane);
    c.pixels = ceil_div(plane, c.blocks);
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
  c.groups = even(ceil_div(parts, c.blocks), c.panels);
  c.gathered = up(c.gathered, 16);
  c.addresses = up(4 * c.pixels, 16);
  c.scaled = c.scales_weights ? c.depth * PANEL : 0;
  return c;
}

int64_t packed_floats(int64_t columns, int64_t depth) {
  const int64_t rest = columns % PANEL;
  return (columns / PANEL * PANEL + (rest == 0 ? 0 : is_narrow(rest) ? LANES : PANEL)) * depth;
}

void pack(const float* matrix, const float* scale, int64_t columns, int64_t depth, float* panels) {
  constexpr int64_t line = 16;  // as many of a column at a time as a line of the cache brings
  for (int64_t first = 0; first < columns; first += PANEL) {
    const int64_t width = is_narrow(columns - first) ? LANES : PANEL, inside = least(width, columns - first);
    for (int64_t k = 0; k < depth; k += line) {
      const int64_t count = least(line, depth - k);
      if (inside < width) std::memset(panels, 0, static_cast<size_t>(count * width) * sizeof(float));
      for (int64_t j = 0; j < inside; ++j) {
        const float* const from = matrix + (first + j) * depth + k;
        const float factor = scale ? scale[first + j] : 1.0f;
        for (int64_t i = 0; i < count; ++i) panels[i * width + j] = from[i] * factor;
      }
      panels += count * width;
    }
  }
}

// ---- Convolution: what the pixels read ----------------------------------------------------------------

// Up to 15 floats past a multiple of LANES are copied by two vectors that overlap, where there is room for one.
void copy(float* to, const float* from, int64_t count) {
#if defined(__AVX512F__)
  if (count < LANES) return store(to, load(from, count), count);  // by a mask
#endif
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

// to = before(from) * gate for all channels of pixels that lie `step` floats apart. Each may be missing.
void prepare(const smidgen_op& op, const float* gate, const float* from, int64_t step, int64_t pixels, float* to) {
  const int64_t channels = op.x.c;
  const bool plain = op.scale && op.before == SMIDGEN_RELU && !gate;  // what most networks that need this do
  for (int64_t c = 0; c < channels; c += LANES) {
    const int64_t count = least(LANES, channels - c);
    const Vector scale = op.scale ? load(op.scale + c, count) : Vector{};
    const Vector offset = op.scale ? load(op.offset + c, count) : Vector{};
    const Vector factor = gate ? load(gate + c, count) : Vector{};
    if (plain && count == LANES) {
      for (int64_t i = 0; i < pixels; ++i)
        store(to + i * channels + c, at_least(load(from + i * step + c) * scale + offset, 0.0f));
      continue;
    }
    for (int64_t i = 0; i < pixels; ++i) {
      Vector value = load(from + i * step + c, count);
      if (op.scale) value = value * scale + offset;
      activate<1>(op.before, &value);
      if (gate) value *= factor;
      store(to + i * channels + c, value, count);
    }
  }
}

// Copies together what `pixels` neighbours of a row of outputs read: from (h, w) on, `op.stride` apart.
void gather_pixels(const smidgen_op& op, const Cut& c, const Places& places, int64_t h, int64_t w, int64_t pixels,
                   float* to) {
  const float* const gate = c.scales_weights ? nullptr : places.gate;
  const bool prepares = op.scale || op.before || gate;
  if (prepares && op.n_runs <= 1 && op.x.channel == 1) {  // each from one pixel
    const int64_t y = h + (op.runs ? op.runs[1] : 0), x = w + (op.runs ? op.runs[2] : 0);
    if (y >= 0 && y < op.x.h && x >= 0 && x + (pixels - 1) * op.stride < op.x.w)
      return prepare(op, gate, places.x + (y * op.x.w + x) * op.x.pixel, op.stride * op.x.pixel, pixels, to);
  }
  for (int64_t i = 0; i < pixels; ++i) shifted_pixel(op, places.x, h, w + i * op.stride, to + i * op.x.c);
  if (prepares) prepare(op, gate, to, op.x.c, pixels, to);
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
    } else if (channels == 3 && op.x.pixel == 1) {  // colours apart, as pictures come
      const float *const green = from + op.x.channel, *const blue = green + op.x.channel;
      for (int64_t w = 0; w < inside; ++w) {
        middle[3 * w] = from[w];
        middle[3 * w + 1] = green[w];
        middle[3 * w + 2] = blue[w];
      }
    } else {
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t w = 0; w < inside; ++w) middle[w * channels + c] = from[w * op.x.pixel + c * op.x.channel];
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
  for (int64_t i = 0, h = first / op.y.w, w = first % op.y.w, count; i < pixels; i += count, w = 0, ++h) {
    count = least(pixels - i, op.y.w - w);  // what lies in one row
    const int64_t y = h * op.stride;
    const bool row_reads = !c.gathers && y >= c.up && y < op.x.h - c.down;
    if (!row_reads) {
      gather_pixels(op, c, places, y, w * op.stride, count, gathered);
      for (int64_t j = i; j < i + count; ++j, gathered += op.x.c) {
        block.to[--far] = j;
        block.rows[far] = gathered;
      }
      continue;
    }
    for (int64_t j = i, x = w * op.stride; j < i + count; ++j, x += op.stride) {
      const bool reads = x >= c.left && x < op.x.w - c.right;
      const int64_t number = reads ? near++ : --far;
      block.to[number] = j;
      block.rows[number] = reads ? places.x + (y * op.x.w + x) * op.x.pixel : gathered;
      if (reads) continue;
      gather_pixels(op, c, places, y, x, 1, gathered);
      gathered += op.x.c;
    }
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
  block.reading.places = reinterpret_cast<int32_t*>(scaled + c.scaled);
  block.together.places = block.reading.places + c.depth;
  if (!c.spatial)
    read_pixels(op, c, places, first, pixels, scratch, block);
  else
    read_rows(op, c, places, first, pixels, scratch, block);

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
  const int64_t together = block.reading.stretches() > 1 || c.scales_weights ? 1 : most(1, 4096 / c.depth / PANEL);
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

int64_t convolution_parts(const smidgen_op& op) {
  const Cut c = cut(op);
  return c.blocks * c.groups;
}

int64_t convolution_scratch(const smidgen_op& op) {
  const Cut c = cut(op);
  return c.gathered + c.addresses + c.pixels * PANEL + c.scaled + 2 * c.depth;
}

}  // namespace
}  // namespace smidgen
