// Forks while another thread has the library's threads work, and lets the child work with threads of its own; made to be
// built with sanitizers.
//
//   cmake -S . -B build/sanitized -DSMIDGEN_SANITIZE=address && cmake --build build/sanitized
//   build/sanitized/fork_check
//
// The thread sanitizer wants TSAN_OPTIONS=die_after_fork=0: a child with threads is what this is about.

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "smidgen.h"

namespace {

constexpr int64_t rounds = 2000;
constexpr unsigned limit = 60;  // seconds, then a child is taken to hang

// Whether so many threads did as much as one of them would, several times over.
bool works(int32_t threads) {
  const int64_t one = smidgen_multiply_adds(rounds, 1);
  for (int call = 0; call < 3; ++call)
    if (smidgen_multiply_adds(rounds, threads) != threads * one) return false;
  return true;
}

bool child_works(int32_t threads) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(limit);
    _exit(works(threads) ? 0 : 1);
  }
  int status = 1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace

int main(int count, char** arguments) {
  const int cases = count > 1 ? std::atoi(arguments[1]) : 400;
  int failures = !works(3);
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) smidgen_multiply_adds(rounds, 3);
  });
  for (int number = 0; number < cases; ++number)
    if (!child_works(2 + number % 3) && ++failures < 10) std::printf("case %d: the child failed or hung\n", number);
  stop = true;
  other.join();
  std::printf("%s (of %s): %d cases, %d failures\n", smidgen_isa(), smidgen_isas(), cases, failures);
  return failures != 0;
}
