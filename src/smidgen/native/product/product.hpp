// The packed product (GEMM): C = epilogue(A * B), in tiles of a few rows of A and a panel of B, whose sums stay in
// registers.
//
//   A         rows that lie anywhere, each read at places that all rows of a tile share: an indirection, where im2col
//             would first copy side by side what a convolution reads
//   B         packed in panels of columns: of each step the words of all columns, one after the other
//   Element   how they are multiplied (elements.hpp)
//   Depth     the steps of a sum: where each finds its numbers in a row and its words in a panel
//   Epilogue  what sums start from, and what becomes of them
//
// Who owns the maps cuts them into tiles: the convolutions of infer/, the gradients of train/.
#pragma once

#include "product/elements.hpp"

namespace smidgen {
namespace {

constexpr int64_t TALL = most(ROWS, 8);  // rows of a tile of one vector's width, at least as many as of a broad one
constexpr int64_t HIGHEST = 12;          // rows of any tile
static_assert(TALL <= HIGHEST && ROWS <= HIGHEST, "the table of tiles has none so high");

// The micro-kernel: one step of sums[HEIGHT][WIDTH]. take(i): what row i gives; words(v): vector v of the panel's.
template <class Element, int64_t HEIGHT, int64_t WIDTH, class Take, class Words>
[[gnu::always_inline]] inline void micro_kernel(const Take& take, const Words& words, typename Element::Sum* sums) {
  typename Element::Line lines[WIDTH];
  each<WIDTH>([&](auto v) { lines[v] = Element::line(words(v)); });
  each<HEIGHT>([&](auto i) {
    const typename Element::Line value = take(i);
    each<WIDTH>([&](auto v) { sums[i * WIDTH + v] = Element::added(sums[i * WIDTH + v], value, lines[v]); });
  });
}

// HEIGHT rows against `panels` neighbouring panels of WIDTH vectors of columns, `step` words apart. The epilogue knows
// where these rows end. (Whatever else were handed over would take a register from an address of a row.)
template <class Element, class Depth, class Epilogue, int64_t HEIGHT, int64_t WIDTH>
void tile(const Depth& depth, const typename Element::Number* const* a, const float* packed, int64_t step, int64_t panels,
          const Epilogue& epilogue) {
  using Number = typename Element::Number;
  const Number* rows[HEIGHT];
  each<HEIGHT>([&](auto i) { rows[i] = a[i]; });
  typename Epilogue::template Tile<HEIGHT, WIDTH> end(epilogue, depth);
  const int64_t count = Epilogue::ONE_PANEL ? 1 : panels;  // a loop would cost registers
  for (int64_t number = 0; number < count; ++number, packed += step) {
    typename Element::Sum sums[HEIGHT * WIDTH];
    end.start(number, sums);
    auto step = [&](auto&& taken, const float* panel, int64_t at) __attribute__((always_inline)) {
      micro_kernel<Element, HEIGHT, WIDTH>([&](auto i) { return taken(rows[i]); },
                                           [&](auto v) { return panel + at + v * LANES; }, sums);
    };
    depth.template each<Element, WIDTH>(packed, step);
    end.finish(number, sums);
  }
}

// A tile for each height: of one vector's width, and of two. A constant: nothing here may run before the processor is
// known to have its instructions.
template <class Element, class Depth, class Epilogue>
struct Tiles {
  using Tile = void (*)(const Depth&, const typename Element::Number* const*, const float*, int64_t, int64_t,
                        const Epilogue&);
  Tile all[2][HIGHEST + 1] = {};

  constexpr Tiles() {
    smidgen::each<HIGHEST>([&](auto i) {
      constexpr int64_t height = decltype(i)::value + 1;
      all[0][height] = tile<Element, Depth, Epilogue, least(height, TALL), 1>;
      all[1][height] = tile<Element, Depth, Epilogue, least(height, ROWS), 2>;
    });
  }
};
template <class Element, class Depth, class Epilogue>
constexpr Tiles<Element, Depth, Epilogue> tiles = {};

}  // namespace
}  // namespace smidgen
