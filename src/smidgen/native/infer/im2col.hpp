// What the pixels of a convolution read: as the matrix A of its product, whose rows lie where the input does if they can.
#pragma once

#include "infer/epilogue.hpp"

namespace smidgen {
namespace {

// ---- How a convolution is cut -------------------------------------------------------------------------

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
  const bool gated = space_of(op.gate) != Space::nowhere;
  for (const int64_t* run = op.runs; run < op.runs + 3 * op.n_runs; run += 3) {
    c.up = most(c.up, -run[1]);
    c.down = most(c.down, run[1]);
    c.left = most(c.left, -run[2]);
    c.right = most(c.right, run[2]);
  }
  const bool padded = is_padded(op);
  c.spatial = op.kernel > 1 || padded;
  c.gathers = op.scale || before_of(op) != Activation::identity || op.x.channel != 1 || padded;
  // One pixel's product waits for its weights: more threads bring more of them.
  const int64_t enough = 8, worthwhile = plane == 1 ? 12 * 1024 : 64 * 1024;
  const int64_t parts = clamped(plane * c.depth * op.y.c / worthwhile, 1, enough);
  if (!c.spatial) {
    constexpr int64_t cached = 48 * 1024, fewest = 4 * ROWS, most_pixels = 240;
    int64_t fitting = clamped(cached / most(1, channels + op.y.c), fewest, most_pixels);
    // Weights that no near cache holds should pass by seldom.
    if (c.depth * op.y.c > 2 * cached) fitting = clamped(2 * cached / channels, fitting, most_pixels);
    // Groups of panels would copy together again what the pixels read: rather more blocks.
    if (c.gathers || op.runs) fitting = least(fitting, most(fewest, ceil_div(plane, parts)));
    c.blocks = even(ceil_div(plane, fitting), plane);
    c.pixels = ceil_div(plane, c.blocks);
    c.scales_weights = gated && !c.gathers;
    c.gathered = c.gathers || op.runs ? c.pixels * channels : 0;
  } else {
    constexpr int64_t cached = 24 * 1024;
    const int64_t reach = (op.kernel - 1) * op.dilation + 1;
    c.width = (op.y.w - 1) * op.stride + reach;
    const int64_t line = c.width * channels;
    const int64_t rows = clamped((cached / most(1, line) - reach) / op.stride + 1, 1, most(1, 480 / op.y.w));
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

// ---- What is copied together --------------------------------------------------------------------------

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
  const Activation before = before_of(op);
  const bool plain = op.scale && before == Activation::relu && !gate;  // what most networks that need this do
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
      activate<1>(before, &value);
      if (gate) value *= factor;
      store(to + i * channels + c, value, count);
    }
  }
}

// Copies together what `pixels` neighbours of a row of outputs read: from (h, w) on, `op.stride` apart.
void gather_pixels(const smidgen_op& op, const Cut& c, const Places& places, int64_t h, int64_t w, int64_t pixels,
                   float* to) {
  const float* const gate = c.scales_weights ? nullptr : places.gate;
  const bool prepares = op.scale || before_of(op) != Activation::identity || gate;
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

// ---- The matrix ---------------------------------------------------------------------------------------

// The matrix A of a block of pixels, a row each, that im2col would write out: first the pixels that read the input where
// it lies, or a copy of its rows, and then those for which what they read is copied together.
struct Im2col {
  const float** rows;
  int64_t* to;
  int64_t in_place, all;  // how many of the first kind, and of both
  Indirection spread, together;
};

void read_pixels(const smidgen_op& op, const Cut& c, const Places& places, int64_t first, int64_t pixels,
                 float* gathered, Im2col& a) {
  a.together.add(0, op.x.c);
  int64_t in_place = 0, copied = pixels;  // the second kind is filled from the end
  if (!c.gathers && op.runs) {
    int64_t channel = 0;
    for (const int64_t* run = op.runs; run < op.runs + 3 * op.n_runs; channel += run[0], run += 3)
      a.spread.add((run[1] * op.x.w + run[2]) * op.x.pixel + channel, run[0]);
  } else {
    a.spread.add(0, op.x.c);
  }
  for (int64_t i = 0, h = first / op.y.w, w = first % op.y.w, count; i < pixels; i += count, w = 0, ++h) {
    count = least(pixels - i, op.y.w - w);  // what lies in one row
    const int64_t y = h * op.stride;
    const bool row_reads = !c.gathers && y >= c.up && y < op.x.h - c.down;
    if (!row_reads) {
      gather_pixels(op, c, places, y, w * op.stride, count, gathered);
      for (int64_t j = i; j < i + count; ++j, gathered += op.x.c) {
        a.to[--copied] = j;
        a.rows[copied] = gathered;
      }
      continue;
    }
    for (int64_t j = i, x = w * op.stride; j < i + count; ++j, x += op.stride) {
      const bool reads = x >= c.left && x < op.x.w - c.right;
      const int64_t number = reads ? in_place++ : --copied;
      a.to[number] = j;
      a.rows[number] = reads ? places.x + (y * op.x.w + x) * op.x.pixel : gathered;
      if (reads) continue;
      gather_pixels(op, c, places, y, x, 1, gathered);
      gathered += op.x.c;
    }
  }
  a.in_place = in_place;
  a.all = pixels;
}

void read_rows(const smidgen_op& op, const Cut& c, const Places& places, int64_t first, int64_t pixels,
               float* gathered, Im2col& a) {
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
    a.rows[i] = start + h * op.stride * line + w * op.stride * pixel;
    a.to[i] = i;
    if (++w == op.y.w) w = 0, ++h;
  }
  const bool dense = op.dilation == 1 && pixel == op.x.c;
  for (int64_t h = 0; h < op.kernel; ++h)
    for (int64_t w = 0; w < (dense ? 1 : op.kernel); ++w)
      a.spread.add(op.dilation * (h * line + w * pixel), dense ? op.kernel * op.x.c : op.x.c);
  a.in_place = a.all = pixels;
}

}  // namespace
}  // namespace smidgen
