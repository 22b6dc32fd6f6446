// Shifts and shift + 1x1 of whole batches: what is computed in which parts.

#include <algorithm>
#include <cstring>
#include <new>

#include "isa/isa.hpp"
#include "isa/numbers.hpp"
#include "smidgen.h"
#include "threads.hpp"
#include "train/shift_kernels.hpp"
#include "train/worked.hpp"

namespace smidgen {
namespace {

// The kernels for elements of a type.
const ShiftKernels& kernels(FloatType type) {
  return type == FloatType::bfloat16 && isa().shifts_bfloat16 ? *isa().shifts_bfloat16 : *isa().shifts;
}

int64_t size_of(FloatType type) {
  switch (type) {
    case FloatType::float32: return 4;
    case FloatType::bfloat16:
    case FloatType::float16: return 2;
  }
  __builtin_unreachable();
}

// Of a number where it is multiplied: a float, or one of a pair.
int64_t number_bytes(const smidgen_shift_conv& conv, const ShiftKernels& use) {
  return static_cast<int64_t>(sizeof(float)) / (type_of(conv) == FloatType::float32 ? 1 : use.together);
}

// Whether the products read the input where it lies. With many output channels, copying together what each pixel
// reads, once, costs less than reading it from nine places for each panel of them.
bool reads_in_place(const smidgen_shift_conv& conv, const Shift& shift, const ShiftKernels& use) {
  const bool moves = shift.up || shift.down || shift.left || shift.right || shift.stride > 1;
  const bool multiplied_as_stored = number_bytes(conv, use) == size_of(type_of(conv));
  return multiplied_as_stored && conv.maps.channels_last && (!moves || conv.c_out < 128);
}

// Pixels of the output that are computed at a time: what they read and write, as numbers of so many bytes, stays in a near
// cache; and there are as many blocks as threads want, if not of too few pixels.
int64_t block_pixels(const ShiftConv& conv, int64_t bytes, int64_t wanted) {
  constexpr int64_t cached = 256 * 1024, shortest = 24;
  const int64_t fitting = clamped(cached / bytes / most(1, conv.shift.maps.c + conv.c_out), shortest, longest_block);
  const int64_t plane = conv.shift.height * conv.shift.width;
  const int64_t shared = clamped(ceil_div(wanted, most(1, conv.shift.maps.n)), 1, most(1, plane / shortest));
  const int64_t blocks = most(shared, ceil_div(plane, fitting));
  return most(1, least(longest_block, ceil_div(ceil_div(plane, blocks), 12) * 12));  // whole tiles, mostly
}

}  // namespace
}  // namespace smidgen

using namespace smidgen;

int32_t smidgen_shift2d(const smidgen_maps* maps, const int64_t* runs, int64_t n_runs, int32_t bytes,
                        const void* x, void* y, int32_t threads) try {
  const int64_t rows = maps->n * (maps->channels_last ? maps->h : maps->c);
  const int64_t size = maps->n * maps->c * maps->h * maps->w * bytes;
  if (size == 0) return 0;
  const ShiftKernels& use = *isa().shifts;
  constexpr int64_t large = 24 << 20, line = 64;  // a line of the cache: parts of one are better not written past it
  Worked worked(*maps, runs, n_runs, 1, bytes);
  if (use.masks && !maps->channels_last) worked.mask_planes(bytes, y, threads);
  worked.shift.streams = size >= large && maps->h * maps->w * bytes % line == 0;
  const int64_t useful = useful_threads(threads, size, 64 * 1024);
  const int64_t parts = least(rows, parts_for(useful));
  on_host_team(threads, parts, [&](int64_t part) {
    use.shift_rows(worked.shift, bytes, x, y, bound(rows, part, parts), bound(rows, part + 1, parts));
  });
  return 0;
} catch (const std::bad_alloc&) {
  return SMIDGEN_NO_MEMORY;
}

