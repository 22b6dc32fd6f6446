// The product of convolutions: over which numbers of a pixel it sums, and what becomes of the sums (the epilogue).
#pragma once

#include "infer/ops.hpp"
#include "kinds.hpp"
#include "product/product.hpp"

namespace smidgen {
namespace {

// The sigmoid, which hardly ever follows a product, is left to others where `COMMON`: the code would grow.
template <int64_t COUNT, bool COMMON = false>
[[gnu::always_inline]] inline void activate(Activation kind, Vector* values) {
  switch (kind) {
    case Activation::identity: return;
    case Activation::relu: return each<COUNT>([&](auto i) { values[i] = at_least(values[i], 0.0f); });
    case Activation::relu6: return each<COUNT>([&](auto i) { values[i] = at_most(at_least(values[i], 0.0f), 6.0f); });
    case Activation::silu: return each<COUNT>([&](auto i) { values[i] = silu(values[i]); });
    case Activation::sigmoid:
      if constexpr (!COMMON) each<COUNT>([&](auto i) { values[i] = sigmoid(values[i]); });
      return;
  }
}

// Some of the numbers that a pixel reads: their weights stay in the nearest cache while all pixels pass by.
struct Slice {
  const int32_t *first, *last;  // places of the numbers, one after the other
  bool dense;                   // whether they follow each other
  bool begins, ends;            // whether sums start here, and whether they are done

  int64_t depth() const { return last - first; }

  template <class Element, int64_t WIDTH, class Body>
  [[gnu::always_inline]] void each(const float* panel, const Body& body) const {
    auto step = [&](int64_t k) __attribute__((always_inline)) {
      body([k](const float* row) { return Element::taken(row + k); }, panel, 0);
      panel += WIDTH * LANES;
    };
    if (dense) {
#pragma GCC unroll 2
      for (int64_t k = *first, end = k + depth(); k < end; ++k) step(k);
    } else {
      for (const int32_t* k = first; k < last; ++k) step(*k);
    }
  }
};

// y = then(activation(bias + sums) + add) for the columns from those of the first panel on.
struct Epilogue {
  const float* bias;
  const float* add;
  int64_t add_step;
  float* y;
  int64_t y_step, columns;
  Activation activation, then;

  // That of the columns from number `column` on.
  Epilogue from(int64_t column) const {
    Epilogue rest = *this;
    rest.columns -= column;
    rest.y += column;
    if (add) rest.add += column;
    if (bias) rest.bias += column;
    return rest;
  }
};

// That of an operation, from output pixel number `pixel` on.
Epilogue epilogue_of(const smidgen_op& op, const Places& places, int64_t pixel) {
  const float* const add = places.add ? places.add + pixel * op.add.pixel : nullptr;
  float* const y = places.y + pixel * op.y.pixel;
  return {op.bias, add, op.add.pixel, y, op.y.pixel, op.y.c, activation_of(op), then_of(op)};
}

template <int64_t WIDTH>
inline void finish_row(const Epilogue& e, int64_t pixel, Vector* sums) {
  activate<WIDTH>(e.activation, sums);
  float* const y = e.y + pixel * e.y_step;
  const float* const add = e.add ? e.add + pixel * e.add_step : nullptr;
  if (e.columns == WIDTH * LANES) {
    if (add)
      for (int64_t v = 0; v < WIDTH; ++v) sums[v] += load(add + v * LANES);
    activate<WIDTH>(e.then, sums);
    for (int64_t v = 0; v < WIDTH; ++v) store(y + v * LANES, sums[v]);
    return;
  }
  for (int64_t v = 0; v < WIDTH; ++v) {
    const int64_t count = clamped(e.columns - v * LANES, 0, LANES);
    if (add) sums[v] += load(add + v * LANES, count);
    activate<1>(e.then, sums + v);
    store(y + v * LANES, sums[v], count);
  }
}

template <int64_t WIDTH>
inline void start(const Epilogue& e, Vector* sums) {
  for (int64_t v = 0; v < WIDTH; ++v)
    sums[v] = e.bias ? load(e.bias + v * LANES, clamped(e.columns - v * LANES, 0, LANES)) : Vector{};
}

// The rows of a tile that is not as plain as most, from where its sums were put; `column`: its first one. (Were this
// part of the tile, the tile would have a register less for what its pixels read.)
template <int64_t WIDTH>
[[gnu::noinline]] void finish_rows(const Epilogue& whole, int64_t column, const float* sums, int64_t height,
                                   const int64_t* to) {
  Epilogue epilogue = whole;
  epilogue.columns -= column;
  epilogue.y += column;
  if (epilogue.add) epilogue.add += column;
  for (int64_t i = 0; i < height; ++i, sums += WIDTH * LANES) {
    Vector row[WIDTH];
    for (int64_t v = 0; v < WIDTH; ++v) row[v] = load(sums + v * LANES);
    finish_row<WIDTH>(epilogue, to[i], row);
  }
}

// The epilogue of some rows. to[i]: which pixel of the output row i is; partial: sums between slices, of one panel only.
struct Rows {
  static constexpr bool ONE_PANEL = false;
  const Epilogue& epilogue;
  const int64_t* to;
  float* partial;

  template <int64_t HEIGHT, int64_t WIDTH>
  struct Tile;
};

template <int64_t HEIGHT, int64_t WIDTH>
struct Rows::Tile {
  const Epilogue& e;
  const Slice& slice;
  const int64_t* const to;
  float* const partial;
  float* ys[HEIGHT];
  int64_t plain;  // panels, first ones first, whose columns are whole and whose sums end as those of most convolutions

