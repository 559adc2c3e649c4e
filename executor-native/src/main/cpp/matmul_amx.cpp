// The product on AMX tiles: the integer sums of 16 x 16 outputs over a group of 32 columns come
// from one tdpbsud, the float work is that of every other instruction set. Measured on Sapphire
// Rapids, tile and vector instructions do not overlap: tiles take 21 ns for a group of 16 x 32
// outputs, floats 22, both 45 in phases of a dozen groups and 48 interleaved. So phases it is.
#include <immintrin.h>

#include "matmul.h"
#include "ops.h"
#include "tiles.h"

namespace shadowbatch {
namespace amx {
namespace {

using avx512::F;
using avx512::fma;
using avx512::least;
using avx512::load;
using avx512::loadI;
using avx512::most;
using avx512::mul;
using avx512::PanelTile;
using avx512::splat;
using avx512::store;
using avx512::toFloat;

constexpr int kRows = 16;   // of a tile
constexpr int kLeast = 96;  // rows from which on tiles are the faster way
// Output rows of the head are so far apart that 16 at a time miss in the TLB: 38 against 35 ms for
// 256 rows of 49152 columns.
constexpr int kColumnsMost = 16384;
constexpr int kPhase = 12;               // groups of a phase: 12 KB of integer sums
constexpr int kFetchBlocks = 8;          // with more, the hardware fetches a panel in time
constexpr long kBlockBytes = 512 << 10;  // activations that a thread walks for each panel

// Tiles 0 and 1 hold sums, 4 and 5 activations, 6 and 7 weights.
void configureTiles() {
  TileConfig config;
  config.columnBytes[4] = config.columnBytes[5] = kGroup;
  config.rows[6] = config.rows[7] = kGroup / 4;
  loadTileConfig(config);
}

// Integer sums of a group.
struct alignas(64) Sums {
  int32_t v[kRows][16];
};

// Neighbouring groups use different registers, so that they do not wait for each other.
SB_INLINE void multiply(const int8_t* q, long stride, const uint8_t* cell, int groups, Sums* sums) {
  int g = 0;
  for (; g + 2 <= groups; g += 2, q += 2 * kGroup, cell += 2 * kCellBytes) {
    _tile_loadd(4, q, stride);
    _tile_loadd(6, cell, 128);
    _tile_zero(0);
    _tile_dpbsud(0, 4, 6);
    _tile_stored(0, sums + g, 64);
    _tile_loadd(5, q + kGroup, stride);
    _tile_loadd(7, cell + kCellBytes, 128);
    _tile_zero(1);
    _tile_dpbsud(1, 5, 7);
    _tile_stored(1, sums + g + 1, 64);
  }
  if (g < groups) {
    _tile_loadd(4, q, stride);
    _tile_loadd(6, cell, 128);
    _tile_zero(0);
    _tile_dpbsud(0, 4, 6);
    _tile_stored(0, sums + g, 64);
  }
}

// y += sums of some groups times their scales: 64 float instructions on two ports for each.
template <bool Fetch>
SB_INLINE void scaleGroups(F (&y)[kRows], const Sums* sums, const uint8_t* cell, int groups,
                           const float* scale, const float* sum, long stride, const uint8_t* fetch,
                           int fetchBytes) {
#pragma GCC unroll 1
  for (int g = 0; g < groups; g++, cell += kCellBytes, scale++, sum++) {
    if (Fetch) {
      for (int i = 0; i < fetchBytes; i += 64) __builtin_prefetch(fetch + i, 0, 2);
      fetch += fetchBytes;
    }
    const auto* f = reinterpret_cast<const float*>(cell + 1024);
    const F s = load(f), m = load(f + 32);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; r++) {
      y[r] = fma(toFloat(loadI(sums[g].v[r])), mul(s, splat(scale[r * stride])), y[r]);
      y[r] = fma(m, splat(sum[r * stride]), y[r]);
    }
  }
}

// 16 rows times columns [16 * half, ..) of a panel. Fetch: prefetch a part of the next.
template <bool Fetch>
__attribute__((noinline)) void halfPanel(const PanelTile& t, int half, Sums* sums) {
  // The output rows may be pages apart: their lines are asked for before they are needed. To L2:
  // a stride of whole pages would put all of them into one set of L1.
  for (int r = 0; r < kRows; r++) __builtin_prefetch(t.out + r * t.outStride + 16 * half, 0, 2);
  F y[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; r++) y[r] = splat(0.f);
  const uint8_t* cells = t.cells + 64 * half;
#pragma GCC unroll 1
  for (int g = 0; g < t.groups;) {
    const int phases = (t.groups - g + kPhase - 1) / kPhase;
    const int n = (t.groups - g + phases - 1) / phases;
    multiply(t.q + g * kGroup, t.qStride, cells, n, sums);
    scaleGroups<Fetch>(y, sums, cells, n, t.scale + g, t.sum + g, t.groupStride,
                       t.fetch + static_cast<long>(g) * t.fetchBytes, t.fetchBytes);
    cells += static_cast<long>(n) * kCellBytes;
    g += n;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; r++) avx512::finish(t, r, half, y[r]);
}

// `blocks` row blocks times a panel.
void panelBlocks(PanelTile t, int blocks) {
  alignas(64) Sums sums[kPhase];
  t.fetch = t.cells + static_cast<long>(t.groups) * kCellBytes;
  t.fetchBytes = blocks <= kFetchBlocks ? avx512::shareOfCell(2 * blocks) : 0;
  for (int b = 0; b < blocks; b++) {
    if (t.fetchBytes > 0) {
      halfPanel<true>(t, 0, sums);
      t.fetch += static_cast<long>(t.groups) * t.fetchBytes;
      if (t.columns > 16) halfPanel<true>(t, 1, sums);
    } else {
      halfPanel<false>(t, 0, sums);
      if (t.columns > 16) halfPanel<false>(t, 1, sums);
    }
    t.fetch += static_cast<long>(t.groups) * t.fetchBytes;
    t.q += kRows * t.qStride;
    t.scale += kRows * t.groupStride;
    t.sum += kRows * t.groupStride;
    t.spikes += kRows;
    t.spikeColumn += kRows * t.groupStride;
    t.spikeValue += kRows * t.groupStride;
    t.out += kRows * t.outStride;
  }
}

PanelTile tileAt(const MatmulArgs& a, int panel, int row) {
  PanelTile t;
  t.q = a.x.q + row * a.x.qStride;
  t.scale = a.x.scale + row * a.x.groupStride;
  t.sum = a.x.sum + row * a.x.groupStride;
  t.spikes = a.x.spikes + row;
  t.spikeColumn = a.x.spikeColumn + row * a.x.groupStride;
  t.spikeValue = a.x.spikeValue + row * a.x.groupStride;
  t.qStride = a.x.qStride;
  t.groupStride = a.x.groupStride;
  t.cells = a.w + static_cast<long>(panel) * a.groups * kCellBytes;
  t.groups = a.groups;
  t.bias = a.bias == nullptr ? nullptr : a.bias + panel * kGroup;
  t.out = a.out.row(row) + panel * kGroup;
  t.outStride = a.out.stride;
  t.columns = least(kGroup, a.columns - panel * kGroup);
  t.add = a.add;
  t.fetch = nullptr;
  t.fetchBytes = 0;
  return t;
}

}  // namespace

void matmul(Pool& pool, const MatmulArgs& a) {
  if (a.rows < kLeast || a.columns > kColumnsMost) {
    avx512::matmul(pool, a);
    return;
  }
  const int panels = (a.columns + kGroup - 1) / kGroup;
  const long rowBytes = static_cast<long>(a.groups) * kGroup;
  int blockRows = most(kRows, static_cast<int>(kBlockBytes / rowBytes) / kRows * kRows);
  const int blocks = (a.rows + blockRows - 1) / blockRows;
  const long itemWork = rowBytes * kGroup * least(a.rows, blockRows);
  const int grain = static_cast<int>(1 + 8000000 / itemWork);
  auto items = [&](int, int from, int to) {
    configureTiles();
    for (int item = from; item < to; item++) {
      const int begin = item / panels * blockRows;
      const int end = least(a.rows, begin + blockRows);
      const int full = (end - begin) / kRows;
      if (full > 0) panelBlocks(tileAt(a, item % panels, begin), full);
      for (int row = begin + full * kRows; row < end; row += 6) {
        avx512::panelTile(tileAt(a, item % panels, row), least(6, end - row));
      }
    }
    _tile_release();
  };
  avx512::parallel(pool, panels * blocks, grain, items);
}

}  // namespace amx
}  // namespace shadowbatch
