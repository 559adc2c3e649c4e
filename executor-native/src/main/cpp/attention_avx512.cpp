#include "attention.h"
#include "dot_avx512.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

// The loops are functions of their own: inlined into the tile pass, GCC 12 spills the accumulators.

template <int R>
__attribute__((noinline)) void keys(const uint8_t* q, long stride, const int32_t* querySum,
                                    const uint8_t* k, int d, int32_t* out) {
  I c[R][4];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) c[r][j] = splatI(-128 * querySum[r]);
  }
#pragma GCC unroll 1
  for (int i = 0; i < d; i += 4, k += 4 * kTile) {
    I v[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) v[j] = _mm512_loadu_si512(k + 64 * j);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const I x = broadcastQuad(q + r * stride + i);
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) dot(c[r][j], v[j], x);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) storeI(out + r * kTile + 16 * j, c[r][j]);
  }
}

// One pass over the tile's values with 8 of the weights' 15 bits.
template <int R, int C>
SB_INLINE void pass(const uint8_t* p, const int8_t* v, int d, int quads, I (&c)[R][C]) {
#pragma GCC unroll 1
  for (int quad = 0; quad < quads; quad++, p += 4, v += 4 * d) {
    I x[C];
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) x[j] = _mm512_loadu_si512(v + 64 * j);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const I w = broadcastQuad(p + r * kWeightBytes);
#pragma GCC unroll 4
      for (int j = 0; j < C; j++) dot(c[r][j], w, x[j]);
    }
  }
}

template <int R, int C>
__attribute__((noinline)) void values(const uint8_t* p, const int8_t* v, int d, int quads,
                                      const float* correction, const float* back, float* o) {
  I c[R][C];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) c[r][j] = _mm512_setzero_si512();
  }
  pass<R, C>(p, v, d, quads, c);
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) c[r][j] = _mm512_slli_epi32(c[r][j], 7);
  }
  pass<R, C>(p + kTile, v, d, quads, c);
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) {
      float* at = o + r * d + 16 * j;
      store(at, fma(load(at), splat(correction[r]), mul(toFloat(c[r][j]), splat(back[r]))));
    }
  }
}

using Keys = void (*)(const uint8_t*, long, const int32_t*, const uint8_t*, int, int32_t*);
constexpr Keys kKeys[kSubRows] = {keys<1>, keys<2>, keys<3>, keys<4>, keys<5>, keys<6>};

using Values = void (*)(const uint8_t*, const int8_t*, int, int, const float*, const float*,
                        float*);
template <int C>
constexpr Values kValues[kSubRows] = {values<1, C>, values<2, C>, values<3, C>,
                                      values<4, C>, values<5, C>, values<6, C>};

}  // namespace

void enterKernels() {}
void leaveKernels() {}

void packQuery(uint8_t* packed, int i, I q) { storeBytes(packed + i, q); }

void dotKeys(int rows, const uint8_t* packed, long stride, const int32_t* querySum,
             const uint8_t* k, int d, int32_t* out) {
  kKeys[rows - 1](packed, stride, querySum, k, d, out);
}

void addValues(int rows, const uint8_t* packed, const int8_t* v, int d, int quads,
               const float* correction, const float* back, float* o) {
  int i = 0;
  for (; i + 64 <= d; i += 64) {
    kValues<4>[rows - 1](packed, v + 4 * i, d, quads, correction, back, o + i);
  }
  for (; i < d; i += 16) {
    kValues<1>[rows - 1](packed, v + 4 * i, d, quads, correction, back, o + i);
  }
}

}  // namespace SB_ISA
}  // namespace shadowbatch
