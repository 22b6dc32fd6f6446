// Products of small matrices, whose rows lie anywhere: those of the shift.
#pragma once

#include <type_traits>

#include "isa/vectors.hpp"
#include "product/elements.hpp"
#include "train/shift_kernels.hpp"

namespace smidgen {
namespace {

// Numbers of a row that one step of a sum takes: pairs of bfloat16 are multiplied at once.
template <class Number>
constexpr int64_t TOGETHER = sizeof(float) / sizeof(Number);

// c[i][j] (+)= sum over k of a[i][a_at[k]] * b[b_at[k] + j], for rows a[i] and c[i] that lie anywhere and up
// to PANEL columns; b and `start` are read to a whole vector. Starts from `start`, from c, or from zero. Where a step
// takes a pair, that is what lies at a_at[k], and each word of b holds the pair that it is multiplied with.
// The places `a_at` are what makes a shift free: the convolution reads each channel where its pixel looks.
struct Product {
  int64_t k;
  const int64_t *a_at, *b_at;
  int64_t columns;
  const float* start;
  bool adds;
  // Of pairs: so many more steps.
  int64_t n_picked = 0;
  const Picked* picked = nullptr;
};

// Columns that are computed of those that are left: whole vectors.
constexpr int64_t whole(int64_t columns) { return least(PANEL, up(columns, LANES)); }

// What a step takes of a row, for all columns; how it is added up; a vector of numbers.
inline Vector taken(const float* a) { return broadcast(*a); }
inline Vector numbers(const float* from) { return load(from); }
#if defined(SMIDGEN_PAIRS)
inline Vector taken(const uint16_t* a) {
  int32_t pair;
  std::memcpy(&pair, a, sizeof pair);
  return (Vector)_mm512_set1_epi32(pair);
}
inline Vector taken(const uint16_t* a, const Picked& from) {
  const __m512i low = _mm512_maskz_set1_epi16(from.lows, static_cast<int16_t>(a[from.low]));
  return (Vector)_mm512_mask_set1_epi16(low, from.highs, static_cast<int16_t>(a[from.high]));
}
inline Vector numbers(const uint16_t* from) {
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return (Vector)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
}
inline void put(uint16_t* to, Vector sum) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh((__m512)sum));
}
inline Vector added(Vector sum, Vector pairs, Vector line) {
  return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)line, (__m512bh)pairs);
}
#else
inline Vector added(Vector sum, Vector value, Vector line) { return sum + value * line; }
#endif

// Rows of a tile that end within a vector, from where its sums were put.
template <class To>
[[gnu::noinline]] void store_parts(const Product& p, const float* sums, int64_t rows, int64_t width, To* const* c,
                                   int64_t c_from) {
  for (int64_t i = 0; i < rows; ++i, sums += width) {
    To* const to = c[i] + c_from;
    for (int64_t j = 0; j < p.columns; ++j) {
      if constexpr (std::is_same_v<To, float>)
        to[j] = p.adds ? to[j] + sums[j] : sums[j];
      else
        to[j] = BFloat16::store(sums[j]);
    }
  }
}

// Only floats are added to.
template <class From, class To, int64_t N, int64_t WIDTH>
void tile(const Product& p, const From* const* a, const float* b, To* const* c, int64_t c_from) {
  Vector sums[N * WIDTH];
  const From* rows[N];
  each<N>([&](auto i) { rows[i] = a[i]; });
  each<N * WIDTH>([&](auto i) { sums[i] = p.start ? load(p.start + i % WIDTH * LANES) : Vector{}; });
  auto step = [&](int64_t at, auto&& take) __attribute__((always_inline)) {
    Vector line[WIDTH];
    each<WIDTH>([&](auto v) { line[v] = load(b + at + v * LANES); });
    each<N>([&](auto i) {
      const Vector value = take(rows[i]);
      each<WIDTH>([&](auto v) { sums[i * WIDTH + v] = added(sums[i * WIDTH + v], value, line[v]); });
    });
  };
  const int64_t *a_at = p.a_at, *b_at = p.b_at;
  for (const int64_t* const end = a_at + p.k; a_at < end; ++a_at, ++b_at)
    step(*b_at, [&](const From* row) { return taken(row + *a_at); });
  if constexpr (TOGETHER<From> == 2)
    for (const Picked *from = p.picked, *const end = from + p.n_picked; from < end; ++from, ++b_at)
      step(*b_at, [&](const From* row) { return taken(row, *from); });
  if (p.columns < WIDTH * LANES) {
    float all[N * WIDTH * LANES];
    each<N * WIDTH>([&](auto i) { store(all + i * LANES, sums[i]); });
    return store_parts(p, all, N, WIDTH * LANES, c, c_from);
  }
  each<N * WIDTH>([&](auto i) {
    To* const to = c[i / WIDTH] + c_from + i % WIDTH * LANES;
    if constexpr (std::is_same_v<To, float>)
      store(to, p.adds ? load(to) + sums[i] : sums[i]);
    else
      put(to, sums[i]);
  });
}

