#include "peak.h"

#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <new>

#include "isa.h"

namespace shadowbatch {
namespace {

// Far more than any cache, so that the bytes come from memory.
constexpr long kReadBytes = 512L << 20;

double readRate() {
  auto* p = static_cast<uint64_t*>(std::aligned_alloc(4096, kReadBytes));
  if (p == nullptr) throw std::bad_alloc();
  for (long i = 0; i < kReadBytes / 8; i++) p[i] = static_cast<uint64_t>(i);
  double best = 0;
  volatile uint64_t sink = 0;
  for (int round = 0; round < 3; round++) {
    const double start = threadSeconds();
    uint64_t s[8] = {};
    for (long i = 0; i < kReadBytes / 8; i += 8) {
      for (int j = 0; j < 8; j++) s[j] += p[i + j];
    }
    for (uint64_t x : s) sink = sink + x;
    const double rate = kReadBytes / (threadSeconds() - start);
    if (rate > best) best = rate;
  }
  std::free(p);
  return best;
}

}  // namespace

double threadSeconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double measurePeak(int what) {
  if (what == kReadPeak) return readRate();
#if defined(SB_X86)
  if (what == kDotPeak && supported(kAvx512)) return avx512::dotRate();
  if (what == kFloatPeak && supported(kAvx512)) return avx512::floatRate();
  if (what == kFloatPeak && supported(kAvx2)) return avx2::floatRate();
  if (what == kTilePeak && supported(kAmx)) return amx::tileRate();
#endif
  return 0;
}

}  // namespace shadowbatch
