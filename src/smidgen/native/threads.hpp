// Runs the parts of a job on several threads.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace smidgen {

// A moment in a loop that waits.
inline void rest() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// Calls part(context, number) once for each number in [0, parts), on up to `threads` threads, and returns
// when all are done. Parts start in order; which thread runs which is not fixed.
void in_parallel(int32_t threads, int64_t parts, void (*part)(void*, int64_t), void* context);

template <class Part>
void in_parallel(int32_t threads, int64_t parts, const Part& part) {
  in_parallel(
      threads, parts, [](void* body, int64_t number) { (*static_cast<const Part*>(body))(number); },
      const_cast<Part*>(&part));
}

}  // namespace smidgen
