// Types of maps and weights: how their numbers lie in memory, and which element kind multiplies them.
#pragma once

#include <cstdint>
#include <cstring>

#include "product/elements.hpp"
#include "kinds.hpp"

namespace smidgen {
namespace {

// `Stored` in memory, `Element::Number` where they are multiplied, which is the same or float.
struct Float32 {
  using Stored = float;
  using Element = Floats;
  static float load(Stored value) { return value; }
  static Stored store(float value) { return value; }
};

struct BFloat16 {
  using Stored = uint16_t;
#if defined(SMIDGEN_PAIRS)
  using Element = Pairs;
#else
  using Element = Floats;
#endif
  static float load(Stored value) {
    const uint32_t bits = static_cast<uint32_t>(value) << 16;
    float result;
    std::memcpy(&result, &bits, 4);
    return result;
  }
  static Stored store(float value) {  // to the nearest, ties to even; NaN stays NaN
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<Stored>((bits >> 16) | 0x40);
    return static_cast<Stored>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  }
};

struct Float16 {
  using Stored = uint16_t;
  using Element = Floats;
  static float load(Stored value) {
    const uint32_t sign = static_cast<uint32_t>(value & 0x8000) << 16;
    const uint32_t magnitude = static_cast<uint32_t>(value & 0x7fff) << 13;
    float result;
    if ((value & 0x7c00) == 0x7c00) {  // infinity or NaN
      const uint32_t bits = sign | magnitude | 0x7f800000u;
      std::memcpy(&result, &bits, 4);
      return result;
    }
    // A multiplication by 2^112 moves the exponent, and makes subnormal numbers right too.
    std::memcpy(&result, &magnitude, 4);
    result *= 0x1p112f;
    return sign ? -result : result;
  }
  static Stored store(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    const uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<Stored>(sign | 0x7e00);
    if (magnitude >= 0x477ff000u) return static_cast<Stored>(sign | 0x7c00);  // from 65520 on: infinity
    if (magnitude < 0x38800000u) {  // subnormal: whole multiples of 2^-24, rounded by the addition
      float small;
      std::memcpy(&small, &magnitude, 4);
      small += 0.5f;  // 2^-24 is its last place
      uint32_t rounded;
      std::memcpy(&rounded, &small, 4);
      return static_cast<Stored>(sign | (rounded - 0x3f000000u));
    }
    const uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
    return static_cast<Stored>(sign | ((rounded - 0x38000000u) >> 13));
  }
};

template <class Type>
using NumberOf = typename Type::Element::Number;

template <class Type>
constexpr bool multiplied_as_stored = sizeof(typename Type::Stored) == sizeof(NumberOf<Type>);

template <class Type>
NumberOf<Type> to_number(typename Type::Stored value) {
  if constexpr (multiplied_as_stored<Type>)
    return value;
  else
    return Type::load(value);
}
template <class Type>
typename Type::Stored to_stored(NumberOf<Type> value) {
  if constexpr (multiplied_as_stored<Type>)
    return value;
  else
    return Type::store(value);
}

// With SMIDGEN_PAIRS the kernels are those of bfloat16 alone, which the processor multiplies in pairs.
template <class Body>
void with_type([[maybe_unused]] FloatType type, Body&& body) {
#if defined(SMIDGEN_PAIRS)
  body(BFloat16{});
#else
  switch (type) {
    case FloatType::bfloat16: return body(BFloat16{});
    case FloatType::float16: return body(Float16{});
    case FloatType::float32: return body(Float32{});
  }
#endif
}

}  // namespace
}  // namespace smidgen
