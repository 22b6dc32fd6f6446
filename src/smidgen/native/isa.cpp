// Which instruction sets this library and this processor have, and which of them runs.

#include "isa.hpp"

#include <cstdlib>
#include <cstring>

#include "smidgen.h"

namespace smidgen {
namespace {

#if defined(__aarch64__)  // all of them have NEON, and compilers use it unasked
constexpr Isa portable = {"neon", &kernels_portable, nullptr, &layers_portable, &norms_portable};
#else
constexpr Isa portable = {"portable", &kernels_portable, nullptr, &layers_portable, &norms_portable};
#endif
#if defined(__x86_64__)
constexpr Isa avx2 = {"avx2", &kernels_avx2, nullptr, &layers_avx2, &norms_avx2};
constexpr Isa avx512 = {"avx512", &kernels_avx512, nullptr, &layers_avx512, &norms_avx512};
#if defined(SMIDGEN_HAS_PAIRS)
constexpr Isa avx512_bf16 = {"avx512_bf16", &kernels_avx512, &kernels_avx512_bf16, &layers_avx512, &norms_avx512};
#endif
#endif

// The best one first, then a null pointer.
const Isa* const* available() {
  static const Isa* found[5] = {};
  static const bool searched = [] {
    const Isa** next = found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
#if defined(SMIDGEN_HAS_PAIRS)
      if (__builtin_cpu_supports("avx512bf16")) *next++ = &avx512_bf16;
#endif
      *next++ = &avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) *next++ = &avx2;
#endif
    *next = &portable;
    return true;
  }();
  (void)searched;
  return found;
}

}  // namespace

const Isa& isa() {
  static const Isa* const chosen = [] {
    const char* forced = std::getenv("SMIDGEN_ISA");
    if (forced)
      for (const Isa* const* one = available(); *one; ++one)
        if (std::strcmp((*one)->name, forced) == 0) return *one;
    return available()[0];
  }();
  return *chosen;
}

}  // namespace smidgen

int32_t smidgen_abi(void) { return SMIDGEN_ABI; }

const char* smidgen_isa(void) { return smidgen::isa().name; }

const char* smidgen_isas(void) {
  static char names[64];
  static const bool written = [] {
    for (const smidgen::Isa* const* one = smidgen::available(); *one; ++one) {
      if (names[0]) std::strcat(names, ",");
      std::strcat(names, (*one)->name);
    }
    return true;
  }();
  (void)written;
  return names;
}
