// Runs rows of numbers, drawn at random, through smidgen_softmax and compares them with the definition in float64; made
// to be built with sanitizers. Rows lie in blocks of exactly their size, so that a read or a write beside one is found.
//
//   cmake -S . -B build/sanitized -DSMIDGEN_SANITIZE=address && cmake --build build/sanitized
//   build/sanitized/softmax_check
//
// softmax_check CASES FIRST begins with another case: the number that a failure names draws it again.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>

#include "smidgen.h"

namespace {

int failures = 0;

void check(unsigned number) {
  std::mt19937 bits(number);
  auto pick = [&](int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(bits); };
  const int64_t rows = pick(0, 4), columns = pick(1, number % 4 ? 70 : 30000), count = rows * columns;
  const double spreads[] = {0, 1, 10, 100, 1e37};
  const double spread = spreads[pick(0, 4)], middle = pick(0, 1) ? 0 : double(pick(-300, 300));
  std::normal_distribution<double> normal(middle, spread > 0 ? spread : 1);
  const std::unique_ptr<float[]> x(new float[count]), y(new float[count]);
  for (int64_t i = 0; i < count; ++i) x[i] = static_cast<float>(spread > 0 ? normal(bits) : middle);
  smidgen_softmax(x.get(), rows, columns, y.get());

  for (int64_t row = 0; row < rows; ++row) {
    const float* const from = x.get() + row * columns;
    const double largest = *std::max_element(from, from + columns);
    double sum = 0;
    for (int64_t c = 0; c < columns; ++c) sum += std::exp(from[c] - largest);
    for (int64_t c = 0; c < columns; ++c) {
      const double below = largest - from[c], wanted = std::exp(-below) / sum, found = y[row * columns + c];
      // To what e^-x and the sum are good for, and a little more for each unit below the largest: there the difference
      // and its product with log2(e) are rounded. From 87 on it may be anything up to e^-87.
      const double allowed = below < 87 ? wanted * (2e-6 + 2e-7 * below) : 1.7e-38;
      if (std::fabs(found - wanted) <= allowed) continue;
      if (++failures < 10)
        std::printf("case %u, row %d, column %d of %d: %g instead of %g\n", number, int(row), int(c), int(columns), found,
                    wanted);
    }
  }
  const std::unique_ptr<float[]> same(new float[count]);
  std::copy(x.get(), x.get() + count, same.get());
  smidgen_softmax(same.get(), rows, columns, same.get());
  if (!std::equal(same.get(), same.get() + count, y.get()) && ++failures < 10)
    std::printf("case %u: other numbers where they are written over\n", number);
}

}  // namespace

int main(int count, char** arguments) {
  const int cases = count > 1 ? std::atoi(arguments[1]) : 400, first = count > 2 ? std::atoi(arguments[2]) : 0;
  for (int number = first; number < first + cases; ++number) check(static_cast<unsigned>(number));
  std::printf("%s (of %s): %d cases, %d failures\n", smidgen_isa(), smidgen_isas(), cases, failures);
  return failures != 0;
}
