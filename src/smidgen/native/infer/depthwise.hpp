// Depthwise convolutions: each channel by itself, alone or together with the 1x1 convolution that makes what they read.
#pragma once

#include "infer/convolution.hpp"

namespace smidgen {
namespace {

// `activate` where the code would grow too much.
[[gnu::noinline]] void activate_all(Activation kind, Vector* values, int64_t count) {
  if (kind == Activation::silu)  // the choice outside of the loop, for the one that costs
    for (int64_t i = 0; i < count; ++i) values[i] = silu(values[i]);
  else
    for (int64_t i = 0; i < count; ++i) activate<1>(kind, values + i);
}

// Some channels of a map, some of whose rows are in memory, and what becomes of them.
struct Depth {
  const float* x;                // begins with row `first` of the map
  int64_t first, height, width;  // of the map
  int64_t pixel;                 // floats from one to the next
  const float *weight, *bias, *zeros;
  int64_t channels, all;         // how many; and how many the weights have
  float* y;                      // begins with the first row of the output
  int64_t y_width, y_pixel;
  float* sums;
  int64_t kernel, stride, dilation, left;
  Activation activation;

  const float* at(int64_t h, int64_t w) const { return x + ((h - first) * width + w) * pixel; }
  bool inside(int64_t h, int64_t w) const { return h >= 0 && h < height && w >= 0 && w < width; }
};

// Channels from `c` on of one output pixel; any kernel. h, w: where its window begins.
void depthwise_pixel(const Depth& d, int64_t h, int64_t w, int64_t c, float* y) {
  for (; c < d.channels; c += LANES) {
    const int64_t count = least(LANES, d.channels - c);
    Vector sum = d.bias ? load(d.bias + c, count) : Vector{};
    for (int64_t i = 0; i < d.kernel; ++i)
      for (int64_t j = 0; j < d.kernel; ++j) {
        const int64_t row = h + i * d.dilation, column = w + j * d.dilation;
        if (d.inside(row, column))
          sum += load(d.at(row, column) + c, count) * load(d.weight + (i * d.kernel + j) * d.all + c, count);
      }
    activate<1>(d.activation, &sum);
    if (d.sums) store(d.sums + c, load(d.sums + c, count) + sum, count);
    store(y + c, sum, count);
  }
}

// GROUP neighbouring output pixels, channels in whole vectors. x: where the first window begins, or for each place of
// the windows, row by row, where it lies: padding is a row of zeros. The first `skipped` have been summed before.
// ahead: what the next row of outputs will be the first to read, or NULL.
template <int64_t KERNEL, int64_t STRIDE, int64_t GROUP, class Where>
void depthwise_group(const Depth& d, Where x, float* y, int64_t skipped, const float* ahead) {
  constexpr int64_t WIDTH = (GROUP - 1) * STRIDE + KERNEL;
  constexpr bool SCATTERED = !__is_same(Where, const float*);
  const int64_t pixel = d.pixel, line = d.width * pixel, channels = d.channels, step = d.all, y_pixel = d.y_pixel;
  const Activation activation = d.activation;
  const float* const bias = d.bias;
  float* const sums = d.sums;
  for (int64_t c = 0; c + LANES <= channels; c += LANES) {
    Vector all[GROUP];
    const Vector start = bias ? load(bias + c) : Vector{};
    each<GROUP>([&](auto g) { all[g] = start; });
    const float* weight = d.weight + c;
    for (int64_t i = 0; i < KERNEL; ++i, weight += KERNEL * step) {
      Vector weights[KERNEL];
      each<KERNEL>([&](auto j) { weights[j] = load(weight + j * step); });
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
    if (activation != Activation::identity) activate_all(activation, all, GROUP);
    if (sums) {
      Vector sum = load(sums + c);
      for (int64_t g = skipped; g < GROUP; ++g) sum += all[g];
      store(sums + c, sum);
    }
    float* to = y + c;
    for (int64_t g = 0; g < GROUP; ++g, to += y_pixel) store(to, all[g]);
  }
}

// A row of outputs in groups; where the last one would not be full, it begins earlier and does some again. h: where
// the windows begin.
template <int64_t KERNEL, int64_t STRIDE, int64_t GROUP>
void depthwise_row(const Depth& d, int64_t h, float* y, bool asks_ahead) {
  constexpr int64_t WIDTH = (GROUP - 1) * STRIDE + KERNEL;
  const bool rows_inside = h >= 0 && h + KERNEL <= d.height;
  for (int64_t next = 0; next < d.y_width; next += GROUP) {
    const int64_t first = least(next, d.y_width - GROUP), w = first * STRIDE - d.left;
    float* const to = y + first * d.y_pixel;
    const int64_t new_row = h + KERNEL;
    const bool asks = asks_ahead && new_row + STRIDE <= d.height && w + (GROUP - 1) * STRIDE < d.width;
    const float* const ahead = asks ? d.at(new_row, most(0, w)) : nullptr;
    if (rows_inside && w >= 0 && w + WIDTH <= d.width) {
      depthwise_group<KERNEL, STRIDE, GROUP>(d, d.at(h, w), to, next - first, ahead);
      continue;
    }
    const float* table[KERNEL * WIDTH];
    for (int64_t i = 0; i < KERNEL; ++i)
      for (int64_t j = 0; j < WIDTH; ++j)
        table[i * WIDTH + j] = d.inside(h + i, w + j) ? d.at(h + i, w + j) : d.zeros;
    depthwise_group<KERNEL, STRIDE, GROUP>(d, static_cast<const float* const*>(table), to, next - first, ahead);
  }
}

using Row = void (*)(const Depth&, int64_t, float*, bool);
template <int64_t KERNEL, int64_t STRIDE>
constexpr Row row_of(int64_t width) {
  return width >= 7   ? depthwise_row<KERNEL, STRIDE, 7>
         : width >= 4 ? depthwise_row<KERNEL, STRIDE, 4>
                      : depthwise_row<KERNEL, STRIDE, 1>;
}
Row row_of(const smidgen_op& op) {
  if (op.dilation != 1) return nullptr;
  if (op.kernel == 3 && op.stride == 1) return row_of<3, 1>(op.y.w);
  if (op.kernel == 3 && op.stride == 2) return row_of<3, 2>(op.y.w);
  if (op.kernel == 5 && op.stride == 1) return row_of<5, 1>(op.y.w);
  if (op.kernel == 5 && op.stride == 2) return row_of<5, 2>(op.y.w);
  return nullptr;
}

// Rows [first, last) of the output.
void depthwise_rows(const smidgen_op& op, const Depth& d, int64_t first, int64_t last, bool asks_ahead) {
  const Row row = row_of(op);
  const int64_t vectors = row ? d.channels / LANES * LANES : 0;  // the channels that it does
  for (int64_t number = first; number < last; ++number) {
    const int64_t h = number * op.stride - op.top;
    float* const y = d.y + number * op.y.w * op.y.pixel;
    if (vectors) row(d, h, y, asks_ahead);
    if (vectors == d.channels) continue;
    for (int64_t w = 0; w < op.y.w; ++w)
      depthwise_pixel(d, h, w * op.stride - op.left, vectors, y + w * op.y.pixel);
  }
}

// ---- How it is cut: into blocks of rows, and of channels ----------------------------------------------

struct DepthCut {
  int64_t rows, channels;  // number of blocks of each kind
  int64_t width;           // channels of a block, at most
  int64_t lines;           // rows that are made for a block of rows, at most
  int64_t pixels;          // of a piece of the first convolution
};

DepthCut depth_cut(const smidgen_op& op) {
  constexpr int64_t cached = 192 * 1024, enough = 8, worthwhile = 64 * 1024, most_pixels = 240;
  const int64_t plane = op.x.h * op.x.w, reach = (op.kernel - 1) * op.dilation + 1;
  const int64_t depth = op.kernel * op.kernel + (op.first ? op.first->x.c * op.stride * op.stride : 0);
  const int64_t parts = clamped(op.y.h * op.y.w * op.y.c * depth / worthwhile, 1, enough);
  const int64_t panels = ceil_div(op.y.c, PANEL);
  DepthCut c = {};
  if (!op.first) {
    // Small maps by channels, whose weights a near cache then holds; large ones by rows, which lie together.
    const bool small = plane * op.x.c <= cached && panels >= parts;
    c.channels = small ? parts : 1;
    c.rows = small ? 1 : even(parts, op.y.h);
  } else {
    // What is made for the block must stay in the second cache: of 512 KB with AVX2, of 1 MB with AVX-512 on the
    // processors that were measured. Blocks of rows make the rows between them twice, so that there are few of them, and
    // a block has few channels before it has few rows; but not fewer panels than pay for reading the input.
    constexpr int64_t fewest = 3, made = LANES == 16 ? cached : cached / 2;
    const int64_t fitting = most(fewest, made / (plane * PANEL));
    c.channels = most(ceil_div(panels, fitting), least(parts, panels));
    if (plane * PANEL * fewest > made) c.channels = ceil_div(panels, fitting);
    const int64_t line = op.x.w * PANEL * ceil_div(panels, c.channels);
    const int64_t rows = clamped((made / line - reach) / op.stride + 1, 1, op.y.h);
    c.rows = even(most(ceil_div(op.y.h, rows), ceil_div(least(parts, 4), c.channels)), op.y.h);
    c.lines = least(op.x.h, (ceil_div(op.y.h, c.rows) - 1) * op.stride + reach);
    c.pixels = least(most_pixels, up(c.lines * op.x.w, ROWS));
  }
  if (c.rows == 1) c.channels = even(c.channels, panels);
  c.width = ceil_div(panels, c.channels) * PANEL;
  return c;
}

int64_t depthwise_parts(const smidgen_op& op) {
  const DepthCut c = depth_cut(op);
  return c.rows * c.channels;
}
int64_t depthwise_sums(const smidgen_op& op) { return depth_cut(op).rows; }
int64_t depthwise_scratch(const smidgen_op& op) {
  const DepthCut c = depth_cut(op);
  return up(c.width, 16) + up(c.lines * op.x.w * c.width, 16) + 4 * c.pixels + c.pixels * PANEL +
         (op.first ? op.first->x.c : 0);
}

// The pixels [first, last) of some panels of a 1x1 convolution, one after the other.
void expand(const smidgen_op& conv, const float* x, int64_t first, int64_t last, int64_t pixels, int64_t panel,
            int64_t columns, float* y, float* scratch) {
  const float** const rows = reinterpret_cast<const float**>(scratch);
  int64_t* const to = reinterpret_cast<int64_t*>(rows + pixels);
  float* const partial = reinterpret_cast<float*>(to + pixels);
  Indirection reading;
  reading.places = reinterpret_cast<int32_t*>(partial + pixels * PANEL);
  reading.add(0, conv.x.c);
  const int64_t panels = ceil_div(columns, PANEL), together = reading.slices() > 1 ? 1 : panels;
  for (int64_t i = 0; i < pixels; ++i) to[i] = i;
  for (; first < last; first += pixels) {
    const int64_t count = least(pixels, last - first);
    for (int64_t i = 0; i < count; ++i) rows[i] = x + (first + i) * conv.x.pixel;
    for (int64_t p = 0; p < panels; p += together) {
      const int64_t first_column = (panel + p) * PANEL;
      const Epilogue epilogue = {conv.bias ? conv.bias + first_column : nullptr, nullptr, 0, y + p * PANEL, columns,
                                 columns - p * PANEL, activation_of(conv), Activation::identity};
      multiply(reading, count, rows, to, conv.weight + first_column * conv.x.c, conv.x.c,
               least(together, panels - p), epilogue, partial);
    }
    y += count * columns;
  }
}

void depthwise(const smidgen_op& op, const Places& places, int64_t part, float* scratch) {
  const DepthCut c = depth_cut(op);
  const int64_t block = part / c.channels, group = part % c.channels, panels = ceil_div(op.y.c, PANEL);
  const int64_t start = panels * group / c.channels * PANEL;
  const int64_t first = op.y.h * block / c.rows, last = op.y.h * (block + 1) / c.rows;
  Depth d = {};
  d.x = places.x + start;
  d.height = op.x.h;
  d.width = op.x.w;
  d.pixel = op.x.pixel;
  d.weight = op.weight + start;
  d.bias = op.bias ? op.bias + start : nullptr;
  d.channels = least(panels * (group + 1) / c.channels * PANEL, op.y.c) - start;
  d.all = op.x.c;
  d.y = places.y + start;
  d.y_width = op.y.w;
  d.y_pixel = op.y.pixel;
  d.sums = places.sums ? places.sums + block * op.sums.pixel + start : nullptr;
  d.kernel = op.kernel;
  d.stride = op.stride;
  d.dilation = op.dilation;
  d.left = op.left;
  d.activation = activation_of(op);
  float* const zeros = scratch;
  clear(zeros, d.channels);
  d.zeros = zeros;
  if (d.sums) clear(d.sums, d.channels);
  if (op.first) {
    float* const made = zeros + up(c.width, 16);
    d.first = most(0, first * op.stride - op.top);
    const int64_t end = least(op.x.h, (last - 1) * op.stride - op.top + (op.kernel - 1) * op.dilation + 1);
    expand(*op.first, places.x, d.first * op.x.w, end * op.x.w, c.pixels, start / PANEL, d.channels, made,
           made + up(c.lines * op.x.w * c.width, 16));
    d.x = made;
    d.pixel = d.channels;
  }
  depthwise_rows(op, d, first, last, !op.first);
}

}  // namespace
}  // namespace smidgen
