#include "attention.h"
#include "dot_avx2.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

constexpr int kPairStride = kWeightBytes / 2;  // 16-bit weights of a row

// 32 tokens of keys for R rows.
template <int R>
void keys(const int16_t* q, long stride, const int32_t* querySum, const uint8_t* k, int d,
          int32_t* out) {
  __m256i c[R][4];
  for (int r = 0; r < R; r++) {
    for (int j = 0; j < 4; j++) c[r][j] = _mm256_set1_epi32(-128 * querySum[r]);
  }
  dotQuads<R, 4, Bytes::kUnsigned>(k, 4 * kTile, d / 4, q, stride, c);
  for (int r = 0; r < R; r++) {
    for (int j = 0; j < 4; j++) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + r * kTile + 8 * j), c[r][j]);
    }
  }
}

// 16 dimensions of values for R rows.
template <int R>
void values(const int16_t* p, const int8_t* v, int d, int quads, const float* correction,
            const float* back, float* o) {
  __m256i c[R][2];
  for (int r = 0; r < R; r++) c[r][0] = c[r][1] = _mm256_setzero_si256();
  dotQuads<R, 2, Bytes::kSigned>(reinterpret_cast<const uint8_t*>(v), 4L * d, quads, p, kPairStride,
                                 c);
  for (int r = 0; r < R; r++) {
    const F sum = mul(toFloat(I{c[r][0], c[r][1]}), splat(back[r]));
    store(o + r * d, fma(load(o + r * d), splat(correction[r]), sum));
  }
}

}  // namespace

void enterKernels() {}
void leaveKernels() {}

void packQuery(uint8_t* packed, int i, I q) {
  storePairs(reinterpret_cast<int16_t*>(packed) + i, q);
}

void dotKeys(int rows, const uint8_t* packed, long stride, const int32_t* querySum,
             const uint8_t* k, int d, int32_t* out) {
  const long pairStride = stride / 2;
  for (int r = 0; r < rows; r += 2) {
    const auto* q = reinterpret_cast<const int16_t*>(packed + r * stride);
    for (int j = 0; j < kTile; j += 32) {
      if (rows - r >= 2) {
        keys<2>(q, pairStride, querySum + r, k + 4 * j, d, out + r * kTile + j);
      } else {
        keys<1>(q, pairStride, querySum + r, k + 4 * j, d, out + r * kTile + j);
      }
    }
  }
}

void addValues(int rows, const uint8_t* packed, const int8_t* v, int d, int quads,
               const float* correction, const float* back, float* o) {
  for (int r = 0; r < rows; r += 2) {
    const auto* p = reinterpret_cast<const int16_t*>(packed + r * kWeightBytes);
    for (int i = 0; i < d; i += 16) {
      if (rows - r >= 2) {
        values<2>(p, v + 4 * i, d, quads, correction + r, back + r, o + r * d + i);
      } else {
        values<1>(p, v + 4 * i, d, quads, correction + r, back + r, o + r * d + i);
      }
    }
  }
}

}  // namespace SB_ISA
}  // namespace shadowbatch
