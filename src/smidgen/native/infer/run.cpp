// Pictures through all operations of a network: which thread does what, and where it lies.

#include <atomic>
#include <chrono>
#include <memory>
#include <new>
#include <thread>

#include "isa/isa.hpp"
#include "isa/numbers.hpp"
#include "kinds.hpp"
#include "smidgen.h"
#include "threads.hpp"

namespace smidgen {
namespace {

// One picture's memory and places.
struct Picture {
  float* arena;
  const float* x;
  float* y;

  float* place(const smidgen_view& view) const {
    switch (space_of(view)) {
      case Space::nowhere: return nullptr;
      case Space::arena: return arena + view.at;
      case Space::input: return const_cast<float*>(x) + view.at;
      case Space::output: return y + view.at;
    }
    __builtin_unreachable();
  }
  Places places(const smidgen_op& op) const {
    return {place(op.first ? op.first->x : op.x), place(op.add), place(op.gate), place(op.y), place(op.sums)};
  }
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void wait_a_little(int64_t tries) {
  constexpr int64_t awake = 2000;
  if (tries < awake) return rest();
  std::this_thread::yield();
}

// How far an operation is that several threads work on: each begins with parts of its own, the same range of every
// operation, since what it then reads is mostly what it has just written, which its caches still hold. After these it
// takes those of the others. Nobody waits for a thread that has not come: an operation ends when its parts are done,
// whoever did them. One counter a line of the cache: `done`, and for each thread how many of its parts are taken.
struct alignas(64) Counter {
  std::atomic<int64_t> value{0};
};

void alone(const OpKernels& kernels, const smidgen_op* ops, int64_t n_ops, const Picture& picture, float* scratch,
           double* seconds) {
  double before = seconds ? now() : 0;
  for (const smidgen_op* op = ops; op < ops + n_ops; ++op) {
    const Places places = picture.places(*op);
    const int64_t parts = kernels.parts(*op);
    for (int64_t part = 0; part < parts; ++part) kernels.run(*op, places, part, scratch);
    if (!seconds) continue;
    const double after = now();
    seconds[op - ops] += after - before;
    before = after;
  }
}

// What one of several threads does for a picture; counters: 1 + threads of each operation. The first one takes the times.
void together(const OpKernels& kernels, const smidgen_op* ops, int64_t n_ops, const Picture& picture, float* scratch,
              Counter* counters, int64_t member, int64_t threads, double* seconds) {
  double before = seconds ? now() : 0;
  for (int64_t i = 0; i < n_ops; ++i, counters += 1 + threads) {
    const smidgen_op& op = ops[i];
    std::atomic<int64_t>& done = counters->value;
    const int64_t parts = kernels.parts(op);
    const Places places = picture.places(op);
    const int64_t owners = least(threads, parts);
    int64_t mine = 0;
    for (int64_t other = 0; other < owners; ++other) {
      const int64_t owner = (member + other) % owners;
      const int64_t first = parts * owner / owners, last = parts * (owner + 1) / owners;
      std::atomic<int64_t>& taken = counters[1 + owner].value;
      if (taken.load(std::memory_order_relaxed) >= last - first) continue;
      for (int64_t part; (part = first + taken.fetch_add(1, std::memory_order_relaxed)) < last; ++mine)
        kernels.run(op, places, part, scratch);
    }
    if (mine) done.fetch_add(mine, std::memory_order_release);
    for (int64_t tries = 0; done.load(std::memory_order_acquire) < parts; ++tries) wait_a_little(tries);
    if (!seconds) continue;
    const double after = now();
    seconds[i] += after - before;
    before = after;
  }
}

bool all_known(const smidgen_op* ops, int64_t n_ops) {
  for (const smidgen_op* op = ops; op < ops + n_ops; ++op)
    if (!known(*op)) return false;
  return true;
}

int64_t scratch_floats(const OpKernels& kernels, const smidgen_op* ops, int64_t n_ops) {
  int64_t floats = 0;
  for (const smidgen_op* op = ops; op < ops + n_ops; ++op) floats = most(floats, kernels.scratch_floats(*op));
  return up(floats, 16);
}

}  // namespace
}  // namespace smidgen

using namespace smidgen;

int64_t smidgen_padded(int64_t columns) { return up(columns, isa().ops->panel); }

int64_t smidgen_packed_floats(int64_t columns, int64_t depth) { return isa().ops->packed_floats(columns, depth); }

void smidgen_pack(const float* matrix, const float* scale, int64_t columns, int64_t depth, float* packed) {
  isa().ops->pack(matrix, scale, columns, depth, packed);
}

int64_t smidgen_op_sums(const smidgen_op* op) {
  return known(*op) && kind_of(*op) == Kind::depthwise ? isa().ops->sums(*op) : -1;
}

int64_t smidgen_run_floats(const smidgen_op* ops, int64_t n_ops, int64_t arena, int32_t threads) {
  if (!all_known(ops, n_ops)) return -1;
  return threads * (up(arena, 16) + scratch_floats(*isa().ops, ops, n_ops));
}

int32_t smidgen_run(const smidgen_op* ops, int64_t n_ops, int64_t arena, int64_t pictures, const float* x, int64_t input,
                 float* y, int64_t output, float* memory, int32_t threads, double* seconds) try {
  if (!all_known(ops, n_ops)) return SMIDGEN_UNKNOWN;
  const OpKernels& kernels = *isa().ops;
  const int64_t room = up(arena, 16), scratch = scratch_floats(kernels, ops, n_ops);
  float* const scratches = memory + threads * room;
  auto picture = [&](int64_t number, int64_t place) {
    return Picture{memory + place * room, x + number * input, y + number * output};
  };
  // As many pictures as can be shared out evenly: each by one thread, which never waits for another.
  const int64_t shared = seconds ? 0 : threads == 1 ? pictures : pictures / threads * threads;
  if (shared) {
    std::atomic<int64_t> next{0};
    in_parallel(threads, least(threads, shared), [&](int64_t member) {
      for (int64_t number; (number = next.fetch_add(1, std::memory_order_relaxed)) < shared;)
        alone(kernels, ops, n_ops, picture(number, member), scratches + member * scratch, nullptr);
    });
  }
  for (int64_t number = shared; number < pictures; ++number) {
    const Picture one = picture(number, 0);
    if (threads == 1) {
      alone(kernels, ops, n_ops, one, scratches, seconds);
      continue;
    }
    const std::unique_ptr<Counter[]> counters(new Counter[static_cast<size_t>(n_ops * (1 + threads))]);
    in_parallel(threads, threads, [&](int64_t member) {
      together(kernels, ops, n_ops, one, scratches + member * scratch, counters.get(), member, threads,
               member ? nullptr : seconds);
    });
  }
  return 0;
} catch (const std::bad_alloc&) {
  return SMIDGEN_NO_MEMORY;
}

void smidgen_softmax(const float* x, int64_t rows, int64_t columns, float* y) {
  isa().ops->softmax(x, rows, columns, y);
}

int64_t smidgen_multiply_adds(int64_t rounds, int32_t threads) {
  std::atomic<int64_t> done{0};
  in_parallel(threads, threads, [&](int64_t) { done += isa().ops->multiply_adds(rounds); });
  return done;
}
