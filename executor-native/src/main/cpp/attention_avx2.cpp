#include "attention.h"
#include "dot_avx2.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

constexpr int kPairStride = kWeightBytes / 2;  // 16-bit weights of a row

// 32 tokens of keys for R rows.
template <int R>
void keys(const Queries& query, int first, const uint8_t* k, const float* keyScale, int d,
          float* out) {
  __m256i c[R][4];
  for (int r = 0; r < R; r++) {
    for (int j = 0; j < 4; j++) c[r][j] = _mm256_set1_epi32(-128 * query.sum[first + r]);
  }
  const auto* q = reinterpret_cast<const int16_t*>(query.packed + first * query.stride);
  dotQuads<R, 4, Bytes::kUnsigned>(k, 4 * kTile, d / 4, q, query.stride / 2, c);
  for (int r = 0; r < R; r++) {
    const F scale = splat(query.scale[first + r]);
    for (int j = 0; j < 2; j++) {
      const F dots = toFloat(I{c[r][2 * j], c[r][2 * j + 1]});
      store(out + (first + r) * kTile + 16 * j, mul(dots, mul(load(keyScale + 16 * j), scale)));
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

void scoreKeys(int rows, const Queries& q, const uint8_t* k, const float* keyScale, int d,
               int slots, float* out) {
  for (int r = 0; r < rows; r += 2) {
    for (int j = 0; j < slots; j += 32) {
      const auto pass = rows - r >= 2 ? keys<2> : keys<1>;
      pass(q, r, k + 4 * j, keyScale + j, d, out + j);
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
