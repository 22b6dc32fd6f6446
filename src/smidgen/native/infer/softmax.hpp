// Softmax of rows of numbers. In a namespace without a name, so that each instruction set has its own.
#pragma once

#include "isa/numbers.hpp"
#include "isa/vectors.hpp"

namespace smidgen {
namespace {

// y may be x: what is overwritten has been read. The largest number of a row becomes e^0, so that nothing overflows.
void softmax(const float* x, int64_t rows, int64_t columns, float* y) {
  for (const float* const end = x + rows * columns; x < end; x += columns, y += columns) {
    const int64_t whole = columns / LANES * LANES;
    Vector most = broadcast(x[0]);
    for (int64_t c = 0; c < whole; c += LANES) most = greater(most, load(x + c));
    float largest = x[0];
    for (int64_t i = 0; i < LANES; ++i) largest = most[i] > largest ? most[i] : largest;
    for (int64_t c = whole; c < columns; ++c) largest = x[c] > largest ? x[c] : largest;

    constexpr int64_t piece = 16 * LANES;  // summed by itself, so that long rows lose no more than short ones
    Vector sums = {};
    for (int64_t first = 0; first < columns; first += piece) {
      Vector some = {};
      for (int64_t c = first; c < least(columns, first + piece); c += LANES) {
        const int64_t count = least(LANES, columns - c);
        store(y + c, exponential_of_minus(largest - load(x + c, count)), count);
        some += load(y + c, count);  // zero beyond the row
      }
      sums += some;
    }
    float sum = 0;
    for (int64_t i = 0; i < LANES; ++i) sum += sums[i];
    const float share = 1.0f / sum;
    for (int64_t c = 0; c < columns; c += LANES) {
      const int64_t count = least(LANES, columns - c);
      store(y + c, load(y + c, count) * share, count);
    }
  }
}

}  // namespace
}  // namespace smidgen
