// What C gives as numbers, as kinds of their own: converted where it comes in, and refused there where it is unknown. A
// switch over one of them has no default, so that the compiler names every place that a new kind must be added to.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "smidgen.h"

namespace smidgen {

enum class FloatType : int32_t {
  float32 = SMIDGEN_FLOAT32,
  bfloat16 = SMIDGEN_BFLOAT16,
  float16 = SMIDGEN_FLOAT16,
};
enum class Kind : int32_t {
  conv = SMIDGEN_CONV,
  depthwise = SMIDGEN_DEPTHWISE,
  pool = SMIDGEN_POOL,
  mean = SMIDGEN_MEAN,
  pointwise = SMIDGEN_POINTWISE,
  transpose = SMIDGEN_TRANSPOSE,
};
enum class Activation : int32_t {
  identity = SMIDGEN_IDENTITY,
  relu = SMIDGEN_RELU,
  relu6 = SMIDGEN_RELU6,
  silu = SMIDGEN_SILU,
  sigmoid = SMIDGEN_SIGMOID,
};
enum class Pool : int32_t {
  max = SMIDGEN_MAX,
  average = SMIDGEN_AVERAGE,
  average_inside = SMIDGEN_AVERAGE_INSIDE,
};
enum class Space : int32_t {
  nowhere = SMIDGEN_NOWHERE,
  arena = SMIDGEN_ARENA,
  input = SMIDGEN_INPUT,
  output = SMIDGEN_OUTPUT,
};

constexpr bool known(FloatType type) {
  switch (type) {
    case FloatType::float32:
    case FloatType::bfloat16:
    case FloatType::float16: return true;
  }
  return false;
}
constexpr bool known(Kind kind) {
  switch (kind) {
    case Kind::conv:
    case Kind::depthwise:
    case Kind::pool:
    case Kind::mean:
    case Kind::pointwise:
    case Kind::transpose: return true;
  }
  return false;
}
constexpr bool known(Activation activation) {
  switch (activation) {
    case Activation::identity:
    case Activation::relu:
    case Activation::relu6:
    case Activation::silu:
    case Activation::sigmoid: return true;
  }
  return false;
}
constexpr bool known(Pool pool) {
  switch (pool) {
    case Pool::max:
    case Pool::average:
    case Pool::average_inside: return true;
  }
  return false;
}
constexpr bool known(Space space) {
  switch (space) {
    case Space::nowhere:
    case Space::arena:
    case Space::input:
    case Space::output: return true;
  }
  return false;
}

// Of what has been found known.
inline FloatType type_of(const smidgen_shift_conv& conv) { return static_cast<FloatType>(conv.type); }
inline Kind kind_of(const smidgen_op& op) { return static_cast<Kind>(op.kind); }
inline Activation before_of(const smidgen_op& op) { return static_cast<Activation>(op.before); }
inline Activation activation_of(const smidgen_op& op) { return static_cast<Activation>(op.activation); }
inline Activation then_of(const smidgen_op& op) { return static_cast<Activation>(op.then); }
inline Pool pool_of(const smidgen_op& op) { return static_cast<Pool>(op.pool); }
inline Space space_of(const smidgen_view& view) { return static_cast<Space>(view.space); }

// Whether all that an operation is told is known. Maps of other types than float32 no kernel takes yet.
inline bool known(const smidgen_op& op) {
  for (const smidgen_view* view : {&op.x, &op.y, &op.add, &op.gate, &op.sums})
    if (!known(space_of(*view))) return false;
  if (op.first && (kind_of(op) != Kind::depthwise || kind_of(*op.first) != Kind::conv || op.first->first ||
                   !known(*op.first)))
    return false;
  return known(kind_of(op)) && static_cast<FloatType>(op.type) == FloatType::float32 && known(before_of(op)) &&
         known(activation_of(op)) && known(then_of(op)) && known(pool_of(op)) && (op.winograd & ~1) == 0;
}

}  // namespace smidgen
