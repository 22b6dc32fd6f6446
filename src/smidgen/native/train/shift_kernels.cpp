// The kernels of shifts, written once on vectors of LANES floats; the build compiles this file for each instruction set,
// with SMIDGEN_SHIFTS as the name of its table. Nothing but the table may leave this file: a template of the standard
// library compiled here could stand in for the same one elsewhere, on a processor without these instructions.

#include "train/shift_kernels.hpp"

#include "product/packing.hpp"
#include "train/backward.hpp"
#include "train/forward.hpp"
#if !defined(SMIDGEN_PAIRS)
#include "train/shift_rows.hpp"
#endif

namespace smidgen {
namespace {

void pack(FloatType type, const Matrix& matrix, const int64_t* order, int64_t steps, int64_t first, float* panel) {
  with_type(type, [&](auto kind) {
    using Type = decltype(kind);
    const auto* const start = static_cast<const typename Type::Stored*>(matrix.numbers) + first * matrix.column_step;
    auto column = [&](int64_t j) {
      return [&, from = start + j * matrix.column_step](int64_t k) -> NumberOf<Type> {
        if constexpr (Type::Element::TOGETHER == 1) return to_number<Type>(from[order[k] * matrix.row_step]);
        // (A branch would keep a step's columns from being packed at once.)
        const NumberOf<Type> number = to_number<Type>(from[most(order[k], 0) * matrix.row_step]);
        return order[k] < 0 ? NumberOf<Type>{} : number;
      };
    };
    const int64_t columns = least(PANEL, matrix.columns - first);
    pack_panel<typename Type::Element, STEP_BY_STEP>(steps, columns, PANEL, column, panel);
  });
}

void widen(FloatType type, const void* numbers, int64_t count, float* to) {
  with_type(type, [&](auto kind) {
    using Type = decltype(kind);
    const auto* from = static_cast<const typename Type::Stored*>(numbers);
    for (int64_t i = 0; i < count; ++i) to[i] = Type::load(from[i]);
  });
}

void unpack(FloatType type, const float* from, int64_t rows, int64_t columns, int64_t row_step, int64_t column_step,
            void* matrix) {
  with_type(type, [&](auto kind) {
    using Type = decltype(kind);
    auto* to = static_cast<typename Type::Stored*>(matrix);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) *to++ = Type::store(from[i * row_step + j * column_step]);
  });
}

int64_t scratch_floats(const ShiftConv& conv, int64_t pixels, bool backward) {
  const int64_t depth = depth_of(conv), breadth = backward ? breadth_of(conv) : conv.c_out;
  return up(pixels, 2) * (depth + breadth) + converted_at_once * depth;
}

void forward(const ShiftConv& conv, const void* x, const float* packed, const float* bias, void* y,
             const Block& block, float* scratch) {
  with_type(conv.type, [&](auto kind) { forward_as<decltype(kind)>(conv, x, packed, bias, y, block, scratch); });
}

void backward(const ShiftConv& conv, const void* x, const float* packed, const void* grad_y, int64_t image,
              int64_t pixels, void* grad_x, float* grad_weight, float* grad_bias, float* scratch) {
  with_type(conv.type, [&](auto kind) {
    backward_as<decltype(kind)>(conv, x, packed, grad_y, image, pixels, grad_x, grad_weight, grad_bias, scratch);
  });
}

}  // namespace

#if defined(SMIDGEN_PAIRS)
constexpr auto shift_rows = nullptr;
constexpr bool masks_planes = false;
#endif
extern const ShiftKernels SMIDGEN_SHIFTS = {PANEL, BFloat16::Element::TOGETHER, masks_planes, shift_rows, pack, widen,
                                            unpack, scratch_floats, forward, backward};

}  // namespace smidgen
