// Element kinds of the packed product: what a step takes of a row of A and of a panel of B, and how it is added up. A new
// kind, of integers say, is another struct of this shape, and nothing else of the product. A word of a panel has 32 bits,
// whatever it holds.
#pragma once

#include <cstdint>
#include <cstring>

#include "isa/vectors.hpp"

namespace smidgen {
namespace {

// One number a step.
struct Floats {
  using Number = float;  // of a row
  using Word = float;    // of a panel
  using Line = Vector;   // a step's words of LANES columns
  using Sum = Vector;
  static constexpr int64_t TOGETHER = 1;  // numbers that a step takes

  static Line line(const float* words) { return load(words); }
  static Line taken(const Number* a) { return broadcast(*a); }  // what a step takes of a row, for all columns
  static Sum added(Sum sum, Line value, Line line) { return sum + value * line; }
  // The word of a step from its numbers of a column.
  template <class At>
  static Word word(const At& at) {
    return at(0);
  }
};

#if defined(SMIDGEN_PAIRS)
// Two numbers of bfloat16 a step, whose products the processor adds up at once.
struct Pairs {
  using Number = uint16_t;
  using Word = uint32_t;
  using Line = Vector;
  using Sum = Vector;
  static constexpr int64_t TOGETHER = 2;

  static Line line(const float* words) { return load(words); }
  static Line taken(const Number* a) {
    int32_t pair;
    std::memcpy(&pair, a, sizeof pair);
    return (Vector)_mm512_set1_epi32(pair);
  }
  // The same of two numbers that lie apart. lows, highs: the lanes of a vector that hold each, all even ones and all odd
  // ones, or none.
  static Line taken(const Number* a, int64_t low, int64_t high, uint32_t lows, uint32_t highs) {
    const __m512i one = _mm512_maskz_set1_epi16(lows, static_cast<int16_t>(a[low]));
    return (Vector)_mm512_mask_set1_epi16(one, highs, static_cast<int16_t>(a[high]));
  }
  static Sum added(Sum sum, Line pairs, Line line) {
    return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)line, (__m512bh)pairs);
  }
  template <class At>
  static Word word(const At& at) {
    return at(0) | static_cast<Word>(at(1)) << 16;
  }
};
#endif

}  // namespace
}  // namespace smidgen
