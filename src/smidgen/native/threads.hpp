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

// Calls part(context, number) once for each number in [0, parts), on up to `threads` threads of this library, and
// returns when all are done. Parts start in order; which thread runs which is not fixed.
void in_parallel(int32_t threads, int64_t parts, void (*part)(void*, int64_t), void* context);

// The same for work between the host's own parallel parts: on its OpenMP team, where it lends one. The team's threads
// are awake then, and others would wait for the cores that they keep busy.
void on_host_team(int32_t threads, int64_t parts, void (*part)(void*, int64_t), void* context);

template <class Part>
void call(void* body, int64_t number) {
  (*static_cast<const Part*>(body))(number);
}

template <class Part>
void in_parallel(int32_t threads, int64_t parts, const Part& part) {
  in_parallel(threads, parts, call<Part>, const_cast<Part*>(&part));
}

template <class Part>
void on_host_team(int32_t threads, int64_t parts, const Part& part) {
  on_host_team(threads, parts, call<Part>, const_cast<Part*>(&part));
}

}  // namespace smidgen
