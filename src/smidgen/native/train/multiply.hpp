// The product of shifts and their gradients: its steps lie anywhere, in rows and in panels.
#pragma once

#include <type_traits>
#include <utility>

#include "product/product.hpp"
#include "product/types.hpp"
#include "train/shift_kernels.hpp"

namespace smidgen {
namespace {

// The steps of a sum: a[i][a_at[k]] * b[b_at[k] + j]; where it PICKS, behind them those whose two numbers lie apart.
// The places `a_at` are what makes a shift free: the convolution reads each channel where its pixel looks.
template <bool PICKS>
struct Steps {
  int64_t count;
  const int64_t *a_at, *b_at;
  int64_t n_picked = 0;
  const Picked* picked = nullptr;

  template <class Element, int64_t WIDTH, class Body>
  [[gnu::always_inline]] void each(const float* b, const Body& body) const {
    using Number = typename Element::Number;
    const int64_t *a = a_at, *panel = b_at;
    for (const int64_t* const end = a + count; a < end; ++a, ++panel)
      body([&](const Number* row) { return Element::taken(row + *a); }, b, *panel);
    if constexpr (PICKS && Element::TOGETHER == 2)
      for (const Picked *from = picked, *const end = from + n_picked; from < end; ++from, ++panel)
        body([&](const Number* row) { return Element::taken(row, from->low, from->high, from->lows, from->highs); }, b,
             *panel);
  }
};

template <class Element>
using PickingSteps = Steps<(Element::TOGETHER > 1)>;

// Columns that are computed of those that are left: whole vectors.
constexpr int64_t whole(int64_t columns) { return least(PANEL, up(columns, LANES)); }

#if defined(SMIDGEN_PAIRS)
inline Vector widened(const uint16_t* from) {
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return (Vector)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
}
inline void store(uint16_t* to, Vector sum) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh((__m512)sum));
}
#endif
inline Vector widened(const float* from) { return load(from); }

// What becomes of sums: they start from `start` or from zero, and are stored, or added to what is there, in up to PANEL
// columns of c from `first` on. Only floats are added to. `start` is read to a whole vector.
template <class To>
struct Sums {
  static constexpr bool ONE_PANEL = true;
  const float* start;
  bool adds;
  int64_t columns, first;
  To* const* c;  // where each row begins

  template <int64_t HEIGHT, int64_t WIDTH>
  struct Tile;
};

// Rows of a tile that end within a vector, from where its sums were put.
template <class To>
[[gnu::noinline]] void store_parts(const Sums<To>& whole, const float* sums, int64_t rows, int64_t width) {
  for (int64_t i = 0; i < rows; ++i, sums += width) {
    To* const to = whole.c[i] + whole.first;
    for (int64_t j = 0; j < whole.columns; ++j) {
      if constexpr (std::is_same_v<To, float>)
        to[j] = whole.adds ? to[j] + sums[j] : sums[j];
      else
        to[j] = BFloat16::store(sums[j]);
    }
  }
}

template <class To>
template <int64_t HEIGHT, int64_t WIDTH>
struct Sums<To>::Tile {
  const Sums& s;

  template <class Depth>
  [[gnu::always_inline]] Tile(const Sums& s, const Depth&) : s(s) {}

  [[gnu::always_inline]] void start(int64_t, Vector* sums) const {
    each<HEIGHT * WIDTH>([&](auto i) { sums[i] = s.start ? load(s.start + i % WIDTH * LANES) : Vector{}; });
  }

  [[gnu::always_inline]] void finish(int64_t, const Vector* sums) const {
    if (s.columns < WIDTH * LANES) {
      float all[HEIGHT * WIDTH * LANES];
      each<HEIGHT * WIDTH>([&](auto i) { store(all + i * LANES, sums[i]); });
      return store_parts(s, all, HEIGHT, WIDTH * LANES);
    }
    To* const* const c = s.c;  // what is stored might be these, for all that the compiler knows
    const int64_t first = s.first;
    const bool adds = s.adds;
    each<HEIGHT * WIDTH>([&](auto i) {
      To* const to = c[i / WIDTH] + first + i % WIDTH * LANES;
      if constexpr (std::is_same_v<To, float>)
        store(to, adds ? load(to) + sums[i] : sums[i]);
      else
        store(to, sums[i]);
    });
  }
};

// Memory that is needed soon, asked for a little at a time: all at once would hold up what is needed now.
struct Ahead {
  const char *next = nullptr, *end = nullptr;
  int64_t step = 0;  // bytes a time
  // With a stride, much of what lies between is read by nobody: of one output pixel after the other, from the unmoved
  // input pixel at `next` on, the lines are asked for that it is the first to read. (Those over the edge are of no use.)
  const Shift* strided = nullptr;
  int64_t pixels = 0, column = 0, line = 0, pixel = 0;  // the last in bytes

  void some() {
    if (strided) return some_lines();
    for (const char* const until = step < end - next ? next + step : end; next < until; next += 64)
      __builtin_prefetch(next, 0, 2);
  }

  void some_lines() {
    for (int64_t left = step; left > 0 && pixels > 0; left -= 64) {
      __builtin_prefetch(next + strided->lines[line], 0, 2);
      if (++line == strided->n_lines) next_pixel();
    }
  }

  void next_pixel() {
    line = 0;
    --pixels;
    next += strided->stride * pixel;
    if (++column < strided->width) return;
    column = 0;
    next += strided->stride * (strided->maps.w - strided->width) * pixel;
  }
};

// All rows against one panel. `sums` moves on with them, where the caller made it: a copy of what was just written
// part by part would wait until all of it, and the results before it, are stored.
template <class Element, bool PICKS, class To>
void multiply(const Steps<PICKS>& steps, Sums<To>&& sums, int64_t rows, const typename Element::Number* const* a,
              const float* b, Ahead& ahead) {
  using Ends = Sums<To>;
  const bool wide = sums.columns > LANES;
  for (; rows >= ROWS; rows -= ROWS, a += ROWS, sums.c += ROWS) {
    ahead.some();
    wide ? tile<Element, Steps<PICKS>, Ends, ROWS, 2>(steps, a, b, 0, 1, sums)
         : tile<Element, Steps<PICKS>, Ends, ROWS, 1>(steps, a, b, 0, 1, sums);
  }
  if (rows) tiles<Element, Steps<PICKS>, Ends>.all[wide][rows](steps, a, b, 0, 1, sums);
}
template <class Element, bool PICKS, class To>
void multiply(const Steps<PICKS>& steps, Sums<To> sums, int64_t rows, const typename Element::Number* const* a,
              const float* b) {
  Ahead nothing;
  multiply<Element>(steps, std::move(sums), rows, a, b, nothing);
}

}  // namespace
}  // namespace smidgen