int32_t smidgen_shift_conv_forward(const smidgen_shift_conv* given, const void* x, const void* weight,
                                   const void* bias, void* y, int32_t threads) try {
  if (!known(type_of(*given))) return SMIDGEN_UNKNOWN;
  const FloatType type = type_of(*given);
  const ShiftKernels& use = kernels(type);
  const int64_t channels = given->maps.c, out = given->c_out;
  Worked worked(given->maps, given->runs, given->n_runs, given->stride, size_of(type));
  if (reads_in_place(*given, worked.shift, use)) worked.classify(use);
  if (worked.shift.n_classes == 0) worked.step_through(use, channels);
  const ShiftConv conv{worked.shift, out, type};
  const int64_t plane = conv.shift.height * conv.shift.width;
  if (given->maps.n * plane * out == 0) return 0;
  const int64_t columns = up(out, use.panel);
  const Floats packed = worked.packed(use, conv.type, {weight, out, 1, channels}, threads), start = floats(columns);
  if (bias) use.widen(conv.type, bias, out, start.get());
  std::fill(start.get() + out, start.get() + columns, 0.0f);

  const int64_t useful = useful_threads(threads, given->maps.n * plane * out * channels, 64 * 1024);
  const int64_t pixels = block_pixels(conv, number_bytes(*given, use), parts_for(useful));
  const int64_t in_image = ceil_div(plane, pixels), blocks = given->maps.n * in_image;
  const int64_t parts = least(blocks, parts_for(useful));
  const int64_t scratch = conv.shift.n_classes ? 0 : use.scratch_floats(conv, pixels, false);
  const Floats memory = floats(parts * scratch);
  on_host_team(threads, parts, [&](int64_t part) {
    for (int64_t number = bound(blocks, part, parts); number < bound(blocks, part + 1, parts); ++number) {
      const int64_t first = number % in_image * pixels;
      const Block block{number / in_image, first, least(first + pixels, plane)};
      use.forward(conv, x, packed.get(), bias ? start.get() : nullptr, y, block, memory.get() + part * scratch);
    }
  });
  return 0;
} catch (const std::bad_alloc&) {
  return SMIDGEN_NO_MEMORY;
}

int32_t smidgen_shift_conv_backward(const smidgen_shift_conv* given, const void* x, const void* weight,
                                    const void* grad_y, void* grad_x, void* grad_weight, void* grad_bias,
                                    int32_t threads) try {
  if (!known(type_of(*given))) return SMIDGEN_UNKNOWN;
  const FloatType type = type_of(*given);
  const ShiftKernels& use = kernels(type);
  const int64_t images = given->maps.n, channels = given->maps.c, out = given->c_out;
  Worked worked(given->maps, given->runs, given->n_runs, given->stride, size_of(type));
  worked.step_through(use, out);
  const ShiftConv conv{worked.shift, out, type};
  const Floats packed = worked.packed(use, conv.type, {weight, grad_x ? channels : 0, channels, 1}, threads);

  // Each part sums its own images, and the parts are summed in order: the bits depend on how many there are,
  // not on which thread was faster.
  const int64_t pixels = block_pixels(conv, number_bytes(*given, use), 1);
  const int64_t work = images * conv.shift.height * conv.shift.width * out * channels;
  const int64_t parts = most(1, least(images, useful_threads(threads, work, 32 * 1024)));
  const int64_t breadth = up(out, use.panel), sums = grad_weight ? channels * breadth : 0;
  const int64_t each = sums + out + use.scratch_floats(conv, pixels, true);
  const Floats memory = floats(parts * each);
  on_host_team(threads, parts, [&](int64_t part) {
    float* const weights = memory.get() + part * each;
    float* const biases = weights + sums;
    std::memset(weights, 0, static_cast<size_t>(sums + out) * sizeof(float));
    for (int64_t image = bound(images, part, parts); image < bound(images, part + 1, parts); ++image)
      use.backward(conv, x, packed.get(), grad_y, image, pixels, grad_x, grad_weight ? weights : nullptr,
                   grad_bias ? biases : nullptr, biases + out);
  });
  for (int64_t part = 1; part < parts; ++part)
    for (int64_t i = 0; i < sums + out; ++i) memory[i] += memory[part * each + i];
  if (grad_weight) use.unpack(conv.type, memory.get(), out, channels, 1, breadth, grad_weight);
  if (grad_bias) use.unpack(conv.type, memory.get() + sums, 1, out, out, 1, grad_bias);
  return 0;
} catch (const std::bad_alloc&) {
  return SMIDGEN_NO_MEMORY;
}
