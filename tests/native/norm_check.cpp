// Runs maps drawn at random through smidgen_norm_forward and smidgen_norm_backward and compares them with the
// definitions in float64; made to be built with sanitizers. Maps lie in blocks of exactly their size, so that a read or a
// write beside one is found.
//
//   cmake -S . -B build/sanitized -DSMIDGEN_SANITIZE=address && cmake --build build/sanitized
//   build/sanitized/norm_check
//
// norm_check CASES FIRST begins with another case: the number that a failure names draws it again.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "smidgen.h"

namespace {

using Numbers = std::vector<double>;
int failures = 0;

// A block of its own for each array: sanitizers see where it ends.
struct Floats {
  explicit Floats(const Numbers& numbers) : count(numbers.size()), at(new float[count]) {
    std::copy(numbers.begin(), numbers.end(), at);
  }
  explicit Floats(size_t count) : count(count), at(new float[count]) {}
  Floats(const Floats&) = delete;
  ~Floats() { delete[] at; }
  bool operator==(const Floats& other) const { return std::equal(at, at + count, other.at); }

  size_t count;
  float* at;
};

double value(int32_t activation, double z) {
  switch (activation) {
    case SMIDGEN_RELU: return std::max(z, 0.0);
    case SMIDGEN_RELU6: return std::min(std::max(z, 0.0), 6.0);
    case SMIDGEN_SILU: return z / (1 + std::exp(-z));
    default: return z;
  }
}
double slope(int32_t activation, double z) {
  const double s = 1 / (1 + std::exp(-z));
  switch (activation) {
    case SMIDGEN_RELU: return z > 0;
    case SMIDGEN_RELU6: return z > 0 && z < 6;
    case SMIDGEN_SILU: return s * (1 + z * (1 - s));
    default: return 1;
  }
}

void compare(unsigned number, const char* what, const Floats& found, const Numbers& wanted) {
  double scale = 1e-3;
  for (const double one : wanted) scale = std::max(scale, std::fabs(one));
  for (size_t i = 0; i < wanted.size(); ++i)
    if (!(std::fabs(found.at[i] - wanted[i]) <= 1e-5 * scale)) {
      if (++failures < 10)
        std::printf("case %u, %s at %d of %d: %g instead of %g\n", number, what, int(i), int(wanted.size()), found.at[i],
                    wanted[i]);
      return;
    }
}

void check(unsigned number) {
  std::mt19937 bits(number);
  auto pick = [&](int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(bits); };
  const int64_t pixels = pick(2, number % 3 ? 60 : 4000), channels = pick(1, number % 5 ? 40 : 300);
  const int32_t activation = static_cast<int32_t>(pick(0, 3)), threads = static_cast<int32_t>(pick(1, 4));
  const size_t all = static_cast<size_t>(pixels * channels), wide = static_cast<size_t>(channels);
  std::normal_distribution<double> normal;
  auto draw = [&](size_t count, double middle) {
    Numbers numbers(count);
    for (double& one : numbers) one = static_cast<float>(normal(bits) + middle);
    return numbers;
  };
  const Numbers weight = draw(wide, 1), bias = draw(wide, 0), gradient = draw(all, 0);
  Numbers x = draw(all, static_cast<double>(pick(-9, 9)));
  const double eps = 1e-3;

  Numbers mean(wide), variance(wide), y(all), grad_x(all), grad_weight(wide), grad_bias(wide);
  auto normed = [&](size_t i) { return (x[i] - mean[i % wide]) / std::sqrt(variance[i % wide] + eps); };
  auto line = [&](size_t i) { return normed(i) * weight[i % wide] + bias[i % wide]; };
  for (size_t i = 0; i < all; ++i) mean[i % wide] += x[i] / static_cast<double>(pixels);
  for (size_t i = 0; i < all; ++i)
    variance[i % wide] += std::pow(x[i] - mean[i % wide], 2) / static_cast<double>(pixels);
  // Where a bend of the activation is nearer than rounding, either side is right: no number lies there.
  for (size_t i = 0; i < all; ++i)
    if (std::fabs(line(i)) < 1e-4 || std::fabs(line(i) - 6) < 1e-4) return;
  for (size_t i = 0; i < all; ++i) {
    const double g = gradient[i] * slope(activation, line(i));
    y[i] = value(activation, line(i));
    grad_bias[i % wide] += g;
    grad_weight[i % wide] += g * normed(i);
  }
  for (size_t i = 0; i < all; ++i) {
    const size_t c = i % wide;
    const double g = gradient[i] * slope(activation, line(i));
    const double rest = (grad_bias[c] + normed(i) * grad_weight[c]) / static_cast<double>(pixels);
    grad_x[i] = weight[c] / std::sqrt(variance[c] + eps) * (g - rest);
  }

  const Floats given_x(x), given_weight(weight), given_bias(bias), given_gradient(gradient);
  const smidgen_norm norm = {pixels, channels, given_weight.at, given_bias.at, eps, activation};
  auto run = [&](int32_t count, Floats& out, Floats& m, Floats& v, Floats& gx, Floats& gw, Floats& gb) {
    if (smidgen_norm_forward(&norm, given_x.at, out.at, m.at, v.at, count) ||
        smidgen_norm_backward(&norm, given_x.at, m.at, v.at, given_gradient.at, gx.at, gw.at, gb.at, count))
      ++failures;
  };
  Floats out(all), m(wide), v(wide), gx(all), gw(wide), gb(wide);
  run(threads, out, m, v, gx, gw, gb);
  compare(number, "y", out, y);
  compare(number, "mean", m, mean);
  compare(number, "variance", v, variance);
  compare(number, "gradient of x", gx, grad_x);
  compare(number, "gradient of weight", gw, grad_weight);
  compare(number, "gradient of bias", gb, grad_bias);
  Floats out1(all), m1(wide), v1(wide), gx1(all), gw1(wide), gb1(wide);
  run(1, out1, m1, v1, gx1, gw1, gb1);
  if (!(out == out1 && m == m1 && v == v1 && gx == gx1 && gw == gw1 && gb == gb1) && ++failures < 10)
    std::printf("case %u: other bits with %d threads\n", number, threads);
}

}  // namespace

int main(int count, char** arguments) {
  const int cases = count > 1 ? std::atoi(arguments[1]) : 400, first = count > 2 ? std::atoi(arguments[2]) : 0;
  for (int number = first; number < first + cases; ++number) check(static_cast<unsigned>(number));
  std::printf("%s (of %s): %d cases, %d failures\n", smidgen_isa(), smidgen_isas(), cases, failures);
  return failures != 0;
}
