// Small sums. In a namespace without a name, so that each instruction set has its own.
#pragma once

#include <cstdint>

namespace smidgen {
namespace {

constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t most(int64_t a, int64_t b) { return a < b ? b : a; }
constexpr int64_t clamped(int64_t value, int64_t low, int64_t high) { return most(low, least(value, high)); }
constexpr int64_t ceil_div(int64_t value, int64_t step) { return (value + step - 1) / step; }
constexpr int64_t up(int64_t value, int64_t step) { return ceil_div(value, step) * step; }
// So many parts, or one more where two threads could not share them evenly.
constexpr int64_t even(int64_t parts, int64_t enough) { return parts > 1 ? least(up(parts, 2), enough) : parts; }

}  // namespace
}  // namespace smidgen
