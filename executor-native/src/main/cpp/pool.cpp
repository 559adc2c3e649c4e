#include "pool.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>

namespace shadowbatch {
namespace {

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

long nanoTime() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

// Spins until ready() or for about 30 microseconds: longer than the gap between two operations of
// a step, short enough not to take a core from others while the engine idles.
template <class Ready>
bool spin(Ready ready) {
  if (ready()) return true;
  const long end = nanoTime() + 30000;
  do {
    for (int i = 0; i < 32; i++) {
      if (ready()) return true;
      relax();
    }
  } while (nanoTime() < end);
  return ready();
}

uint32_t jobOf(uint64_t ticket) { return static_cast<uint32_t>(ticket >> 32); }
uint32_t nextOf(uint64_t ticket) { return static_cast<uint32_t>(ticket); }

}  // namespace

Pool::Pool(int threads, long scratchBytes) : threads_(threads), scratch_(threads, nullptr) {
  reserve(scratchBytes);
  for (int i = 1; i < threads; i++) workers_.emplace_back([this, i] { work(i); });
}

void Pool::reserve(long bytes) {
  if (bytes <= scratchBytes_) return;
  release();
  const long rounded = (bytes + 4095) / 4096 * 4096;
  for (char*& s : scratch_) {
    s = static_cast<char*>(std::aligned_alloc(4096, rounded));
    if (s == nullptr) {
      release();
      throw std::bad_alloc();
    }
    std::memset(s, 0, rounded);
  }
  scratchBytes_ = rounded;
}

void Pool::release() {
  for (char*& s : scratch_) {
    std::free(s);
    s = nullptr;
  }
  scratchBytes_ = 0;
}

Pool::~Pool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  opened_.notify_all();
  for (auto& w : workers_) w.join();
  release();
}

void Pool::run(int items, int grain, Body body, void* context) {
  if (items <= 0) return;
  if (threads_ == 1 || items <= grain) {
    body(context, 0, 0, items);
    return;
  }
  open(items, grain, body, context);
  while (takeChunk(0)) {
  }
  awaitDone(items);
}

// The job is closed before its fields change, so that a worker that has read a mixture of two jobs
// fails to take a chunk (Boehm 2012, "Can seqlocks get along with programming language memory
// models?").
void Pool::open(int items, int grain, Body body, void* context) {
  const uint64_t job = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  ticket_.store(job << 32 | kClosed, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  items_.store(items, std::memory_order_relaxed);
  grain_.store(grain, std::memory_order_relaxed);
  body_.store(body, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  ticket_.store(job << 32, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
    }
    opened_.notify_all();
  }
}

// Runs one chunk of the current job; false if there is none left.
bool Pool::takeChunk(int worker) {
  uint64_t t = ticket_.load(std::memory_order_acquire);
  for (;;) {
    const int items = items_.load(std::memory_order_relaxed);
    const int grain = grain_.load(std::memory_order_relaxed);
    const Body body = body_.load(std::memory_order_relaxed);
    void* const context = context_.load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    const uint32_t from = nextOf(t);
    if (from == kClosed || from >= static_cast<uint32_t>(items)) {
      // Fields of another job than t's may have been read: only an unchanged ticket is a verdict.
      const uint64_t again = ticket_.load(std::memory_order_acquire);
      if (again == t) return false;
      t = again;
      continue;
    }
    const uint32_t rest = static_cast<uint32_t>(items) - from;
    // Guided: large chunks first, small ones last, so that threads end together.
    const uint32_t fair = rest / (2 * static_cast<uint32_t>(threads_));
    const uint32_t wanted = std::max(fair, static_cast<uint32_t>(grain));
    const uint32_t count = std::min(rest, wanted);
    if (!ticket_.compare_exchange_weak(t, t + count, std::memory_order_acq_rel)) continue;
    body(context, worker, static_cast<int>(from), static_cast<int>(from + count));
    const int done = done_.fetch_add(static_cast<int>(count), std::memory_order_seq_cst) + count;
    if (done == items && worker != 0 && callerSleeps_.load(std::memory_order_seq_cst)) {
      {
        std::lock_guard<std::mutex> lock(mutex_);
      }
      finished_.notify_all();
    }
    return true;
  }
}

void Pool::awaitDone(int items) {
  auto ready = [&] { return done_.load(std::memory_order_seq_cst) == items; };
  if (spin(ready)) return;
  std::unique_lock<std::mutex> lock(mutex_);
  callerSleeps_.store(true, std::memory_order_seq_cst);
  finished_.wait(lock, ready);
  callerSleeps_.store(false, std::memory_order_seq_cst);
}

void Pool::work(int worker) {
  uint32_t seen = 0;
  auto ready = [&] {
    const uint64_t t = ticket_.load(std::memory_order_seq_cst);
    return stop_.load(std::memory_order_relaxed) || (jobOf(t) != seen && nextOf(t) != kClosed);
  };
  for (;;) {
    if (!spin(ready)) {
      std::unique_lock<std::mutex> lock(mutex_);
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      opened_.wait(lock, ready);
      sleepers_.fetch_sub(1, std::memory_order_seq_cst);
    }
    if (stop_.load(std::memory_order_relaxed)) return;
    seen = jobOf(ticket_.load(std::memory_order_acquire));
    while (takeChunk(worker)) {
    }
  }
}

}  // namespace shadowbatch
