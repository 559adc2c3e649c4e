// A fixed set of threads that run loops. The caller takes part; nothing here knows the JVM.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace shadowbatch {

class Pool {
 public:
  // body(context, worker, from, to) runs items [from, to); worker is in [0, threads).
  using Body = void (*)(void* context, int worker, int from, int to);

  Pool(int threads, long scratchBytes);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return threads_; }

  // Zero-initialised memory of one worker, aligned to 64 bytes.
  char* scratch(int worker) const { return scratch_[worker]; }

  // Makes every worker's scratch at least that large; what it held is lost.
  void reserve(long bytes);

  // Runs all items in chunks of at least `grain` and returns when they are done. One call at a time.
  void run(int items, int grain, Body body, void* context);

 private:
  // Where the next chunk starts (low half) of which job (high half). A closed job has no next.
  static constexpr uint64_t kClosed = 0xffffffffu;

  void work(int worker);
  bool takeChunk(int worker);
  void open(int items, int grain, Body body, void* context);
  void awaitDone(int items);

  void release();

  const int threads_;
  long scratchBytes_ = 0;
  std::vector<char*> scratch_;
  std::vector<std::thread> workers_;

  alignas(64) std::atomic<uint64_t> ticket_{kClosed};
  alignas(64) std::atomic<int> done_{0};
  alignas(64) std::atomic<int> items_{0};
  std::atomic<int> grain_{1};
  std::atomic<Body> body_{nullptr};
  std::atomic<void*> context_{nullptr};

  std::mutex mutex_;
  std::condition_variable opened_;
  std::condition_variable finished_;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> callerSleeps_{false};
  std::atomic<bool> stop_{false};
};

}  // namespace shadowbatch