  [[gnu::always_inline]] Tile(const Rows& rows, const Slice& slice)
      : e(rows.epilogue), slice(slice), to(rows.to), partial(rows.partial) {
    each<HEIGHT>([&](auto i) { ys[i] = e.y + to[i] * e.y_step; });
    const bool common = slice.ends && e.then == Activation::identity && e.activation != Activation::sigmoid;
    plain = common ? e.columns / (WIDTH * LANES) : 0;
  }

  [[gnu::always_inline]] void start(int64_t number, Vector* sums) const {
    const int64_t column = number * WIDTH * LANES;
    if (!slice.begins) {
      each<HEIGHT * WIDTH>([&](auto i) { sums[i] = load(partial + i * LANES); });
    } else if (e.bias) {
      each<WIDTH>([&](auto v) { sums[v] = load(e.bias + column + v * LANES); });
      each<(HEIGHT - 1) * WIDTH>([&](auto i) { sums[i + WIDTH] = sums[i % WIDTH]; });
    } else {
      each<HEIGHT * WIDTH>([&](auto i) { sums[i] = Vector{}; });
    }
    if (number < plain)  // what is written must be cached first, meanwhile
      each<HEIGHT * WIDTH>([&](auto i) { __builtin_prefetch(ys[i / WIDTH] + column + i % WIDTH * LANES, 1); });
  }

  [[gnu::always_inline]] void finish(int64_t number, Vector* sums) const {
    const int64_t column = number * WIDTH * LANES;
    if (number < plain) {
      activate<HEIGHT * WIDTH, true>(e.activation, sums);
      if (e.add)
        each<HEIGHT * WIDTH>([&](auto i) {
          sums[i] += load(e.add + column + to[i / WIDTH] * e.add_step + i % WIDTH * LANES);
        });
      each<HEIGHT * WIDTH>([&](auto i) { store(ys[i / WIDTH] + column + i % WIDTH * LANES, sums[i]); });
      return;
    }
    each<HEIGHT * WIDTH>([&](auto i) { store(partial + i * LANES, sums[i]); });
    if (slice.ends) finish_rows<WIDTH>(e, column, partial, HEIGHT, to);
  }
};

// Where the pixels of one kind read, counted from the place of each, cut into slices. The places lie in scratch.
struct Indirection {
  static constexpr int64_t deepest = 256;  // numbers for which a panel stays in the first cache
  int32_t* places = nullptr;
  int64_t depth = 0;
  bool dense = true;

  // Neighbouring numbers.
  void add(int64_t at, int64_t count) {
    dense = dense && (depth == 0 || at == places[depth - 1] + 1);
    for (int64_t i = 0; i < count; ++i) places[depth++] = static_cast<int32_t>(at + i);
  }
  // Of nearly equal depth.
  int64_t slices() const { return ceil_div(depth, deepest); }
  Slice slice(int64_t number) const {
    const int64_t count = slices(), first = depth * number / count, last = depth * (number + 1) / count;
    return {places + first, places + last, dense, number == 0, number + 1 == count};
  }
};

bool is_narrow(int64_t columns) { return columns <= LANES; }

// All pixels of a block that read alike against `panels` panels, which lie one after the other.
void multiply(const Indirection& reading, int64_t pixels, const float* const* a, const int64_t* to, const float* packed,
              int64_t depth, int64_t panels, const Epilogue& epilogue, float* partial) {
  constexpr auto& all = tiles<Floats, Slice, Rows>.all;
  const int64_t last = (panels - 1) * PANEL;  // the panels before the last one are broad
  const bool narrow = is_narrow(epilogue.columns - last);
  const int64_t broads = panels - narrow, number = ceil_div(pixels, broads ? ROWS : TALL);
  for (int64_t part = 0; part < reading.slices(); ++part) {
    const Slice slice = reading.slice(part);
    // Tiles of nearly equal height: a last one of a single row would take as long as a whole one.
    for (int64_t t = 0, at = 0; t < number; ++t) {
      const int64_t height = (pixels - at) / (number - t);
      float* const sums = partial + at * PANEL;
      if (broads) all[1][height](slice, a + at, packed, PANEL * depth, broads, {epilogue, to + at, sums});
      if (narrow) all[0][height](slice, a + at, packed + last * depth, 0, 1, {epilogue.from(last), to + at, sums});
      at += height;
    }
    packed += slice.depth() * (broads ? PANEL : LANES);
  }
}

// One pixel against GROUP neighbouring panels: alone, a panel would keep the units waiting for its own sums.
template <int64_t GROUP>
void row(const Indirection& reading, const float* a, const float* panels, int64_t depth, Vector* sums) {
  Vector mine[GROUP * 2];
  for (int64_t v = 0; v < GROUP * 2; ++v) mine[v] = sums[v];
  for (int64_t k = 0; k < depth; ++k)
    micro_kernel<Floats, 1, GROUP * 2>(
        [&](auto) { return Floats::taken(a + reading.places[k]); },
        [&](auto v) { return panels + (v / 2 * depth + k) * PANEL + v % 2 * LANES; }, mine);
  for (int64_t v = 0; v < GROUP * 2; ++v) sums[v] = mine[v];
}

}  // namespace
}  // namespace smidgen
