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
constexpr int kFetchTiles = 8;           // with more, the hardware fetches a panel in time
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

SB_INLINE void addSpikes(const PanelTile& t, int half, F (&y)[kRows]) {
  if (t.decode != nullptr) avx512::decodeColumns(t);
  const Spike* spike = t.spikes;
#pragma GCC unroll 1
  for (int j = 0; j < t.depth; j++, spike += kRows) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; r++) {
      const float* w = t.decoded + spike[r].offset + 16 * half;
      y[r] = fma(splat(spike[r].value), load(w), y[r]);
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
  addSpikes(t, half, y);
#pragma GCC unroll 16
  for (int r = 0; r < kRows; r++) avx512::finish(t, r, half, y[r]);
}

void rowBlock(const MatmulArgs& a, int panel, const SpikeView& spikes, const SpikeBlock& block,
              float* decoded) {
  alignas(64) Sums sums[kPhase];
  PanelTile t = avx512::panelOf(a, panel, spikes, decoded);
  const int tiles = block.lastTile - block.firstTile;
  for (int i = block.firstTile; i < block.lastTile; i++) {
    const SpikeTile& tile = spikes.tiles[i];
    avx512::moveTo(t, a, panel, spikes, tile);
    t.decode = i == block.firstTile ? &block : nullptr;
    if (tile.rows < kRows) {
      t.fetchBytes = 0;
      avx512::panelTile(t, tile.rows);
      continue;
    }
    t.fetchBytes = tiles <= kFetchTiles ? avx512::shareOfCell(2 * tiles) : 0;
    for (int half = 0; half < 2 && 16 * half < t.columns; half++) {
      if (t.fetchBytes > 0) {
        halfPanel<true>(t, half, sums);
      } else {
        halfPanel<false>(t, half, sums);
      }
      t.fetch += static_cast<long>(t.groups) * t.fetchBytes;
      t.decode = nullptr;
    }
  }
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
  const SpikeView spikes = arrangeSpikes(*a.spikes, a, blockRows, kRows);
  pool.reserve(4L * kGroup * spikes.columnsMost);
  const long itemWork = rowBytes * kGroup * least(a.rows, blockRows);
  const int grain = static_cast<int>(1 + 8000000 / itemWork);
  auto items = [&](int worker, int from, int to) {
    configureTiles();
    auto* decoded = reinterpret_cast<float*>(pool.scratch(worker));
    for (int item = from; item < to; item++) {
      rowBlock(a, item % panels, spikes, spikes.blocks[item / panels], decoded);
    }
    _tile_release();
  };
  avx512::parallel(pool, panels * spikes.blockCount, grain, items);
}

}  // namespace amx
}  // namespace shadowbatch
