// Products of small matrices in registers, and what happens to their sums.
#pragma once

#include "infer/ops.hpp"
#include "isa/vectors.hpp"

namespace smidgen {
namespace {

// The sigmoid, which hardly ever follows a product, is left to others where `COMMON`: the code would grow.
template <int64_t COUNT, bool COMMON = false>
[[gnu::always_inline]] inline void activate(int32_t kind, Vector* values) {
  switch (kind) {
    case SMIDGEN_RELU: return each<COUNT>([&](auto i) { values[i] = at_least(values[i], 0.0f); });
    case SMIDGEN_RELU6: return each<COUNT>([&](auto i) { values[i] = at_most(at_least(values[i], 0.0f), 6.0f); });
    case SMIDGEN_SILU: return each<COUNT>([&](auto i) { values[i] = silu(values[i]); });
    case SMIDGEN_SIGMOID:
      if constexpr (!COMMON) each<COUNT>([&](auto i) { values[i] = sigmoid(values[i]); });
      return;
    default: return;
  }
}

// Some of the numbers that a pixel reads: their weights stay in the nearest cache while all pixels pass by.
struct Stretch {
  const int32_t *first, *last;  // places of the numbers, one after the other
  bool dense;                   // whether they follow each other
  bool begins, ends;            // whether sums start here, and whether they are done

  int64_t depth() const { return last - first; }
};

constexpr int64_t TALL = most(ROWS, 8);  // rows of a tile of one vector's width, at least as many as of a broad one

// What is left to do for the columns of one panel.
struct Finish {
  const float* bias;
  const float* add;
  int64_t add_step;
  float* y;
  int64_t y_step, columns;
  int32_t activation, then;
};

template <int64_t WIDTH>
inline void finish_row(const Finish& f, int64_t pixel, Vector* sums) {
  activate<WIDTH>(f.activation, sums);
  float* const y = f.y + pixel * f.y_step;
  const float* const add = f.add ? f.add + pixel * f.add_step : nullptr;
  if (f.columns == WIDTH * LANES) {
    if (add)
      for (int64_t v = 0; v < WIDTH; ++v) sums[v] += load(add + v * LANES);
    activate<WIDTH>(f.then, sums);
    for (int64_t v = 0; v < WIDTH; ++v) store(y + v * LANES, sums[v]);
    return;
  }
  for (int64_t v = 0; v < WIDTH; ++v) {
    const int64_t count = clamped(f.columns - v * LANES, 0, LANES);
    if (add) sums[v] += load(add + v * LANES, count);
    activate<1>(f.then, sums + v);
    store(y + v * LANES, sums[v], count);
  }
}

template <int64_t WIDTH>
inline void start(const Finish& f, Vector* sums) {
  for (int64_t v = 0; v < WIDTH; ++v)
    sums[v] = f.bias ? load(f.bias + v * LANES, clamped(f.columns - v * LANES, 0, LANES)) : Vector{};
}

// The rows of a tile that is not as plain as most, from where its sums were put; `column`: its first one. (Were this
// part of the tile, the tile would have a register less for what its pixels read.)
template <int64_t WIDTH>
[[gnu::noinline]] void finish_rows(const Finish& whole, int64_t column, const float* sums, int64_t height,
                                   const int64_t* to) {
  Finish finish = whole;
  finish.columns -= column;
  finish.y += column;
  if (finish.add) finish.add += column;
  for (int64_t i = 0; i < height; ++i, sums += WIDTH * LANES) {
    Vector row[WIDTH];
    for (int64_t v = 0; v < WIDTH; ++v) row[v] = load(sums + v * LANES);
    finish_row<WIDTH>(finish, to[i], row);
  }
}

// HEIGHT pixels against `panels` neighbouring panels of WIDTH vectors of outputs, `step` floats apart. a[i]: what pixel
// i reads; to[i]: which pixel of the output it is; partial: sums between stretches, of one panel only.
template <int64_t HEIGHT, int64_t WIDTH>
void tile(const Stretch& stretch, const float* const* a, const float* packed, int64_t step, int64_t panels,
          const Finish& finish, const int64_t* to, float* partial) {
  const float* rows[HEIGHT];
  float* ys[HEIGHT];
  each<HEIGHT>([&](auto i) { rows[i] = a[i]; });
  each<HEIGHT>([&](auto i) { ys[i] = finish.y + to[i] * finish.y_step; });
  const bool common = stretch.ends && !finish.then && finish.activation != SMIDGEN_SIGMOID;
  const int64_t whole = common ? finish.columns / (WIDTH * LANES) : 0;
  for (int64_t number = 0; number < panels; ++number, packed += step) {
    const int64_t column = number * WIDTH * LANES;
    Vector sums[HEIGHT * WIDTH];
    const bool plain = number < whole;
    if (!stretch.begins) {
      each<HEIGHT * WIDTH>([&](auto i) { sums[i] = load(partial + i * LANES); });
    } else if (finish.bias) {
      each<WIDTH>([&](auto v) { sums[v] = load(finish.bias + column + v * LANES); });
      each<(HEIGHT - 1) * WIDTH>([&](auto i) { sums[i + WIDTH] = sums[i % WIDTH]; });
    } else {
      each<HEIGHT * WIDTH>([&](auto i) { sums[i] = Vector{}; });
    }
    if (plain)  // what is written must come near first, meanwhile
      each<HEIGHT * WIDTH>([&](auto i) { __builtin_prefetch(ys[i / WIDTH] + column + i % WIDTH * LANES, 1); });
    const float* panel = packed;
    auto add = [&](int64_t k) {
      Vector weights[WIDTH];
      each<WIDTH>([&](auto v) { weights[v] = load(panel + v * LANES); });
      each<HEIGHT>([&](auto i) {
        const Vector value = broadcast(rows[i][k]);
        each<WIDTH>([&](auto v) { sums[i * WIDTH + v] += value * weights[v]; });
      });
      panel += WIDTH * LANES;
    };
    if (stretch.dense) {
#pragma GCC unroll 2
      for (int64_t k = *stretch.first, end = k + stretch.depth(); k < end; ++k) add(k);
    } else {
      for (const int32_t* k = stretch.first; k < stretch.last; ++k) add(*k);
    }
    if (plain) {
      activate<HEIGHT * WIDTH, true>(finish.activation, sums);
      if (finish.add)
        each<HEIGHT * WIDTH>([&](auto i) {
          sums[i] += load(finish.add + column + to[i / WIDTH] * finish.add_step + i % WIDTH * LANES);
        });
      each<HEIGHT * WIDTH>([&](auto i) { store(ys[i / WIDTH] + column + i % WIDTH * LANES, sums[i]); });
      continue;
    }
    each<HEIGHT * WIDTH>([&](auto i) { store(partial + i * LANES, sums[i]); });
    if (stretch.ends) finish_rows<WIDTH>(finish, column, partial, HEIGHT, to);
  }
}

using Tile = void (*)(const Stretch&, const float* const*, const float*, int64_t, int64_t, const Finish&,
                      const int64_t*, float*);
template <int64_t HEIGHT>
constexpr Tile broad = tile<least(HEIGHT, ROWS), 2>;
template <int64_t HEIGHT>
constexpr Tile tall = tile<least(HEIGHT, TALL), 1>;
// Constants: nothing in this file may run before the processor is known to have its instructions.
constexpr Tile tiles[2][13] = {
    {nullptr, tall<1>, tall<2>, tall<3>, tall<4>, tall<5>, tall<6>, tall<7>, tall<8>, tall<9>,
     tall<10>, tall<11>, tall<12>},
    {nullptr, broad<1>, broad<2>, broad<3>, broad<4>, broad<5>, broad<6>, broad<7>, broad<8>, broad<9>, broad<10>,
     broad<11>, broad<12>},
};

// What pixels of one kind read, cut into stretches. The places lie in scratch.
struct Reading {
  static constexpr int64_t near = 256;  // numbers for which a panel stays in the first cache
  int32_t* places = nullptr;
  int64_t depth = 0;
  bool dense = true;

