// Vectors of 16 lanes, the width in which every float sum of the engine is defined. SB_ISA names
// the instruction set of the translation unit and its namespace, so that no function compiled for
// one set can be linked into code of another.
#pragma once
#include <cstdint>
#include <cstring>

#include "pool.h"

#define SB_INLINE static inline __attribute__((always_inline))

#if defined(SB_AVX512)
#include "vec_avx512.h"
#elif defined(SB_AVX2)
#include "vec_avx2.h"
#else
#include "vec_portable.h"
#endif

namespace shadowbatch {
namespace SB_ISA {

SB_INLINE int least(int a, int b) { return a < b ? a : b; }
SB_INLINE int most(int a, int b) { return a > b ? a : b; }

// First n lanes from memory, the others zero.
SB_INLINE F loadPart(const float* p, int n) {
  alignas(64) float lanes[16] = {};
  for (int i = 0; i < n; i++) lanes[i] = p[i];
  return load(lanes);
}

SB_INLINE void storePart(float* p, F x, int n) {
  alignas(64) float lanes[16];
  store(lanes, x);
  for (int i = 0; i < n; i++) p[i] = lanes[i];
}

#if !defined(SB_AVX512)
// out[r] = max16 or sum16 of row r of x [rows][16]. (May read and write whole eights of rows.)
SB_INLINE void maxRows(const float* x, int rows, float* out) {
  for (int r = 0; r < rows; r++) out[r] = max16(load(x + 16 * r));
}
SB_INLINE void sumRows(const float* x, int rows, float* out) {
  for (int r = 0; r < rows; r++) out[r] = sum16(load(x + 16 * r));
}
#endif

// A loop over items on the pool; body(worker, from, to) may be a lambda.
template <class Loop>
SB_INLINE void parallel(Pool& pool, int items, int grain, Loop& loop) {
  pool.run(
      items, grain,
      [](void* l, int worker, int from, int to) { (*static_cast<Loop*>(l))(worker, from, to); },
      &loop);
}

// Rows of a chunk so that handing it over costs little: about 4K elements, a microsecond or two.
SB_INLINE int rowGrain(int columns) { return most(1, 4096 / most(columns, 1)); }

}  // namespace SB_ISA
}  // namespace shadowbatch