template <class From, class To>
using Tile = void (*)(const Product&, const From* const*, const float*, To* const*, int64_t);
template <class From, class To, int64_t N>
constexpr Tile<From, To> thin = tile<From, To, least(N, ROWS), 1>;
template <class From, class To, int64_t N>
constexpr Tile<From, To> broad = tile<From, To, least(N, ROWS), 2>;
// Constants: nothing in this file may run before the processor is known to have its instructions.
template <class F, class T>
constexpr Tile<F, T> tiles[2][13] = {
    {nullptr, thin<F, T, 1>, thin<F, T, 2>, thin<F, T, 3>, thin<F, T, 4>, thin<F, T, 5>, thin<F, T, 6>, thin<F, T, 7>,
     thin<F, T, 8>, thin<F, T, 9>, thin<F, T, 10>, thin<F, T, 11>, thin<F, T, 12>},
    {nullptr, broad<F, T, 1>, broad<F, T, 2>, broad<F, T, 3>, broad<F, T, 4>, broad<F, T, 5>, broad<F, T, 6>,
     broad<F, T, 7>, broad<F, T, 8>, broad<F, T, 9>, broad<F, T, 10>, broad<F, T, 11>, broad<F, T, 12>},
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

// All rows against one panel, into the columns of c from `c_from` on.
template <class From, class To>
void multiply(const Product& p, int64_t rows, const From* const* a, const float* b, To* const* c, int64_t c_from,
              Ahead& ahead) {
  const bool wide = p.columns > LANES;
  for (; rows >= ROWS; rows -= ROWS, a += ROWS, c += ROWS) {
    ahead.some();
    wide ? tile<From, To, ROWS, 2>(p, a, b, c, c_from) : tile<From, To, ROWS, 1>(p, a, b, c, c_from);
  }
  if (rows) tiles<From, To>[wide][rows](p, a, b, c, c_from);
}
template <class From, class To>
void multiply(const Product& p, int64_t rows, const From* const* a, const float* b, To* const* c, int64_t c_from) {
  Ahead nothing;
  multiply(p, rows, a, b, c, c_from, nothing);
}

void pack(int32_t type, const Matrix& matrix, const int64_t* order, int64_t steps, int64_t first, float* to) {
  with_type(type, [&](auto kind) {
    using Kind = decltype(kind);
    using Number = typename Kind::Number;
    const auto* const start = static_cast<const typename Kind::Stored*>(matrix.numbers) + first * matrix.column_step;
    const int64_t columns = least(PANEL, matrix.columns - first);
    for (int64_t i = 0; i < steps; ++i, order += TOGETHER<Number>, to += PANEL) {
      auto row = [&](int64_t number) { return start + order[number] * matrix.row_step; };
      if constexpr (TOGETHER<Number> == 1) {
        const auto* const from = row(0);
        for (int64_t j = 0; j < columns; ++j) to[j] = to_number<Kind>(from[j * matrix.column_step]);
        for (int64_t j = columns; j < PANEL; ++j) to[j] = 0.0f;
      } else {
        uint32_t words[PANEL] = {};
        for (int64_t number = 0; number < 2; ++number)
          if (order[number] >= 0)
            for (int64_t j = 0; j < columns; ++j)
              words[j] |= static_cast<uint32_t>(row(number)[j * matrix.column_step]) << 16 * number;
        std::memcpy(to, words, sizeof words);
      }
    }
  });
}

void widen(int32_t type, const void* numbers, int64_t count, float* to) {
  with_type(type, [&](auto kind) {
    using Kind = decltype(kind);
    const auto* from = static_cast<const typename Kind::Stored*>(numbers);
    for (int64_t i = 0; i < count; ++i) to[i] = Kind::load(from[i]);
  });
}

void unpack(int32_t type, const float* from, int64_t rows, int64_t columns, int64_t row_step,
            int64_t column_step, void* matrix) {
  with_type(type, [&](auto kind) {
    using Kind = decltype(kind);
    auto* to = static_cast<typename Kind::Stored*>(matrix);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) *to++ = Kind::store(from[i * row_step + j * column_step]);
  });
}

}  // namespace
}  // namespace smidgen
