// Packing: a matrix B as the panels that the product reads.
#pragma once

#include <cstring>

#include "product/elements.hpp"

namespace smidgen {
namespace {

// One panel of `width` columns, zero beyond the first `columns`. at(k, j): number k of column j, counted over all steps.
// Returns where it ends.
template <class Element, class At>
float* pack_panel(int64_t steps, int64_t columns, int64_t width, const At& at, float* panel) {
  constexpr int64_t line = 16;  // as many of a column at a time as a line of the cache brings
  for (int64_t step = 0; step < steps; step += line) {
    const int64_t count = least(line, steps - step);
    if (columns < width) std::memset(panel, 0, static_cast<size_t>(count * width) * sizeof(float));
    for (int64_t j = 0; j < columns; ++j)
      for (int64_t i = 0; i < count; ++i)
        Element::pack([&](int64_t number) { return at((step + i) * Element::TOGETHER + number, j); }, panel + i * width + j);
    panel += count * width;
  }
  return panel;
}

}  // namespace
}  // namespace smidgen
