// Which instruction set runs.
#pragma once

#include "kernels.hpp"
#include "network.hpp"

namespace smidgen {

struct Isa {
  const char* name;
  const Kernels* kernels;
  const Layers* layers;
};

// Chosen once, at the first call.
const Isa& isa();

}  // namespace smidgen
