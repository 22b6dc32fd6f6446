// The packed product with another element kind, of integers in fours, against loops: what a new kind has to say is here,
// and nothing of the product is changed for it.
//
//   product_check CASES

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "product/packing.hpp"
#include "product/product.hpp"

namespace smidgen {
namespace {

// Four numbers of 8 bits a step, summed in 32.
struct Fours {
  using Number = int8_t;
  using Word = uint32_t;
  using Line = Integers;
  using Sum = Integers;
  static constexpr int64_t TOGETHER = 4;

  static Line line(const float* words) { return *reinterpret_cast<const Line*>(words); }
  static Line taken(const Number* a) {
    int32_t word;
    std::memcpy(&word, a, sizeof word);
    return word - Line{};
  }
  static Sum added(Sum sum, Line four, Line line) {
    for (int shift = 0; shift < 32; shift += 8) sum += (four << (24 - shift) >> 24) * (line << (24 - shift) >> 24);
    return sum;
  }
  template <class At>
  static Word word(const At& at) {
    Word all = 0;
    for (int64_t number = 0; number < TOGETHER; ++number) all |= static_cast<Word>(static_cast<uint8_t>(at(number))) << 8 * number;
    return all;
  }
};

// Steps one after the other.
struct Dense {
  int64_t steps;

  template <class Element, int64_t WIDTH, class Body>
  void each(const float* panel, const Body& body) const {
    for (int64_t k = 0; k < steps; ++k, panel += WIDTH * LANES)
      body([k](const int8_t* row) { return Element::taken(row + k * Element::TOGETHER); }, panel, 0);
  }
};

// Sums as they are, of rows that lie `step` apart.
struct Whole {
  static constexpr bool ONE_PANEL = false;
  int32_t* c;
  int64_t step;

  template <int64_t HEIGHT, int64_t WIDTH>
  struct Tile {
    const Whole& whole;
    Tile(const Whole& whole, const Dense&) : whole(whole) {}
    void start(int64_t, Integers* sums) const { smidgen::each<HEIGHT * WIDTH>([&](auto i) { sums[i] = Integers{}; }); }
    void finish(int64_t number, const Integers* sums) const {
      smidgen::each<HEIGHT * WIDTH>([&](auto i) {
        int32_t* const to = whole.c + i / WIDTH * whole.step + (number * WIDTH + i % WIDTH) * LANES;
        *reinterpret_cast<Integers*>(to) = sums[i];
      });
    }
  };
};

bool holds(unsigned number) {
  std::mt19937 bits(number);
  auto pick = [&](int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(bits); };
  const int64_t rows = pick(1, ROWS), depth = pick(1, 40), columns = pick(1, 3 * PANEL), steps = ceil_div(depth, 4);
  const int64_t panels = ceil_div(columns, PANEL), step = panels * PANEL;
  std::vector<int8_t> a(static_cast<size_t>(rows * steps * 4)), b(static_cast<size_t>(depth * columns));
  for (int8_t& one : a) one = static_cast<int8_t>(pick(-128, 127));
  for (int8_t& one : b) one = static_cast<int8_t>(pick(-128, 127));
  std::vector<float> packed(static_cast<size_t>(steps * step));
  float* to = packed.data();
  for (int64_t first = 0; first < columns; first += PANEL) {
    auto column = [&, first](int64_t j) {
      return [&, at = first + j](int64_t k) { return k < depth ? b[k * columns + at] : int8_t{0}; };
    };
    to = pack_panel<Fours, STEP_BY_STEP>(steps, least(PANEL, columns - first), PANEL, column, to);
  }
  std::vector<const int8_t*> addresses;
  for (int64_t i = 0; i < rows; ++i) addresses.push_back(a.data() + i * steps * 4);
  std::vector<int32_t> c(static_cast<size_t>(rows * step));
  tiles<Fours, Dense, Whole>.all[1][rows]({steps}, addresses.data(), packed.data(), steps * PANEL, panels, {c.data(), step});
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < step; ++j) {
      int32_t sum = 0;
      for (int64_t k = 0; j < columns && k < depth; ++k) sum += a[i * steps * 4 + k] * b[k * columns + j];
      if (c[i * step + j] != sum) return std::printf("case %u: row %d, column %d\n", number, int(i), int(j)), false;
    }
  return true;
}

}  // namespace
}  // namespace smidgen

int main(int count, char** arguments) {
  const int cases = count > 1 ? std::atoi(arguments[1]) : 200;
  int failures = 0;
  for (int number = 0; number < cases; ++number) failures += !smidgen::holds(static_cast<unsigned>(number));
  std::printf("%d cases, %d failures\n", cases, failures);
  return failures > 0;
}
