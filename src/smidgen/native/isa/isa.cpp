// Which instruction sets this library and this processor have, and which of them runs.

#include "isa/isa.hpp"

#include <cstdlib>
#include <cstring>
#include <string>

#include "smidgen.h"

namespace smidgen {
namespace {

bool always() { return true; }

#if defined(__x86_64__)
bool has_avx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
bool has_avx512() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#if defined(SMIDGEN_HAS_PAIRS)
bool has_avx512_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
#endif
#endif

// All that this library holds, the best one first. A new one is a row here, and its files in CMakeLists.txt.
constexpr Isa held[] = {
#if defined(__x86_64__)
#if defined(SMIDGEN_HAS_PAIRS)
    {"avx512_bf16", has_avx512_bf16, &ops_avx512, &shifts_avx512, &shifts_avx512_bf16, &norms_avx512},
#endif
    {"avx512", has_avx512, &ops_avx512, &shifts_avx512, nullptr, &norms_avx512},
    {"avx2", has_avx2, &ops_avx2, &shifts_avx2, nullptr, &norms_avx2},
#endif
#if defined(__aarch64__)  // all of them have NEON, and compilers use it unasked
    {"neon", always, &ops_portable, &shifts_portable, nullptr, &norms_portable},
#else
    {"portable", always, &ops_portable, &shifts_portable, nullptr, &norms_portable},
#endif
};

const Isa& choose() {
  const char* const forced = std::getenv("SMIDGEN_ISA");
  if (forced)
    for (const Isa& one : held)
      if (one.runs_here() && std::strcmp(one.name, forced) == 0) return one;
  for (const Isa& one : held)
    if (one.runs_here()) return one;
  std::abort();  // the last one always runs
}

// Room for all names, each with a comma or the end behind it.
constexpr size_t room() {
  size_t bytes = 0;
  for (const Isa& one : held)
    bytes += std::char_traits<char>::length(one.name) + 1;
  return bytes;
}

struct Names {
  char text[room()] = {};

  Names() {
    for (const Isa& one : held) {
      if (!one.runs_here()) continue;
      if (text[0]) std::strcat(text, ",");
      std::strcat(text, one.name);
    }
  }
};

}  // namespace

const Isa& isa() {
  static const Isa& chosen = choose();
  return chosen;
}

}  // namespace smidgen

int32_t smidgen_abi(void) { return SMIDGEN_ABI; }

const char* smidgen_isa(void) { return smidgen::isa().name; }

const char* smidgen_isas(void) {
  static const smidgen::Names names;
  return names.text;
}
