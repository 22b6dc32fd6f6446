// Vectors of LANES floats of the instruction set that a file is compiled for. In a namespace without a name, so
// that each instruction set has its own.
#pragma once

#include <cstdint>
#include <cstring>

#include "numbers.hpp"

namespace smidgen {
namespace {

#if defined(__AVX512F__)
constexpr int64_t LANES = 16, ROWS = 12;
#elif defined(__AVX2__)
constexpr int64_t LANES = 8, ROWS = 6;
#else
constexpr int64_t LANES = 4, ROWS = 4;
#endif
constexpr int64_t PANEL = 2 * LANES;  // columns of a tile: ROWS * 2 sums stay in registers

typedef float Vector __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
typedef int32_t Integers __attribute__((vector_size(LANES * sizeof(int32_t)), aligned(4), may_alias));

inline Vector load(const float* from) { return *reinterpret_cast<const Vector*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<Vector*>(to) = value; }
inline Vector broadcast(float value) { return value - Vector{}; }  // x - 0 is x, in every bit: nothing is computed

// The first `count` of a vector; zero beyond.
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

// Not a number stays not a number, as the first operand of both.
inline Vector at_least(Vector x, float low) { return low > x ? broadcast(low) : x; }
inline Vector at_most(Vector x, float high) { return high < x ? broadcast(high) : x; }
inline Vector greater(Vector a, Vector b) { return a > b ? a : b; }

// e^x, to 5e-7 of itself between e^-87 and e^88; flat beyond.
inline Vector exponential(Vector x) {
  constexpr float log2e = 1.44269504f, ln2 = 0.693147181f, to_integer = 12582912.0f;  // 1.5 * 2^23
  x = at_most(at_least(x, -87.0f), 88.0f);
  const Vector shifted = x * log2e + to_integer;
  const Vector rest = x - (shifted - to_integer) * ln2;  // in [-ln2 / 2, ln2 / 2]
  // Polynomial of degree 5 with the least relative error that begins with 1 + x: 1.1e-7.
  Vector power = rest * 8.31252495e-3f + 4.18901137e-2f;
  power = power * rest + 1.66671145e-1f;
  power = power * rest + 4.99992318e-1f;
  power = power * rest + 1.0f;
  power = power * rest + 1.0f;
  return reinterpret_cast<Vector>(reinterpret_cast<Integers>(power) +
                                  (reinterpret_cast<Integers>(shifted) << 23));
}
inline Vector sigmoid(Vector x) { return 1.0f / (1.0f + exponential(-x)); }

}  // namespace
}  // namespace smidgen
