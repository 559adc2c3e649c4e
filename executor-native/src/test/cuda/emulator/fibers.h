// Threads of a block as fibers: which runs next, barriers, and a block from start to end.
#pragma once
#include "block.h"

#include <sys/mman.h>

namespace sbemu {

constexpr size_t PAGE = 4096;
constexpr size_t CANARY = 256;

// Saves this stack's pointer at *save and goes on with that of another.
#if !defined(__x86_64__)
#error "add the stack switch of this processor"
#endif
__attribute__((naked, noinline, no_sanitize("thread", "address", "undefined"))) static void
switchStack(void** /* save */, void* /* to */) {
  asm volatile(
      "pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
      "movq %rsp,(%rdi)\n movq %rsi,%rsp\n"
      "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret\n");
}

SBEMU_QUIET inline int pickLane(Block& b, uint32_t ready) {
  if (b.order == Order::FORWARD) return __builtin_ctz(ready);
  if (b.order == Order::REVERSE) return 31 - __builtin_clz(ready);
  b.random = b.random * 6364136223846793005ull + 1442695040888963407ull;
  int skip = int((b.random >> 33) % unsigned(__builtin_popcount(ready)));
  while (skip--) ready &= ready - 1;
  return __builtin_ctz(ready);
}

// A thread that can go on, in warps from this one on; nullptr if there is none.
SBEMU_QUIET inline Fiber* pick(Block& b, int from) {
  if (b.order == Order::REVERSE) from = b.warps - 1;
  if (b.order == Order::RANDOM) from = int((b.random >> 20) % unsigned(b.warps));
  int step = b.order == Order::REVERSE ? b.warps - 1 : 1;
  for (int i = 0; i < b.warps; i++, from = (from + step) % b.warps) {
    uint32_t ready = b.warp[from].ready;
    if (ready) return &b.fibers[from * 32 + pickLane(b, ready)];
  }
  return nullptr;
}

// From one fiber to another; null is the scheduler.
SBEMU_QUIET inline void go(Block& b, Fiber* from, Fiber* to) {
  SBEMU_TSAN(__tsan_switch_to_fiber(to ? to->tsan : b.schedulerTsan, 1 /* orders nothing */);)
  SBEMU_ASAN(void** fake = from ? &from->fakeStack : &b.schedulerFake;
             __sanitizer_start_switch_fiber(fake, to ? to->stack : b.stackBottom,
                                            to ? STACK : b.stackBytes);)
  switchStack(from ? &from->sp : &b.scheduler, to ? to->sp : b.scheduler);
  SBEMU_ASAN(__sanitizer_finish_switch_fiber(*fake, nullptr, nullptr);)
}

SBEMU_QUIET inline void yield(Block& b, Fiber& f) {
  Warp& w = b.warp[f.warp];
  // Within a warp while one can: that keeps stacks in the cache.
  Fiber* next = b.order != Order::RANDOM && w.ready
      ? &b.fibers[f.warp * 32 + pickLane(b, w.ready)]
      : pick(b, f.warp);
  if (next != &f) go(b, &f, next);
}

SBEMU_QUIET inline void openBarrier(Block& b) {
  b.arrived = 0;
  b.generation++;
  b.votes[b.generation & 1] = 0;
  for (int i = 0; i < b.count; i++) {
    if (b.fibers[i].state != State::AT_BARRIER) continue;
    b.fibers[i].state = State::READY;
    b.warp[i >> 5].ready |= 1u << (i & 31);
  }
}

SBEMU_QUIET inline int wait(bool vote, const char* where) {
  Fiber& f = self();
  Block& b = *f.block;
  f.where = where;
  int& votes = b.votes[b.generation & 1];
  votes += vote;
  if (++b.arrived == b.live) {
    openBarrier(b);
  } else {
    f.state = State::AT_BARRIER;
    b.warp[f.warp].ready &= ~(1u << f.lane);
    yield(b, f);
  }
  // The next generation clears these only when all have come to it, having read them.
  return votes;
}

// For each generation one address: who runs ahead releases into the other.
SBEMU_QUIET inline char* barrierAddress() {
  Block& b = *self().block;
  return &b.synced[b.generation & 1];
}

// __syncthreads; how many threads voted yes.
inline int barrier(bool vote, const char* where) {
  SBEMU_TSAN(char* address = barrierAddress(); __tsan_release(address);)
  int votes = wait(vote, where);
  SBEMU_TSAN(__tsan_acquire(address);)
  return votes;
}

SBEMU_QUIET inline void finish() {
  Fiber& f = self();
  Block& b = *f.block;
  f.state = State::DONE;
  Warp& w = b.warp[f.warp];
  w.ready &= ~(1u << f.lane);
  w.live &= ~(1u << f.lane);
  b.live--;
  if (b.arrived && b.arrived == b.live) openBarrier(b);
  yield(b, f);
  std::abort();
}

SBEMU_QUIET inline void entry() {
  SBEMU_ASAN(__sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);)
  Block& b = *self().block;
  SBEMU_TSAN(__tsan_acquire(&b.started);)
  b.body(b.params);
  SBEMU_TSAN(__tsan_release(&b.ended);)
  finish();
}

