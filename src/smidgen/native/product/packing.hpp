// Packing: a matrix B as the panels that the product reads.
#pragma once

#include <cstring>

#include "product/elements.hpp"

namespace smidgen {
namespace {

// How many steps of a column are packed at a time, before the next column's: one where a step's columns lie side by side,
// and where a column's numbers do, as many as a line of the cache brings.
constexpr int64_t STEP_BY_STEP = 1, COLUMN_BY_COLUMN = 16;

// One panel of `width` columns, zero beyond the first `columns`. column(j): a function of k that gives number k of column
// j, counted over all steps. Returns where the panel ends.
template <class Element, int64_t AT_A_TIME, class Column>
float* pack_panel(int64_t steps, int64_t columns, int64_t width, const Column& column, float* panel) {
  using Word = typename Element::Word;
  Word words[AT_A_TIME * PANEL] = {};  // beyond the first columns they stay zero
  for (int64_t first = 0, count; first < steps; first += count, panel += count * width) {
    // (Of one at a time the compiler must know that it is one: otherwise it asks for every number whether it is there.)
    count = AT_A_TIME == 1 ? 1 : least(AT_A_TIME, steps - first);
    for (int64_t j = 0; j < columns; ++j) {
      const auto at = column(j);
      for (int64_t i = 0; i < count; ++i)
        words[i * width + j] = Element::word([&](int64_t one) { return at((first + i) * Element::TOGETHER + one); });
    }
    std::memcpy(panel, words, static_cast<size_t>(count * width) * sizeof(Word));
  }
  return panel;
}

}  // namespace
}  // namespace smidgen
