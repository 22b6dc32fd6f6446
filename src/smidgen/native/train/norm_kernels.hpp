// What every instruction set provides for BatchNorm while training. train/norm_kernels.cpp is compiled once for each.
#pragma once

#include <cstdint>

#include "kinds.hpp"

namespace smidgen {

// Rows of `width` floats, a multiple of `lanes`, one after the other; what belongs to a column lies in arrays of that
// width.
struct NormRows {
  int64_t rows, width;
};

// The activations whose gradients are known here.
enum class NormActivation : int32_t {
  identity = SMIDGEN_IDENTITY,
  relu = SMIDGEN_RELU,
  relu6 = SMIDGEN_RELU6,
  silu = SMIDGEN_SILU,
};
constexpr bool known(NormActivation activation) {
  switch (activation) {
    case NormActivation::identity:
    case NormActivation::relu:
    case NormActivation::relu6:
    case NormActivation::silu: return true;
  }
  return false;
}

// y = activation((x - mean) * scale + bias).
struct NormLine {
  NormActivation activation;
  const float *mean, *scale, *bias;
};

struct NormKernels {
  int64_t lanes;  // of a vector

  // Sums, for each column, of x - pivot and of its square.
  void (*moments)(const NormRows&, const float* x, const float* pivot, float* sums, float* squares);

  void (*apply)(const NormRows&, const NormLine&, const float* x, float* y);

  // Sums, for each column, of the line's gradient and of that times (x - mean).
  void (*gradient_sums)(const NormRows&, const NormLine&, const float* x, const float* grad_y, float* sums,
                        float* products);

  // grad_x = the line's gradient * scale + (x - mean) * slope + level.
  void (*gradient)(const NormRows&, const NormLine&, const float* x, const float* grad_y, const float* slope,
                   const float* level, float* grad_x);
};

extern const NormKernels norms_portable;
#if defined(__x86_64__)
extern const NormKernels norms_avx2, norms_avx512;
#endif

}  // namespace smidgen
