// The state of one thread block that runs, and the settings of a run.
#pragma once
#include "keywords.h"
#include "sanitizers.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace sbemu {

enum class Order { FORWARD, REVERSE, RANDOM };

// How kernels are run. From the environment at first, as SBEMU_ORDER and so on.
struct Settings {
  Order order = Order::FORWARD;
  uint64_t seed = 1;
  bool lateCopies = true;
  int threads = (int)std::thread::hardware_concurrency();

  Settings() {
    // The order last but one: it sets threads, and who names them wins.
    for (const char* key : {"ORDER", "CPASYNC", "THREADS"}) {
      const char* value = std::getenv((std::string("SBEMU_") + key).c_str());
      if (value && !set(key, value)) {
        std::fprintf(stderr, "SBEMU_%s=%s: see emulator.h\n", key, value);
        std::exit(2);
      }
    }
  }

  // False: no such key or value.
  bool set(const std::string& key, const std::string& value) {
    if (key == "ORDER") {
      if (value == "fwd") {
        order = Order::FORWARD;
      } else if (value == "rev") {
        order = Order::REVERSE;
      } else if (value.rfind("rand:", 0) == 0) {
        order = Order::RANDOM;
        seed = std::strtoull(value.c_str() + 5, nullptr, 10);
      } else {
        return false;
      }
      threads = 1;
    } else if (key == "CPASYNC") {
      lateCopies = value == "late";
      return lateCopies || value == "early";
    } else if (key == "THREADS") {
      threads = std::atoi(value.c_str());
      return threads > 0;
    } else {
      return false;
    }
    return true;
  }
};

inline Settings& settings() {
  static Settings s;
  return s;
}

struct Warp;
using Collective = void (*)(Warp&, uint32_t mask);

struct Warp {
  uint32_t ready, arrived, live;  // a bit for each lane
  uint8_t generation[32];         // of __syncwarp, for the race detector
  char synced[2];                 // its addresses of even and odd generations
  // What each lane brought to the collective it waits in.
  const void* in[32];
  void* out[32];
  uint32_t mask[32];
  Collective op[32];
};

enum class State : uint8_t { READY, AT_BARRIER, AT_COLLECTIVE, DONE };

struct Copy {
  void* to;
  const void* from;
  int bytes;  // the rest of size is zeroed
  int size;
  int group;
};

struct Block;

struct Fiber {
  Block* block;
  void* sp;
  char* stack;
  uint3 thread;
  int lane, warp;
  State state;
  const char* where;
  std::vector<Copy> copies;  // on their way
  int group;                 // committed groups
  void* tsan;
  void* fakeStack;
};

struct Block {
  uint3 index;
  dim3 threads, grid;
  int count, warps, live;
  Fiber* fibers;
  Warp* warp;
  int arrived, generation, votes[2];  // of __syncthreads; votes by odd and even generation
  char synced[2];
  char* shared;
  size_t sharedBytes;
  void* scheduler;
  void* schedulerTsan;
  void* schedulerFake;
  const char* stackBottom;  // of the scheduler's thread, for the address sanitizer
  size_t stackBytes;
  void (*body)(const void* params);
  const void* params;
  Order order;
  bool lateCopies;
  uint64_t random;
  char started, ended;  // addresses for the race detector
};

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr size_t STACK = 256u << 10;
#else
constexpr size_t STACK = 128u << 10;
#endif

// The last word of a fiber's stack, which begins at a multiple of its size, names the fiber: that
// is faster than thread-local memory, above all in a library.
inline __attribute__((always_inline)) Fiber*& ownerOf(uintptr_t address) {
  return *(Fiber**)((address | (STACK - 1)) - (sizeof(Fiber*) - 1));
}

// Of the thread that runs; only within kernels.
inline __attribute__((always_inline)) Fiber& self() {
  uintptr_t sp;
  asm("movq %%rsp, %0" : "=r"(sp));
  return *ownerOf(sp);
}

[[noreturn]] inline void die(const Block& b, const char* what) {
  std::fprintf(stderr, "emulator: %s in block (%u,%u,%u)\n", what, b.index.x, b.index.y, b.index.z);
  static const char* const STATES[] = {"ready", "at barrier", "at collective", "done"};
  for (int i = 0; i < b.count; i++) {
    const Fiber& f = b.fibers[i];
    bool same = i % 32 && f.state == b.fibers[i - 1].state && f.where == b.fibers[i - 1].where;
    if (f.state == State::DONE || same) continue;
    std::fprintf(stderr, "  thread %d on: %s, %s\n", i, STATES[(int)f.state], f.where);
  }
  std::abort();
}

[[noreturn]] inline void die(const char* what) {
  std::fprintf(stderr, "emulator: thread %d: %s\n", self().warp * 32 + self().lane,
               self().where);
  die(*self().block, what);
}

}  // namespace sbemu
