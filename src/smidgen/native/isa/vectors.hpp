// Vectors of LANES floats of the instruction set that a file is compiled for. In a namespace without a name, so
// that each instruction set has its own.
#pragma once

#include <cstdint>
#include <cstring>

#include "isa/numbers.hpp"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace smidgen {
namespace {

#if defined(__AVX512F__)
constexpr int64_t LANES = 16, ROWS = 12;
#elif defined(__AVX2__)
constexpr int64_t LANES = 8, ROWS = 6;
#elif defined(__aarch64__)  // NEON, with 32 registers
constexpr int64_t LANES = 4, ROWS = 8;
#else
constexpr int64_t LANES = 4, ROWS = 4;
#endif
constexpr int64_t PANEL = 2 * LANES;  // columns of a tile: ROWS * 2 sums stay in registers

typedef float Vector __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
typedef int32_t Integers __attribute__((vector_size(LANES * sizeof(int32_t)), aligned(4), may_alias));

inline Vector load(const float* from) { return *reinterpret_cast<const Vector*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<Vector*>(to) = value; }
inline Vector broadcast(float value) { return value - Vector{}; }  // x - 0 is x, in every bit: nothing is computed

// Calls body(0), body(1), … with constants: an array that is only reached so stays in registers.
template <int64_t NUMBER>
struct Constant {
  static constexpr int64_t value = NUMBER;
  constexpr operator int64_t() const { return NUMBER; }
};
template <int64_t COUNT, class Body>
[[gnu::always_inline]] constexpr void each(Body&& body) {
  if constexpr (COUNT > 0) {
    each<COUNT - 1>(body);
    body(Constant<COUNT - 1>{});
  }
}

// The first `count` of a vector; zero beyond.
#if defined(__AVX512F__)
inline __mmask16 first(int64_t count) {
  return static_cast<__mmask16>(count >= LANES ? 0xffff : (1u << count) - 1);
}
inline Vector load(const float* from, int64_t count) { return (Vector)_mm512_maskz_loadu_ps(first(count), from); }
inline void store(float* to, Vector value, int64_t count) { _mm512_mask_storeu_ps(to, first(count), (__m512)value); }
#else
inline Vector load(const float* from, int64_t count) {
  if (count >= LANES) return load(from);
  float all[LANES] = {};
  for (int64_t i = 0; i < count; ++i) all[i] = from[i];
  return load(all);
}
inline void store(float* to, Vector value, int64_t count) {
  if (count >= LANES) return store(to, value);
  float all[LANES];
  store(all, value);
  for (int64_t i = 0; i < count; ++i) to[i] = all[i];
}
#endif

// Of two numbers; where either is not a number, the second. (The compiler makes a comparison and a choice of what
// the processor does at once.)
#if defined(__AVX512F__)
inline Vector greater(Vector a, Vector b) { return (Vector)_mm512_max_ps((__m512)a, (__m512)b); }
inline Vector smaller(Vector a, Vector b) { return (Vector)_mm512_min_ps((__m512)a, (__m512)b); }
#elif defined(__AVX2__)
inline Vector greater(Vector a, Vector b) { return (Vector)_mm256_max_ps((__m256)a, (__m256)b); }
inline Vector smaller(Vector a, Vector b) { return (Vector)_mm256_min_ps((__m256)a, (__m256)b); }
#else
inline Vector greater(Vector a, Vector b) { return a > b ? a : b; }
inline Vector smaller(Vector a, Vector b) { return a < b ? a : b; }
#endif

// Not a number stays not a number.
inline Vector at_least(Vector x, float low) { return greater(broadcast(low), x); }
inline Vector at_most(Vector x, float high) { return smaller(broadcast(high), x); }

// e^-x to 5e-6 of itself between -87 and 87, nearer to 0 to 5e-7. Beyond, it is flat, or goes on to 0 and infinity.
#if defined(__AVX512F__)
// 2^part, and a step of the processor that multiplies by powers of two. The polynomial of degree 5 with the least
// relative error on [0, 1] among those that begin with 1: 8.2e-8.
inline Vector exponential_of_minus(Vector x) {
  constexpr int down = 1;  // rounds so
  const __m512 exponent = (__m512)(x * -1.44269504f);
  const Vector part = (Vector)_mm512_reduce_ps(exponent, down);
  Vector power = part * 1.867135690e-3f + 9.017015923e-3f;
  power = power * part + 5.579992608e-2f;
  power = power * part + 2.401644454e-1f;
  power = power * part + 6.931513124e-1f;
  power = power * part + 1.0f;
  return (Vector)_mm512_scalef_ps((__m512)power, exponent);
}
#else
inline Vector exponential_of_minus(Vector x) {
  constexpr float minus_log2e = -1.44269504f, to_integer = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded
  x = at_most(at_least(x, -87.0f), 87.0f);
  const Vector shifted = x * minus_log2e + to_integer;
  const Vector rest = x * minus_log2e - (shifted - to_integer);  // in [-1/2, 1/2]
  // 2^rest by the polynomial of degree 5 with the least relative error among those that begin with 1: 9.2e-8.
  Vector power = rest * 1.326472729e-3f + 9.671512739e-3f;
  power = power * rest + 5.550733744e-2f;
  power = power * rest + 2.402224208e-1f;
  power = power * rest + 6.931469776e-1f;
  power = power * rest + 1.0f;
  return (Vector)((Integers)power + ((Integers)shifted << 23));
}
#endif
inline Vector sigmoid(Vector x) { return 1.0f / (1.0f + exponential_of_minus(x)); }
inline Vector silu(Vector x) { return x / (1.0f + exponential_of_minus(x)); }

}  // namespace
}  // namespace smidgen
