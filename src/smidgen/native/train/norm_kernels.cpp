// BatchNorm while training, with the activation behind it, written once on vectors of LANES floats; the build compiles
// this file for each instruction set, with SMIDGEN_NORMS as the name of its table. Nothing but the table may leave it.

#include "isa/vectors.hpp"
#include "train/norm_kernels.hpp"

namespace smidgen {
namespace {

// Calls body with the activation and what a gradient that arrives at it leaves behind, so that the choice is made
// outside of the loops.
template <class Body>
void with_activation(NormActivation kind, Body&& body) {
  const Vector none = {}, one = broadcast(1.0f);
  switch (kind) {
    case NormActivation::relu:
      return body([](Vector z) { return at_least(z, 0.0f); },
                  [&](Vector z, Vector g) { return z > none ? g : none; });
    case NormActivation::relu6:
      return body([](Vector z) { return at_most(at_least(z, 0.0f), 6.0f); },
                  [&](Vector z, Vector g) { return (z > none) & (z < broadcast(6.0f)) ? g : none; });
    case NormActivation::silu:
      return body([](Vector z) { return silu(z); },
                  [&](Vector z, Vector g) {
                    const Vector s = sigmoid(z);
                    return g * s * (one + z * (one - s));
                  });
    case NormActivation::identity: return body([](Vector z) { return z; }, [](Vector, Vector g) { return g; });
  }
}

// Two sums for each column, of what term(column, place, sum, other) adds to them: of as many vectors at a time as keep
// the adders busy.
template <int64_t TOGETHER, class Term>
int64_t two_sums_from(int64_t column, const NormRows& all, float* first, float* second, const Term& term) {
  for (; column + TOGETHER * LANES <= all.width; column += TOGETHER * LANES) {
    Vector sums[2 * TOGETHER] = {};
    for (int64_t row = 0, at = column; row < all.rows; ++row, at += all.width)
      each<TOGETHER>([&](auto v) { term(column + v * LANES, at + v * LANES, sums[2 * v], sums[2 * v + 1]); });
    each<TOGETHER>([&](auto v) {
      store(first + column + v * LANES, sums[2 * v]);
      store(second + column + v * LANES, sums[2 * v + 1]);
    });
  }
  return column;
}
template <class Term>
void two_sums(const NormRows& all, float* first, float* second, const Term& term) {
  two_sums_from<1>(two_sums_from<4>(0, all, first, second, term), all, first, second, term);
}

void moments(const NormRows& all, const float* x, const float* pivot, float* sums, float* squares) {
  two_sums(all, sums, squares, [&](int64_t column, int64_t at, Vector& sum, Vector& square) {
    const Vector distance = load(x + at) - load(pivot + column);
    sum += distance;
    square += distance * distance;
  });
}

// The difference comes first: a number that is the mean, as all are in a map of one value, is exactly zero then, and an
// activation that bends there does not depend on rounding.
inline Vector deviation(const NormLine& line, Vector x, int64_t column) { return x - load(line.mean + column); }
inline Vector at(const NormLine& line, Vector deviation, int64_t column) {
  return deviation * load(line.scale + column) + load(line.bias + column);
}

void apply(const NormRows& all, const NormLine& line, const float* x, float* y) {
  with_activation(line.activation, [&](auto value, auto) {
    for (int64_t row = 0; row < all.rows; ++row, x += all.width, y += all.width)
      for (int64_t c = 0; c < all.width; c += LANES) store(y + c, value(at(line, deviation(line, load(x + c), c), c)));
  });
}

void gradient_sums(const NormRows& all, const NormLine& line, const float* x, const float* grad_y, float* sums,
                   float* products) {
  with_activation(line.activation, [&](auto, auto passed) {
    two_sums(all, sums, products, [&](int64_t c, int64_t place, Vector& sum, Vector& product) {
      const Vector moved = deviation(line, load(x + place), c);
      const Vector g = passed(at(line, moved, c), load(grad_y + place));
      sum += g;
      product += g * moved;
    });
  });
}

void gradient(const NormRows& all, const NormLine& line, const float* x, const float* grad_y, const float* slope,
              const float* level, float* grad_x) {
  with_activation(line.activation, [&](auto, auto passed) {
    for (int64_t row = 0; row < all.rows; ++row, x += all.width, grad_y += all.width, grad_x += all.width)
      for (int64_t c = 0; c < all.width; c += LANES) {
        const Vector moved = deviation(line, load(x + c), c);
        const Vector g = passed(at(line, moved, c), load(grad_y + c));
        store(grad_x + c, g * load(line.scale + c) + (moved * load(slope + c) + load(level + c)));
      }
  });
}

}  // namespace

extern const NormKernels SMIDGEN_NORMS;
const NormKernels SMIDGEN_NORMS = {LANES, moments, apply, gradient_sums, gradient};

}  // namespace smidgen