  // Neighbouring numbers, counted from the place of an output pixel.
  void add(int64_t at, int64_t count) {
    dense = dense && (depth == 0 || at == places[depth - 1] + 1);
    for (int64_t i = 0; i < count; ++i) places[depth++] = static_cast<int32_t>(at + i);
  }
  // Of nearly equal depth.
  int64_t stretches() const { return ceil_div(depth, near); }
  Stretch stretch(int64_t number) const {
    const int64_t count = stretches(), first = depth * number / count, last = depth * (number + 1) / count;
    return {places + first, places + last, dense, number == 0, number + 1 == count};
  }
};

bool is_narrow(int64_t columns) { return columns <= LANES; }

// All pixels of a block that read alike against `panels` panels, which lie one after the other.
void multiply(const Reading& reading, int64_t pixels, const float* const* a, const int64_t* to, const float* packed,
              int64_t depth, int64_t panels, const Finish& finish, float* partial) {
  const int64_t last = (panels - 1) * PANEL;  // the panels before the last one are broad
  const bool narrow = is_narrow(finish.columns - last);
  const int64_t broads = panels - narrow, number = ceil_div(pixels, broads ? ROWS : TALL);
  for (int64_t part = 0; part < reading.stretches(); ++part) {
    const Stretch one = reading.stretch(part);
    // Tiles of nearly equal height: a last one of a single row would take as long as a whole one.
    for (int64_t t = 0, at = 0; t < number; ++t) {
      const int64_t height = (pixels - at) / (number - t);
      if (broads) tiles[1][height](one, a + at, packed, PANEL * depth, broads, finish, to + at, partial + at * PANEL);
      if (narrow) {
        Finish thin = finish;
        thin.columns -= last;
        thin.y += last;
        if (thin.add) thin.add += last;
        if (thin.bias) thin.bias += last;
        tiles[0][height](one, a + at, packed + last * depth, 0, 1, thin, to + at, partial + at * PANEL);
      }
      at += height;
    }
    packed += one.depth() * (broads ? PANEL : LANES);
  }
}

// One pixel against GROUP neighbouring panels: alone, a panel would keep the units waiting for its own sums.
template <int64_t GROUP>
void row(const Reading& reading, const float* a, const float* panels, int64_t depth, Vector (*sums)[2]) {
  Vector mine[GROUP][2];
  for (int64_t g = 0; g < GROUP; ++g)
    for (int64_t v = 0; v < 2; ++v) mine[g][v] = sums[g][v];
  for (int64_t k = 0; k < depth; ++k) {
    const Vector value = broadcast(a[reading.places[k]]);
#pragma GCC unroll 4
    for (int64_t g = 0; g < GROUP; ++g) {
      const float* const panel = panels + (g * depth + k) * PANEL;
      mine[g][0] += value * load(panel);
      mine[g][1] += value * load(panel + LANES);
    }
  }
  for (int64_t g = 0; g < GROUP; ++g)
    for (int64_t v = 0; v < 2; ++v) sums[g][v] = mine[g][v];
}

}  // namespace
}  // namespace smidgen
