// A small pool whose idle threads sleep, and the host's OpenMP team where it lends one. Both stay behind in the parent
// when a process forks.

#include "threads.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>

#include "smidgen.h"

namespace smidgen {
namespace {

using GompParallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
std::atomic<GompParallel> gomp_parallel{nullptr};

// Starts a thread that never ends, on a stack of its own; false where the system refuses. In a forked child the C library
// would give it the stack of one that stayed with the parent, by which threads are known: who joins that one when the
// process exits, as torch does, would wait for this one.
bool start_thread(void* (*work)(void*), void* context) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes)) return false;
  size_t bytes = 0;
  pthread_attr_getstacksize(&attributes, &bytes);
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
  void* const stack = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  bool started = false;
  if (stack != MAP_FAILED) {
    mprotect(stack, static_cast<size_t>(sysconf(_SC_PAGESIZE)), PROT_NONE);  // what runs over, fails
    pthread_t thread;
    started = !pthread_attr_setstack(&attributes, stack, bytes) && !pthread_create(&thread, &attributes, work, context);
    if (started) {
      pthread_setname_np(thread, "smidgen");  // to be told from the host's
      pthread_detach(thread);
    } else {
      munmap(stack, bytes);
    }
  }
  pthread_attr_destroy(&attributes);
  return started;
}

struct Job {
  void (*part)(void*, int64_t);
  void* context;
  int64_t parts;
  std::atomic<int64_t> next{0};

  void work() {
    for (int64_t number; (number = next.fetch_add(1, std::memory_order_relaxed)) < parts;) part(context, number);
  }
};

// One job at a time. A second caller finds the pool busy and works alone, which is no slower: the cores are
// taken. Workers are started when first asked for.
class Pool {
 public:
  bool run(Job& job, int32_t helpers) {
    std::unique_lock<std::mutex> alone(busy_, std::try_to_lock);
    if (!alone.owns_lock()) return false;
    std::unique_lock<std::mutex> lock(mutex_);
    while (workers_ < helpers && start_thread(serve_pool, this)) ++workers_;  // refused: those that are there do it
    job_ = &job;
    places_ = helpers;
    calls_.fetch_add(1, std::memory_order_release);
    lock.unlock();
    wake_.notify_all();
    job.work();
    lock.lock();
    places_ = 0;  // who has not come yet need not
    done_.wait(lock, [this] { return active_ == 0; });
    job_ = nullptr;
    return true;
  }

 private:
  // Stays awake for a moment: the next picture mostly comes at once, waking takes long, and on a busy machine the
  // thread that wakes may find itself on the caller's core.
  void look_out(uint64_t last) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(200);
    while (calls_.load(std::memory_order_acquire) == last && std::chrono::steady_clock::now() < until)
      for (int i = 0; i < 16; ++i) rest();
  }

  static void* serve_pool(void* pool) {
    static_cast<Pool*>(pool)->serve();
    return nullptr;
  }

  [[noreturn]] void serve() {
    uint64_t last = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      if (places_ == 0 && last) {
        lock.unlock();
        look_out(last);
        lock.lock();
      }
      wake_.wait(lock, [this] { return places_ > 0; });
      last = calls_.load(std::memory_order_relaxed);
      --places_;
      ++active_;
      Job* job = job_;
      lock.unlock();
      job->work();
      lock.lock();
      if (--active_ == 0) done_.notify_one();
    }
  }

  std::mutex busy_, mutex_;
  std::condition_variable wake_, done_;
  std::atomic<uint64_t> calls_{0};
  Job* job_ = nullptr;
  int32_t workers_ = 0, places_ = 0, active_ = 0;
};

// Never destroyed: its threads sleep on it until the process ends.
std::atomic<Pool*> current{nullptr};

Pool& pool() {
  Pool* there = current.load(std::memory_order_acquire);
  if (there) return *there;
  std::unique_ptr<Pool> made(new Pool);
  return current.compare_exchange_strong(there, made.get()) ? *made.release() : *there;
}

// A child has none of its parent's threads, and its locks are as they were at that moment, perhaps held. So the pool is
// left as it is, never to be touched, and the first call makes a new one. Whether OpenMP's is usable there the host knows.
void renew() {
  current.store(nullptr);
  gomp_parallel.store(nullptr);
}
const int renews_in_children = pthread_atfork(nullptr, nullptr, renew);

}  // namespace

void in_parallel(int32_t threads, int64_t parts, void (*part)(void*, int64_t), void* context) {
  Job job{part, context, parts};
  const int32_t useful = static_cast<int32_t>(threads < parts ? threads : parts);
  if (useful <= 1 || !pool().run(job, useful - 1)) job.work();
}

void on_host_team(int32_t threads, int64_t parts, void (*part)(void*, int64_t), void* context) {
  const GompParallel team = gomp_parallel.load(std::memory_order_relaxed);
  if (!team || threads <= 1 || parts <= 1) return in_parallel(threads, parts, part, context);
  Job job{part, context, parts};
  // The team that the host always has, even where fewer would do: libgomp ends threads that a team leaves out.
  team([](void* job) { static_cast<Job*>(job)->work(); }, &job, static_cast<unsigned>(threads), 0);
}

}  // namespace smidgen

void smidgen_use_openmp(void* gomp_parallel) {
  smidgen::gomp_parallel.store(reinterpret_cast<smidgen::GompParallel>(gomp_parallel));
}
