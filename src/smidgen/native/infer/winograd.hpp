// 3x3 convolutions by Winograd's way: 4x4 outputs from 6x6 inputs with 36 products a channel instead of 144.
// Source of the method: Lavin and Gray 2016, arXiv:1509.09308, F(4x4, 3x3).
#pragma once

#include "infer/convolution.hpp"

namespace smidgen {
namespace {

constexpr int64_t SIDE = 6, OUTPUTS = 4, PLACES = SIDE * SIDE;

struct WinogradCut {
  int64_t wide, high;           // tiles of the whole map
  int64_t tiles, blocks;        // of a block at most, row by row, and how many blocks
  int64_t panels, groups;
  int64_t inputs, sums;         // floats from one of the 36 places to the next: of transformed inputs, and of sums
};

// So many floats or a few more: an odd number of lines of the cache, so that the 36 places of a tile, which are
// written and read one after the other, do not all want the same few lines of the first cache.
int64_t spread(int64_t floats) {
  constexpr int64_t line = 16;
  return (ceil_div(floats, line) | 1) * line;
}

WinogradCut winograd_cut(const smidgen_op& op) {
  constexpr int64_t cached = 48 * 1024, enough = 4;
  WinogradCut c = {};
  c.wide = ceil_div(op.y.w, OUTPUTS);
  c.high = ceil_div(op.y.h, OUTPUTS);
  const int64_t all = c.wide * c.high, fitting = most(1, cached / (PLACES * (op.x.c + PANEL)));
  c.blocks = even(ceil_div(all, fitting), all);
  c.tiles = ceil_div(all, c.blocks);
  c.panels = ceil_div(op.y.c, PANEL);
  c.groups = clamped(enough / c.blocks, 1, c.panels);
  c.inputs = spread(c.tiles * op.x.c);
  c.sums = spread(c.tiles * PANEL);
  return c;
}

// The points 0, +-A, +-B and infinity. With the paper's 1 and 2 the sums grow, and their rounding with them; about three
// times less with these.
constexpr float A = 0.707106781f, B = 1.414213562f, AA = 0.5f, BB = 2.0f;

inline void to_products(const Vector* d, Vector* t) {
  t[0] = d[0] - (AA + BB) * d[2] + d[4];
  const Vector a = d[4] - BB * d[2], b = A * (d[3] - BB * d[1]);
  t[1] = a + b;
  t[2] = a - b;
  const Vector e = d[4] - AA * d[2], f = B * (d[3] - AA * d[1]);
  t[3] = e + f;
  t[4] = e - f;
  t[5] = d[1] - (AA + BB) * d[3] + d[5];
}

inline void from_products(const Vector* m, Vector* y) {
  const Vector a = m[1] + m[2], b = A * (m[1] - m[2]), c = m[3] + m[4], d = B * (m[3] - m[4]);
  y[0] = m[0] + a + c;
  y[1] = b + d;
  y[2] = AA * a + BB * c;
  y[3] = AA * b + BB * d + m[5];
}

// What one tile reads, as the 36 factors of its products; each `step` floats after the one before.
void transform_input(const smidgen_op& op, const float* x, int64_t h, int64_t w, const float* zeros, float* to,
                     int64_t step) {
  const float* from[PLACES];
  for (int64_t i = 0; i < SIDE; ++i)
    for (int64_t j = 0; j < SIDE; ++j) {
      const bool inside = h + i >= 0 && h + i < op.x.h && w + j >= 0 && w + j < op.x.w;
      from[i * SIDE + j] = inside ? x + ((h + i) * op.x.w + w + j) * op.x.pixel : zeros;
    }
  auto channels = [&](int64_t c, auto get, auto put) {
    Vector half[PLACES];  // [row of products][column of inputs]
    for (int64_t j = 0; j < SIDE; ++j) {
      Vector column[SIDE], made[SIDE];
      each<SIDE>([&](auto i) { column[i] = get(from[i * SIDE + j] + c); });
      to_products(column, made);
      each<SIDE>([&](auto i) { half[i * SIDE + j] = made[i]; });
    }
    for (int64_t i = 0; i < SIDE; ++i) {
      Vector row[SIDE], made[SIDE];
      each<SIDE>([&](auto j) { row[j] = half[i * SIDE + j]; });
      to_products(row, made);
      each<SIDE>([&](auto j) { put(to + (i * SIDE + j) * step + c, made[j]); });
    }
  };
  int64_t c = 0;
  for (; c + LANES <= op.x.c; c += LANES)
    channels(c, [](const float* at) { return load(at); }, [](float* at, Vector value) { store(at, value); });
  const int64_t rest = op.x.c - c;
  if (rest)
    channels(c, [&](const float* at) { return load(at, rest); },
             [&](float* at, Vector value) { store(at, value, rest); });
}

// The 4x4 outputs of one tile, as far as they lie on the map, for one vector of channels.
void transform_output(const smidgen_op& op, const float* sums, int64_t step, int64_t h, int64_t w, Vector bias,
                      const Epilogue& epilogue) {
  Vector half[OUTPUTS * SIDE];
  for (int64_t j = 0; j < SIDE; ++j) {
    Vector column[SIDE], made[OUTPUTS];
    each<SIDE>([&](auto i) { column[i] = load(sums + (i * SIDE + j) * step); });
    from_products(column, made);
    each<OUTPUTS>([&](auto i) { half[i * SIDE + j] = made[i]; });
  }
  const int64_t rows = least(OUTPUTS, op.y.h - h), columns = least(OUTPUTS, op.y.w - w);
  const bool plain = columns == OUTPUTS && !epilogue.add && epilogue.then == Activation::identity &&
                     epilogue.columns >= LANES;
  for (int64_t i = 0; i < rows; ++i) {
    Vector row[SIDE], made[OUTPUTS];
    each<SIDE>([&](auto j) { row[j] = half[i * SIDE + j]; });
    from_products(row, made);
    each<OUTPUTS>([&](auto j) { made[j] += bias; });
    const int64_t pixel = (h + i) * op.y.w + w;
    if (plain) {
      activate<OUTPUTS>(epilogue.activation, made);
      each<OUTPUTS>([&](auto j) { store(epilogue.y + (pixel + j) * epilogue.y_step, made[j]); });
    } else {
      for (int64_t j = 0; j < columns; ++j) finish_row<1>(epilogue, pixel + j, made + j);
    }
  }
}

void winograd(const smidgen_op& op, const Places& places, int64_t part, float* scratch) {
  const WinogradCut c = winograd_cut(op);
  const int64_t block = part / c.groups, group = part % c.groups, channels = op.x.c;
  const int64_t all = c.wide * c.high, first = all * block / c.blocks, tiles = all * (block + 1) / c.blocks - first;
  float* const inputs = scratch;
  float* const sums = inputs + PLACES * c.inputs;
  float* const zeros = sums + PLACES * c.sums;
  const float** const from = reinterpret_cast<const float**>(zeros + up(channels, 16));
  clear(zeros, channels);
  int64_t* const to = reinterpret_cast<int64_t*>(from + c.tiles);
  for (int64_t t = 0; t < tiles; ++t) {
    to[t] = t;
    const int64_t row = (first + t) / c.wide, column = (first + t) % c.wide;
    transform_input(op, places.x, row * OUTPUTS - op.top, column * OUTPUTS - op.left, zeros, inputs + t * channels,
                    c.inputs);
  }
  const Epilogue whole = epilogue_of(op, places, 0);
  Indirection reading;
  reading.places = reinterpret_cast<int32_t*>(to + c.tiles);
  reading.add(0, channels);
  for (int64_t panel = c.panels * group / c.groups; panel < c.panels * (group + 1) / c.groups; ++panel) {
    const int64_t columns = least(PANEL, op.y.c - panel * PANEL);
    Epilogue product = {};
    product.y_step = PANEL;
    product.columns = is_narrow(columns) ? LANES : PANEL;
    const float* weight = op.weight + panel * PLACES * PANEL * channels;
    for (int64_t place = 0; place < PLACES; ++place, weight += product.columns * channels) {
      const float* const input = inputs + place * c.inputs;
      for (int64_t t = 0; t < tiles; ++t) from[t] = input + t * channels;
      product.y = sums + place * c.sums;
      multiply(reading, tiles, from, to, weight, channels, 1, product, product.y);
    }
    for (int64_t v = 0; v * LANES < columns; ++v) {
      const int64_t column = panel * PANEL + v * LANES;
      Epilogue epilogue = whole.from(column);
      epilogue.columns = least(LANES, epilogue.columns);
      Vector bias;
      start<1>(epilogue, &bias);
      for (int64_t t = 0; t < tiles; ++t)
        transform_output(op, sums + t * PANEL + v * LANES, c.sums, (first + t) / c.wide * OUTPUTS,
                         (first + t) % c.wide * OUTPUTS, bias, epilogue);
    }
  }
}

int64_t winograd_parts(const smidgen_op& op) {
  const WinogradCut c = winograd_cut(op);
  return c.blocks * c.groups;
}

int64_t winograd_scratch(const smidgen_op& op) {
  const WinogradCut c = winograd_cut(op);
  return PLACES * (c.inputs + c.sums) + up(op.x.c, 16) + 4 * c.tiles + op.x.c;
}

}  // namespace
}  // namespace smidgen
