// What every instruction set provides for whole networks. infer/ops.cpp is compiled once for each of them.
#pragma once

#include <cstdint>

#include "smidgen.h"

namespace smidgen {

// Where the views of an operation lie for one picture. x: of `first`, where the operation has one.
struct Places {
  const float *x, *add, *gate;
  float *y, *sums;
};

struct OpKernels {
  int64_t panel;  // columns of outputs that are computed together

  // A matrix float[columns][depth] as panels for a convolution, each column times its scale where there is one, and
  // how many floats these take.
  int64_t (*packed_floats)(int64_t columns, int64_t depth);
  void (*pack)(const float* matrix, const float* scale, int64_t columns, int64_t depth, float* panels);

  // In how many parts an operation is done: given by its sizes, never by the number of threads, so that sums end
  // alike however many threads work.
  int64_t (*parts)(const smidgen_op&);

  // How many pixels of sums a depthwise convolution leaves.
  int64_t (*sums)(const smidgen_op&);

  // Floats of scratch that one thread needs.
  int64_t (*scratch_floats)(const smidgen_op&);

  void (*run)(const smidgen_op&, const Places&, int64_t part, float* scratch);

  // Of each row; y may be x.
  void (*softmax)(const float* x, int64_t rows, int64_t columns, float* y);

  // Multiplies and adds in registers alone; returns how many multiply-adds that were.
  int64_t (*multiply_adds)(int64_t rounds);
};

extern const OpKernels ops_portable;
#if defined(__x86_64__)
extern const OpKernels ops_avx2, ops_avx512;
#endif

}  // namespace smidgen
