#include "attention.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

// Vectors of 16 that a pass keeps in registers for each row: 6 rows x 4 fill AVX-512's 32.
#if defined(SB_AVX512)
constexpr int kWide = 4;
#else
constexpr int kWide = 1;
#endif

// acc[r][j] = fma over i of table[i][16 j ..] * x[r][i], in order of i.
template <int R, int C>
__attribute__((noinline)) void product(const uint16_t* table, long tableStride, int n,
                                       const float* x, long xStride, const float* scale, float* y,
                                       long yStride) {
  F acc[R][C];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) {
      acc[r][j] =
          scale == nullptr ? splat(0.f) : mul(load(y + r * yStride + 16 * j), splat(scale[r]));
    }
  }
#pragma GCC unroll 1
  for (int i = 0; i < n; i++) {
    F t[C];
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) t[j] = loadHalf(table + i * tableStride + 16 * j);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const F v = splat(x[r * xStride + i]);
#pragma GCC unroll 4
      for (int j = 0; j < C; j++) acc[r][j] = fma(t[j], v, acc[r][j]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < C; j++) store(y + r * yStride + 16 * j, acc[r][j]);
  }
}

using Product = void (*)(const uint16_t*, long, int, const float*, long, const float*, float*,
                         long);

template <int C>
constexpr Product kProducts[kHalfRows] = {product<1, C>, product<2, C>, product<3, C>,
                                          product<4, C>, product<5, C>, product<6, C>};

// Columns [0, width) of the product, kWide vectors at a time.
void wide(int rows, int width, const uint16_t* table, int n, const float* x, long xStride,
          const float* scale, float* y) {
  int j = 0;
  for (; j + 16 * kWide <= width; j += 16 * kWide) {
    kProducts<kWide>[rows - 1](table + j, width, n, x, xStride, scale, y + j, width);
  }
  for (; j < width; j += 16) {
    kProducts<1>[rows - 1](table + j, width, n, x, xStride, scale, y + j, width);
  }
}

}  // namespace

void dotKeysHalf(int rows, const float* q, const uint16_t* keys, int d, float* out) {
  wide(rows, kTile, keys, d, q, d, nullptr, out);
}

void addValuesHalf(int rows, const float* weights, const uint16_t* values, int d,
                   const float* correction, float* o) {
  wide(rows, d, values, kTile, weights, kTile, correction, o);
}

}  // namespace SB_ISA
}  // namespace shadowbatch
