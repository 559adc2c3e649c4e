#include "dot_avx512.h"
#include "matmul.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

// Per group and vector of 16 columns 8 vpdpbusd and 4 float instructions, all on the same two
// ports: at most 2/3 of the vpdpbusd peak. 12 integer and 12 float accumulators stay in registers.
template <int R, bool Fetch>
__attribute__((noinline)) void tile(const PanelTile& t) {
  F y[R][2];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) y[r][0] = y[r][1] = splat(0.f);
  // The output rows may be pages apart.
  for (int r = 0; r < R; r++) {
    __builtin_prefetch(t.out + r * t.outStride, 1);
    __builtin_prefetch(t.out + r * t.outStride + 16, 1);
  }
  const uint8_t* fetch = t.fetch;
  const uint8_t* cell = t.cells;
  const int8_t* x = t.q;
  const long xs = t.qStride;
  const float* scale = t.scale;
  const float* sum = t.sum;
  const long gs = t.groupStride;
#pragma GCC unroll 1
  for (int g = 0; g < t.groups; g++, cell += kCellBytes, x += kGroup, scale++, sum++) {
    if (Fetch) {
      if (t.fetchNear) {
        for (int i = 0; i < t.fetchBytes; i += 64) __builtin_prefetch(fetch + i, 0, 3);
      } else {
        for (int i = 0; i < t.fetchBytes; i += 64) __builtin_prefetch(fetch + i, 0, 2);
      }
      fetch += t.fetchBytes;
    }
    I c[R][2];
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) c[r][0] = c[r][1] = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int quad = 0; quad < 8; quad++) {
      const I w0 = _mm512_loadu_si512(cell + 128 * quad);
      const I w1 = _mm512_loadu_si512(cell + 128 * quad + 64);
#pragma GCC unroll 6
      for (int r = 0; r < R; r++) {
        const I v = broadcastQuad(x + r * xs + 4 * quad);
        dot(c[r][0], w0, v);
        dot(c[r][1], w1, v);
      }
    }
    const auto* f = reinterpret_cast<const float*>(cell + 1024);
    const F s0 = load(f), s1 = load(f + 16), m0 = load(f + 32), m1 = load(f + 48);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const F sx = splat(scale[r * gs]), sumX = splat(sum[r * gs]);
      y[r][0] = fma(toFloat(c[r][0]), mul(s0, sx), y[r][0]);
      y[r][1] = fma(toFloat(c[r][1]), mul(s1, sx), y[r][1]);
      y[r][0] = fma(m0, sumX, y[r][0]);
      y[r][1] = fma(m1, sumX, y[r][1]);
    }
  }
  addSpikes(t, y);
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
    finish(t, r, 0, y[r][0]);
    finish(t, r, 1, y[r][1]);
  }
}

using Tile = void (*)(const PanelTile&);
constexpr Tile kTiles[2][kTileRows] = {
    {tile<1, false>, tile<2, false>, tile<3, false>, tile<4, false>, tile<5, false>,
     tile<6, false>},
    {tile<1, true>, tile<2, true>, tile<3, true>, tile<4, true>, tile<5, true>, tile<6, true>}};

}  // namespace

void panelTile(const PanelTile& t, int rows) { kTiles[t.fetchBytes > 0][rows - 1](t); }

}  // namespace SB_ISA
}  // namespace shadowbatch
