// Which instruction set runs.
#pragma once

#include "kernels.hpp"
#include "network.hpp"
#include "norm.hpp"

namespace smidgen {

struct Isa {
  const char* name;
  const Kernels *kernels, *bfloat16;  // the second where the processor multiplies bfloat16, or NULL
  const Layers* layers;
  const Norms* norms;
};

// Chosen once, at the first call.
const Isa& isa();

}  // namespace smidgen
