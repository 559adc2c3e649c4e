// The peak loops of one instruction set: independent chains, operands in registers.
#include <immintrin.h>

#include <cstdint>

#include "peak.h"
#if defined(SB_PEAK_TILES)
#include "tiles.h"
#endif

namespace shadowbatch {
namespace {

constexpr long kLoops = 1000000;
constexpr int kRounds = 5;

// Best rate of a loop that does `work` operations.
template <class Loop>
double best(double work, Loop loop) {
  double rate = 0;
  for (int round = 0; round < kRounds; round++) {
    const double start = threadSeconds();
    loop();
    const double r = work / (threadSeconds() - start);
    if (r > rate) rate = r;
  }
  return rate;
}

}  // namespace

#define SB_CHAINS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

#if defined(SB_PEAK_TILES)
namespace amx {

double tileRate() {
  const TileConfig config;
  loadTileConfig(config);
  const double rate = best(kLoops / 4 * 4 * 2.0 * 16 * 16 * 64, [] {
    for (long i = 0; i < kLoops / 4; i++) {
      _tile_dpbsud(0, 4, 6);
      _tile_dpbsud(1, 4, 7);
      _tile_dpbsud(2, 5, 6);
      _tile_dpbsud(3, 5, 7);
    }
  });
  _tile_release();
  return rate;
}

}  // namespace amx
#elif defined(SB_AVX512)
namespace avx512 {

double dotRate() {
  return best(kLoops * 12 * 128.0, [] {
    __m512i a[12];
    for (auto& x : a) x = _mm512_setzero_si512();
    const __m512i b = _mm512_set1_epi8(1);
    for (long i = 0; i < kLoops; i++) {
#define X(k) asm volatile("vpdpbusd %1,%1,%0" : "+v"(a[k]) : "v"(b));
      SB_CHAINS(X)
#undef X
    }
  });
}

double floatRate() {
  return best(kLoops * 12 * 32.0, [] {
    __m512 a[12];
    for (auto& x : a) x = _mm512_setzero_ps();
    const __m512 b = _mm512_setzero_ps();
    for (long i = 0; i < kLoops; i++) {
#define X(k) asm volatile("vfmadd231ps %1,%1,%0" : "+v"(a[k]) : "v"(b));
      SB_CHAINS(X)
#undef X
    }
  });
}

}  // namespace avx512
#else
namespace avx2 {

double floatRate() {
  return best(kLoops * 12 * 16.0, [] {
    __m256 a[12];
    for (auto& x : a) x = _mm256_setzero_ps();
    const __m256 b = _mm256_setzero_ps();
    for (long i = 0; i < kLoops; i++) {
#define X(k) asm volatile("vfmadd231ps %1,%1,%0" : "+x"(a[k]) : "x"(b));
      SB_CHAINS(X)
#undef X
    }
  });
}

}  // namespace avx2
#endif

}  // namespace shadowbatch
