// The operations of whole networks, written once on vectors of LANES floats; the build compiles this file for each
// instruction set, with SMIDGEN_OPS as the name of its table. Nothing but the table may leave it: a template of the
// standard library compiled here could stand in for the same one elsewhere, on a processor without these instructions.

#include "infer/convolution.hpp"
#include "infer/depthwise.hpp"
#include "infer/ops.hpp"
#include "infer/softmax.hpp"
#include "infer/winograd.hpp"

namespace smidgen {
namespace {

// The largest of a window that lies inside, or its sum times `share`; whole vectors of channels. Returns how many
// channels are done.
template <int64_t KERNEL, bool MAXIMUM>
int64_t pool_window(const float* x, int64_t pixel, int64_t line, int64_t channels, float share, float* y) {
  int64_t c = 0;
  for (; c + LANES <= channels; c += LANES) {
    Vector value = load(x + c);
    each<KERNEL * KERNEL - 1>([&](auto i) {
      constexpr int64_t place = decltype(i)::value + 1;
      const Vector one = load(x + c + place / KERNEL * line + place % KERNEL * pixel);
      value = MAXIMUM ? greater(value, one) : value + one;
    });
    store(y + c, MAXIMUM ? value : value * share);
  }
  return c;
}

void pool(const smidgen_op& op, const Places& places, int64_t part, int64_t parts) {
  const int64_t pixel = op.x.pixel, line = op.x.w * pixel;
  for (int64_t row = op.y.h * part / parts; row < op.y.h * (part + 1) / parts; ++row)
    for (int64_t column = 0; column < op.y.w; ++column) {
      const int64_t top = row * op.stride - op.top, left = column * op.stride - op.left;
      const int64_t h0 = most(0, top), h1 = least(op.x.h, top + op.kernel);
      const int64_t w0 = most(0, left), w1 = least(op.x.w, left + op.kernel);
      int64_t counted = (h1 - h0) * (w1 - w0);
      const bool inside = counted == op.kernel * op.kernel, maximum = pool_of(op) == Pool::max;
      if (pool_of(op) == Pool::average)
        counted = (least(op.x.h + op.padding, top + op.kernel) - top) *
                  (least(op.x.w + op.padding, left + op.kernel) - left);
      const float* const x = places.x + h0 * line + w0 * pixel;
      float* const y = places.y + (row * op.y.w + column) * op.y.pixel;
      int64_t c = 0;
      const float share = 1.0f / static_cast<float>(counted);
      if (inside && op.kernel == 3)
        c = maximum ? pool_window<3, true>(x, pixel, line, op.x.c, share, y)
                    : pool_window<3, false>(x, pixel, line, op.x.c, share, y);
      if (inside && op.kernel == 2)
        c = maximum ? pool_window<2, true>(x, pixel, line, op.x.c, share, y)
                    : pool_window<2, false>(x, pixel, line, op.x.c, share, y);
      for (; c < op.x.c; c += LANES) {
        const int64_t count = least(LANES, op.x.c - c);
        Vector value = maximum ? broadcast(-__builtin_inff()) : Vector{};
        for (int64_t h = 0; h < h1 - h0; ++h)
          for (int64_t w = 0; w < w1 - w0; ++w) {
            const Vector one = load(x + h * line + w * pixel + c, count);
            value = maximum ? greater(value, one) : value + one;
          }
        store(y + c, maximum ? value : value * share, count);
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
  const Activation before = before_of(op), then = then_of(op);
  const bool gates_only = places.gate && !op.scale && before == Activation::identity && !places.add &&
                          then == Activation::identity;
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
      activate<1>(before, &value);
      if (gate) value *= load(gate + c, count);
      if (add) value += load(add + c, count);
      activate<1>(then, &value);
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
  switch (kind_of(op)) {
    case Kind::conv: return op.winograd ? winograd_parts(op) : convolution_parts(op);
    case Kind::depthwise: return depthwise_parts(op);
    case Kind::pool: return even(clamped(outputs * op.kernel * op.kernel / (64 * 1024), 1, enough), op.y.h);
    case Kind::mean:
      return even(clamped(op.x.h * op.x.w * op.x.c / (32 * 1024), 1, enough), ceil_div(op.x.c, LANES));
    case Kind::pointwise: return even(clamped(outputs / (16 * 1024), 1, enough), op.y.h * op.y.w);
    case Kind::transpose: return 1;
  }
  __builtin_unreachable();
}

int64_t scratch_floats(const smidgen_op& op) {
  switch (kind_of(op)) {
    case Kind::conv: return op.winograd ? winograd_scratch(op) : convolution_scratch(op);
    case Kind::depthwise: return depthwise_scratch(op);
    case Kind::pointwise: return op.x.c;
    case Kind::pool:
    case Kind::mean:
    case Kind::transpose: return 0;
  }
  __builtin_unreachable();
}

void run(const smidgen_op& op, const Places& places, int64_t part, float* scratch) {
  switch (kind_of(op)) {
    case Kind::conv: return op.winograd ? winograd(op, places, part, scratch) : convolve(op, places, part, scratch);
    case Kind::depthwise: return depthwise(op, places, part, scratch);
    case Kind::pool: return pool(op, places, part, parts(op));
    case Kind::mean: return mean(op, places, part, parts(op));
    case Kind::pointwise: return pointwise(op, places, part, parts(op), scratch);
    case Kind::transpose: return transpose(op, places);
  }
}

// Enough sums that none waits for another: what a unit takes for one, times how many it begins meanwhile.
int64_t multiply_adds(int64_t rounds) {
  constexpr int64_t SUMS = 12;
  volatile float anything = 0.5f;  // so that nothing is known to the compiler
  const Vector factor = broadcast(anything), addend = broadcast(anything);
  Vector sums[SUMS];
  each<SUMS>([&](auto i) { sums[i] = broadcast(anything); });
  for (int64_t round = 0; round < rounds; ++round) each<SUMS>([&](auto i) { sums[i] = sums[i] * factor + addend; });
  each<SUMS>([&](auto i) { anything = sums[i][0]; });
  return rounds * SUMS * LANES;
}

}  // namespace

extern const OpKernels SMIDGEN_OPS = {PANEL, packed_floats,  pack, parts, depthwise_sums,
                                      scratch_floats, run, softmax, multiply_adds};

}  // namespace smidgen
