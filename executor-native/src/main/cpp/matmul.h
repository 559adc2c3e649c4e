// One tile of a product: up to kTileRows rows times a panel of 32 columns, over all groups.
#pragma once
#include "numeric.h"

namespace shadowbatch {
namespace SB_ISA {

constexpr int kTileRows = kSmallTile;

struct PanelTile {
  const int8_t* q;     // rows of activations, qStride apart
  const float* scale;  // groupStride apart
  const float* sum;
  long qStride;
  long groupStride;
  const Spike* spikes;   // [depth][spikeStride]
  int depth;
  int spikeStride;
  float* decoded;        // columns of the panel that have spikes, [columns][32]
  const int32_t* spikeColumns;
  const SpikeBlock* decode;  // what to decode before the spikes are added, or null
  const uint8_t* cells;  // of the panel
  int groups;
  const float* bias;  // of the panel's columns, or null
  float* out;         // outStride apart
  long outStride;
  int columns;  // 1..32 of out
  bool add;
  // Prefetched with each group, onwards from `fetch`: this tile's share of the next panel, so that
  // it comes from memory while this panel's tiles are computed; fetchBytes 0: nothing.
  const uint8_t* fetch;
  int fetchBytes;
  bool fetchNear;  // to L1, else to L2
};

// Bytes of a cell, in whole lines, that each of `parts` tiles prefetches.
SB_INLINE int shareOfCell(int parts) { return (kCellBytes / 64 + parts - 1) / parts * 64; }

// rows in 1..kTileRows.
void panelTile(const PanelTile& t, int rows);

// The columns of t.decode as floats into t.decoded.
void decodeColumns(const PanelTile& t);

// What all tiles of a panel share.
SB_INLINE PanelTile panelOf(const MatmulArgs& a, int panel, const SpikeView& spikes,
                            float* decoded) {
  PanelTile t;
  t.qStride = a.x.qStride;
  t.groupStride = a.x.groupStride;
  t.decoded = decoded;
  t.spikeColumns = spikes.columns;
  t.decode = nullptr;
  t.cells = a.w + static_cast<long>(panel) * a.groups * kCellBytes;
  t.groups = a.groups;
  t.bias = a.bias == nullptr ? nullptr : a.bias + panel * kGroup;
  t.outStride = a.out.stride;
  t.columns = least(kGroup, a.columns - panel * kGroup);
  t.add = a.add;
  t.fetch = t.cells + static_cast<long>(a.groups) * kCellBytes;
  t.fetchBytes = 0;
  t.fetchNear = false;
  return t;
}

SB_INLINE void moveTo(PanelTile& t, const MatmulArgs& a, int panel, const SpikeView& spikes,
                      const SpikeTile& tile) {
  t.q = a.x.q + tile.row * a.x.qStride;
  t.scale = a.x.scale + tile.row * a.x.groupStride;
  t.sum = a.x.sum + tile.row * a.x.groupStride;
  t.spikes = spikes.spikes + tile.first;
  t.depth = tile.depth;
  t.spikeStride = tile.rows;
  t.out = a.out.row(tile.row) + panel * kGroup;
}

// Adds the products of the spikes of rows [0, R) of a tile.
template <int R>
SB_INLINE void addSpikes(const PanelTile& t, F (&y)[R][2]) {
  if (t.decode != nullptr) decodeColumns(t);
  const Spike* spike = t.spikes;
#pragma GCC unroll 1
  for (int j = 0; j < t.depth; j++, spike += t.spikeStride) {
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const float* w = t.decoded + spike[r].offset;
      const F value = splat(spike[r].value);
      y[r][0] = fma(value, load(w), y[r][0]);
      y[r][1] = fma(value, load(w + 16), y[r][1]);
    }
  }
}

// Adds +0 and the bias, then to what is there if asked, and stores columns [16 * half, ..) of row
// r.
SB_INLINE void finish(const PanelTile& t, int r, int half, F y) {
  const int n = least(16, t.columns - 16 * half);
  if (n <= 0) return;
  y = add(y, splat(0.f));
  float* out = t.out + r * t.outStride + 16 * half;
  if (n == 16) {
    if (t.bias != nullptr) y = add(y, load(t.bias + 16 * half));
    if (t.add) y = add(load(out), y);
    store(out, y);
  } else {
    if (t.bias != nullptr) y = add(y, loadPart(t.bias + 16 * half, n));
    if (t.add) y = add(loadPart(out, n), y);
    storePart(out, y, n);
  }
}

}  // namespace SB_ISA
}  // namespace shadowbatch
