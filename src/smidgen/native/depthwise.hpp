// Depthwise convolutions: each channel by itself.
#pragma once

#include "tiles.hpp"

namespace smidgen {
namespace {

// `activate` where the code would grow too much.
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

}  // namespace
}  // namespace smidgen
