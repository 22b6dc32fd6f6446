// Elements of maps and weights: how they lie in memory, and as what they are multiplied.
#pragma once

#include <cstdint>
#include <cstring>

#include "smidgen.h"

namespace smidgen {
namespace {

// `Stored` in memory, `Number` where they are multiplied, which is the same or float.
struct Float32 {
  using Stored = float;
  using Number = float;
  static float load(Stored value) { return value; }
  static Stored store(float value) { return value; }
};

struct BFloat16 {
  using Stored = uint16_t;
#if defined(SMIDGEN_PAIRS)
  using Number = Stored;
#else
  using Number = float;
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
  using Number = float;
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

template <class Kind>
constexpr bool multiplied_as_stored = sizeof(typename Kind::Stored) == sizeof(typename Kind::Number);

template <class Kind>
typename Kind::Number to_number(typename Kind::Stored value) {
  if constexpr (multiplied_as_stored<Kind>)
    return value;
  else
    return Kind::load(value);
}
template <class Kind>
typename Kind::Stored to_stored(typename Kind::Number value) {
  if constexpr (multiplied_as_stored<Kind>)
    return value;
  else
    return Kind::store(value);
}

// With SMIDGEN_PAIRS the kernels are those of bfloat16 alone, which the processor multiplies in pairs.
template <class Body>
void with_type([[maybe_unused]] int32_t type, Body&& body) {
#if defined(SMIDGEN_PAIRS)
  body(BFloat16{});
#else
  switch (type) {
    case SMIDGEN_BFLOAT16: return body(BFloat16{});
    case SMIDGEN_FLOAT16: return body(Float16{});
    default: return body(Float32{});
  }
#endif
}

}  // namespace
}  // namespace smidgen
