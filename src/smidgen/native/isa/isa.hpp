// Which instruction set runs.
#pragma once

#include "infer/ops.hpp"
#include "train/norm_kernels.hpp"
#include "train/shift_kernels.hpp"

namespace smidgen {

struct Isa {
  const char* name;
  bool (*runs_here)();  // whether this processor has it
  const OpKernels* ops;
  const ShiftKernels *shifts, *shifts_bfloat16;  // the second where the processor multiplies bfloat16, or NULL
  const NormKernels* norms;
};

// Chosen once, at the first call.
const Isa& isa();

}  // namespace smidgen
