// Sums and largest numbers of a warp or of four lanes, each one collective, in the order of the
// shuffles of device.h.
#pragma once
#include "copies.h"

namespace sb {

enum class Reduce { SUM, MAX };

template <Reduce R>
inline __attribute__((always_inline)) float reduce(float x, float y) {
  return R == Reduce::SUM ? x + y : fmaxf(x, y);
}

// Distances first, first / 2, .. last, or the other way round.
template <Reduce R, int FIRST, int LAST>
SBEMU_QUIET void reduceOp(sbemu::Warp& w, uint32_t) {
  float x[32], y[32];
  for (int l = 0; l < 32; l++) x[l] = *(const float*)w.in[l];
  for (int d = FIRST;; d = FIRST > LAST ? d / 2 : d * 2) {
    for (int l = 0; l < 32; l++) y[l] = reduce<R>(x[l], x[l ^ d]);
    std::memcpy(x, y, sizeof x);
    if (d == LAST) break;
  }
  for (int l = 0; l < 32; l++) *(float*)w.out[l] = x[l];
}

template <Reduce R, int FIRST, int LAST>
inline float reduceAll(float x, const char* where) {
  float r;
  sbemu::collect(sbemu::ALL_LANES, &x, &r, &reduceOp<R, FIRST, LAST>, where);
  return r;
}

static inline float warpSum(float x) { return reduceAll<Reduce::SUM, 16, 1>(x, "warpSum"); }
static inline float warpMax(float x) { return reduceAll<Reduce::MAX, 16, 1>(x, "warpMax"); }
static inline float quadSum(float x) { return reduceAll<Reduce::SUM, 1, 2>(x, "quadSum"); }
static inline float quadMax(float x) { return reduceAll<Reduce::MAX, 1, 2>(x, "quadMax"); }

static inline void copy16(void* shared, const void* global, bool ok) {
  sbemu::copyAsync(shared, global, ok ? 16 : 0, 16);
}

static inline void copy8(void* shared, const void* global, bool ok) {
  sbemu::copyAsync(shared, global, ok ? 8 : 0, 8);
}

static inline void copyCommit() { sbemu::commitCopies(); }

template <int KEEP>
static inline void copyWait() {
  sbemu::waitCopies(KEEP);
}

}  // namespace sb
