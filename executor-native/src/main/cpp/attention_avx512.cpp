#include "attention.h"
#include "dot_avx512.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

// The loops are functions of their own: inlined into the tile pass, GCC 12 spills the accumulators.

template <int R, int C>
__attribute__((noinline)) void keys(const Queries& query, const uint8_t* k, const float* keyScale,
                                    int d, float* out) {
  const uint8_t* q = query.packed;
  const long stride = query.stride;
  I c[R][C];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) c[r][j] = splatI(-128 * query.sum[r]);
  }
#pragma GCC unroll 1
  for (int i = 0; i < d; i += 4, k += 4 * kTile) {
    I v[C];
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) v[j] = _mm512_loadu_si512(k + 64 * j);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const I x = broadcastQuad(q + r * stride + i);
#pragma GCC unroll 4
      for (int j = 0; j < C; j++) dot(c[r][j], v[j], x);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
    const F scale = splat(query.scale[r]);
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) {
      store(out + r * kTile + 16 * j, mul(toFloat(c[r][j]), mul(load(keyScale + 16 * j), scale)));
    }
  }
}

// What a quad of tokens adds, with 8 of the weights' 15 bits.
template <int R, int C>
SB_INLINE void addQuad(const uint8_t* p, const int8_t* v, I (&c)[R][C]) {
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

// High bits only of the quads where a row has any: a weight below 1/256 of the largest has none,
// and those are most of a real model.
template <int R, int C>
__attribute__((noinline)) void values(const uint8_t* p, const int8_t* v, int d, int quads,
                                      const float* correction, const float* back, float* o) {
  I c[R][C];
  I any = _mm512_loadu_si512(p);
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
    if (r > 0) any = orI(any, _mm512_loadu_si512(p + r * kWeightBytes));
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) c[r][j] = _mm512_setzero_si512();
  }
#pragma GCC unroll 1
  for (unsigned high = _mm512_test_epi32_mask(any, any); high != 0; high &= high - 1) {
    const int quad = __builtin_ctz(high);
    addQuad<R, C>(p + 4 * quad, v + 4L * d * quad, c);
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) asm("vpslld $7,%0,%0" : "+v"(c[r][j]));  // in place, see dot
  }
#pragma GCC unroll 1
  for (int quad = 0; quad < quads; quad++) {
    addQuad<R, C>(p + kTile + 4 * quad, v + 4L * d * quad, c);
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) {
      float* at = o + r * d + 16 * j;
      store(at, fma(load(at), splat(correction[r]), mul(toFloat(c[r][j]), splat(back[r]))));
    }
  }
}

using Keys = void (*)(const Queries&, const uint8_t*, const float*, int, float*);
template <int C>
constexpr Keys kKeys[kSubRows] = {keys<1, C>, keys<2, C>, keys<3, C>,
                                  keys<4, C>, keys<5, C>, keys<6, C>};

using Values = void (*)(const uint8_t*, const int8_t*, int, int, const float*, const float*,
                        float*);
template <int C>
constexpr Values kValues[kSubRows] = {values<1, C>, values<2, C>, values<3, C>,
                                      values<4, C>, values<5, C>, values<6, C>};

}  // namespace

void enterKernels() {}
void leaveKernels() {}

void scoreKeys(int rows, const Queries& q, const uint8_t* k, const float* keyScale, int d,
               int slots, float* out) {
  const auto& table = slots > 48   ? kKeys<4>
                      : slots > 32 ? kKeys<3>
                      : slots > 16 ? kKeys<2>
                                   : kKeys<1>;
  table[rows - 1](q, k, keyScale, d, out);
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