// Aligned to its size; its lowest page no one may touch.
SBEMU_QUIET inline char* newStack() {
  char* at = (char*)mmap(nullptr, 2 * STACK, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  char* stack = (char*)(((uintptr_t)at + STACK - 1) & ~(STACK - 1));
  if (at == MAP_FAILED || mprotect(stack, PAGE, PROT_NONE)) {
    std::perror("emulator: no memory for stacks");
    std::exit(2);
  }
  if (stack > at) munmap(at, (size_t)(stack - at));
  munmap(stack + STACK, (size_t)(at + STACK - stack));
  return stack;
}

// Fibers and shared memory of one thread of the system, used for one block after the other.
struct Arena {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  char* shared = nullptr;
  size_t capacity = 0;

  Arena() = default;
  Arena(const Arena&) = delete;
  ~Arena() {
    for (Fiber& f : fibers) {
      SBEMU_TSAN(__tsan_destroy_fiber(f.tsan);)
      munmap(f.stack, STACK);
    }
    std::free(shared);
  }

  SBEMU_QUIET void reserve(int threads, size_t sharedBytes) {
    while ((int)fibers.size() < threads) {
      Fiber f{};
      f.stack = newStack();
      SBEMU_TSAN(f.tsan = __tsan_create_fiber(0);)
      fibers.push_back(std::move(f));
    }
    warps.resize((threads + 31) / 32);
    if (sharedBytes + CANARY > capacity) {
      std::free(shared);
      capacity = (sharedBytes + CANARY + 1023) / 1024 * 1024;
      shared = (char*)std::aligned_alloc(1024, capacity);
    }
  }
};

SBEMU_QUIET inline void startFibers(Block& b) {
  for (int i = 0; i < b.warps; i++) {
    int lanes = b.count - i * 32;
    Warp& w = b.warp[i];
    w.ready = w.live = lanes >= 32 ? ~0u : (1u << lanes) - 1;
    w.arrived = 0;
    std::memset(w.generation, 0, sizeof w.generation);
  }
  for (int i = 0; i < b.count; i++) {
    Fiber& f = b.fibers[i];
    unsigned x = b.threads.x, y = b.threads.y, u = (unsigned)i;
    f.thread = {u % x, u / x % y, u / (x * y)};
    f.lane = i & 31;
    f.warp = i >> 5;
    f.state = State::READY;
    f.where = "start";
    f.block = &b;
    ownerOf((uintptr_t)f.stack) = &f;
    f.copies.clear();
    f.group = 0;
    f.fakeStack = nullptr;
    // Staggered, or the tops of all stacks share one set of the cache.
    void** sp = (void**)(f.stack + STACK - 128 - (i & 63) * 832);
    sp[6] = (void*)&entry;
    sp[7] = nullptr;
    f.sp = sp;
  }
}

// Shared memory starts as numbers that are none; behind it lies what no one may change.
SBEMU_QUIET inline void fillShared(Block& b) {
  char* end = b.shared + b.sharedBytes;
  SBEMU_ASAN(__asan_unpoison_memory_region(b.shared, b.sharedBytes + CANARY);)
  std::memset(b.shared, 0xFF, b.sharedBytes);
  std::memset(end, 0xA5, CANARY);
  SBEMU_ASAN(__asan_poison_memory_region(end, CANARY);)
}

SBEMU_QUIET inline void checkShared(Block& b) {
  const char* end = b.shared + b.sharedBytes;
  SBEMU_ASAN(__asan_unpoison_memory_region(end, CANARY);)
  for (size_t i = 0; i < CANARY; i++) {
    if (end[i] != (char)0xA5) die(b, "write past the launch's dynamic shared memory");
  }
}

SBEMU_QUIET inline void runBlock(Block& b) {
  b.live = b.count;
  b.arrived = b.generation = b.votes[0] = b.votes[1] = 0;
  fillShared(b);
  startFibers(b);
  SBEMU_TSAN(b.schedulerTsan = __tsan_get_current_fiber(); __tsan_release(&b.started);)
  while (Fiber* next = pick(b, 0)) go(b, nullptr, next);
  SBEMU_TSAN(__tsan_acquire(&b.ended);)
  if (b.live) die(b, "deadlock: not all threads of a block, or of a mask, came");
  checkShared(b);
}

}  // namespace sbemu
