// Launches: blocks over the system's threads, kernels by name.
#pragma once
#include "fibers.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#if defined(__SANITIZE_ADDRESS__)
#include <pthread.h>
#endif

namespace sbemu {

struct Launch {
  dim3 grid, threads;
  size_t sharedBytes;
  void (*body)(const void* params);
  const void* params;
  uint64_t total = 0;
  std::atomic<uint64_t> next{0};

  // Runs blocks until all have been taken.
  void work() {
    thread_local Arena arena;
    const Settings& s = settings();
    Block b{};
    b.threads = threads;
    b.grid = grid;
    b.count = int(threads.x * threads.y * threads.z);
    b.warps = (b.count + 31) / 32;
    arena.reserve(b.count, sharedBytes);
    b.fibers = arena.fibers.data();
    b.warp = arena.warps.data();
    b.shared = arena.shared;
    b.sharedBytes = sharedBytes;
    b.body = body;
    b.params = params;
    b.order = s.order;
    b.lateCopies = s.lateCopies;
    nameStack(b);
    for (uint64_t i; (i = next++) < total;) {
      uint64_t k = b.order == Order::REVERSE ? total - 1 - i : i;
      b.index = {unsigned(k % grid.x), unsigned(k / grid.x % grid.y),
                 unsigned(k / ((uint64_t)grid.x * grid.y))};
      b.random = s.seed * 0x9E3779B97F4A7C15ull + k;
      runBlock(b);
    }
  }

  static void nameStack(Block& b) {
#if defined(__SANITIZE_ADDRESS__)
    pthread_attr_t attributes;
    pthread_getattr_np(pthread_self(), &attributes);
    void* bottom;
    pthread_attr_getstack(&attributes, &bottom, &b.stackBytes);
    b.stackBottom = (const char*)bottom;
    pthread_attr_destroy(&attributes);
#else
    (void)b;
#endif
  }
};

// Threads that wait for launches: starting them anew would cost more than most launches.
class Crew {
 public:
  void run(Launch& launch, int threads) {
    std::lock_guard<std::mutex> one(running_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (hired_ < threads - 1) {
        std::thread([this, id = hired_] { serve(id); }).detach();
        hired_++;
      }
      launch_ = &launch;
      wanted_ = busy_ = threads - 1;
      number_++;
    }
    start_.notify_all();
    launch.work();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void serve(int id) {
    uint64_t seen = 0;
    for (;;) {
      Launch* launch;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        start_.wait(lock, [&] { return number_ != seen && id < wanted_; });
        seen = number_;
        launch = launch_;
      }
      launch->work();
      std::lock_guard<std::mutex> lock(mutex_);
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::mutex running_, mutex_;
  std::condition_variable start_, done_;
  Launch* launch_ = nullptr;
  int hired_ = 0, wanted_ = 0, busy_ = 0;
  uint64_t number_ = 0;
};

constexpr unsigned THREADS_MAX = 1024;

struct Kernel {
  const char* name;
  void (*body)(const void* params);
  size_t paramBytes;
  Kernel* next;

  // Runs all blocks; p[0] points to the parameters, as in CUDA's kernelParams.
  void run(dim3 grid, dim3 threads, size_t sharedBytes, void** p) const {
    unsigned count = threads.x * threads.y * threads.z;
    if (count == 0 || count > THREADS_MAX) {
      std::fprintf(stderr, "emulator: %s: %u threads, 1 to %u can be\n", name, count,
                   THREADS_MAX);
      std::abort();
    }
    Launch launch{grid, threads, sharedBytes, body, p[0]};
    launch.total = (uint64_t)grid.x * grid.y * grid.z;
    // Never destroyed: its threads wait in it when the process ends.
    static Crew& crew = *new Crew;
    int wanted = (int)std::min<uint64_t>(launch.total, (uint64_t)settings().threads);
    crew.run(launch, wanted > 1 ? wanted : 1);
  }
};

inline Kernel*& kernels() {
  static Kernel* head = nullptr;
  return head;
}

inline Kernel* find(const char* name) {
  for (Kernel* k = kernels(); k; k = k->next) {
    if (!std::strcmp(k->name, name)) return k;
  }
  return nullptr;
}

// Kernels take one struct by value, so that a launch is one copy of bytes.
template <auto K>
struct Body;
template <class Params, void (*K)(Params)>
struct Body<K> {
  static constexpr size_t BYTES = sizeof(Params);
  static void run(const void* params) { K(*(const Params*)params); }
};

struct Register {
  Kernel kernel;
  Register(const char* name, void (*body)(const void*), size_t bytes)
      : kernel{name, body, bytes, kernels()} {
    kernels() = &kernel;
  }
};

}  // namespace sbemu

#define SB_EXPORT(k) \
  static sbemu::Register sbRegister_##k(#k, &sbemu::Body<&k>::run, sbemu::Body<&k>::BYTES);
#define SB_SHARED(name) unsigned char* name = (unsigned char*)sbemu::self().block->shared

#define threadIdx (sbemu::self().thread)
#define blockIdx (sbemu::self().block->index)
#define blockDim (sbemu::self().block->threads)
#define gridDim (sbemu::self().block->grid)
