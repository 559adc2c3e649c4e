#include "dot_avx2.h"
#include "matmul.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

// 32 signed bytes of a row as pairs.
SB_INLINE void widen(const int8_t* q, int16_t* pairs) {
  const I bias = splatI(128);
  for (int i = 0; i < kGroup; i += 16) {
    I x = loadBytes(q + i);
    // Zero-extended bytes to signed ones: (x ^ 128) - 128.
    x.a = _mm256_sub_epi32(_mm256_xor_si256(x.a, bias.a), bias.a);
    x.b = _mm256_sub_epi32(_mm256_xor_si256(x.b, bias.b), bias.b);
    storePairs(pairs + i, x);
  }
}

template <int R>
void tile(const PanelTile& t) {
  F y[R][2];
  for (int r = 0; r < R; r++) y[r][0] = y[r][1] = splat(0.f);
  const uint8_t* cell = t.cells;
  for (int g = 0; g < t.groups; g++, cell += kCellBytes) {
    alignas(32) int16_t pairs[R][kGroup];
    for (int r = 0; r < R; r++) widen(t.q + r * t.qStride + g * kGroup, pairs[r]);
    __m256i c[R][4];
    for (int r = 0; r < R; r++) {
      for (int j = 0; j < 4; j++) c[r][j] = _mm256_setzero_si256();
    }
    dotQuads<R, 4, Bytes::kUnsigned>(cell, 128, 8, pairs[0], kGroup, c);
    const auto* f = reinterpret_cast<const float*>(cell + 1024);
    for (int r = 0; r < R; r++) {
      const F sx = splat(t.scale[r * t.groupStride + g]);
      const F sumX = splat(t.sum[r * t.groupStride + g]);
      for (int j = 0; j < 2; j++) {
        y[r][j] = fma(toFloat(I{c[r][2 * j], c[r][2 * j + 1]}), mul(load(f + 16 * j), sx), y[r][j]);
        y[r][j] = fma(load(f + 32 + 16 * j), sumX, y[r][j]);
      }
    }
  }
  addSpikes(t, y);
  for (int r = 0; r < R; r++) {
    finish(t, r, 0, y[r][0]);
    finish(t, r, 1, y[r][1]);
  }
}

PanelTile shifted(PanelTile t, int rows) {
  t.q += rows * t.qStride;
  t.scale += rows * t.groupStride;
  t.sum += rows * t.groupStride;
  t.spikes += rows;
  t.decode = nullptr;
  t.out += rows * t.outStride;
  return t;
}

}  // namespace

// Two rows at a time: 8 integer accumulators, 4 widened inputs and 2 widened weights are what 16
// registers hold.
void panelTile(const PanelTile& t, int rows) {
  for (int r = 0; r < rows; r += 2) {
    const PanelTile part = r == 0 ? t : shifted(t, r);
    if (rows - r >= 2) {
      tile<2>(part);
    } else {
      tile<1>(part);
    }
  }
}

}  // namespace SB_ISA
}  // namespace shadowbatch
