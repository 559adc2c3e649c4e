// One tile of a product: up to kTileRows rows times a panel of 32 columns, over all groups.
#pragma once
#include "numeric.h"

namespace shadowbatch {
namespace SB_ISA {

constexpr int kTileRows = 6;

struct PanelTile {
  const int8_t* q;     // rows of activations, qStride apart
  const float* scale;  // groupStride apart
  const float* sum;
  long qStride;
  long groupStride;
  const int32_t* spikes;  // how many of each row
  const int32_t* spikeColumn;  // groupStride apart
  const float* spikeValue;
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
};

// Bytes of a cell, in whole lines, that each of `parts` tiles prefetches.
SB_INLINE int shareOfCell(int parts) { return (kCellBytes / 64 + parts - 1) / parts * 64; }

// rows in 1..kTileRows.
void panelTile(const PanelTile& t, int rows);

// Adds the products of row r's spikes to 16 columns of the panel.
SB_INLINE F addSpikes(const PanelTile& t, int r, int half, F y) {
  for (int i = 0; i < t.spikes[r]; i++) {
    const int k = t.spikeColumn[r * t.groupStride + i];
    const uint8_t* cell = t.cells + static_cast<long>(k / kGroup) * kCellBytes;
    const uint8_t* quads = cell + k % kGroup / 4 * 128 + 64 * half;
    const I q = andI(shiftRight(loadI(reinterpret_cast<const int32_t*>(quads)), 8 * (k % 4)),
                     splatI(0xff));
    const auto* f = reinterpret_cast<const float*>(cell + 1024);
    const F w = fma(toFloat(q), load(f + 16 * half), load(f + 32 + 16 * half));
    y = fma(splat(t.spikeValue[r * t.groupStride + i]), w, y);
  }
  return y;
}

// Adds the spikes and the bias, then to what is there if asked, and stores columns [16 * half, ..) of row r.
SB_INLINE void finish(const PanelTile& t, int r, int half, F y) {
  const int n = least(16, t.columns - 16 * half);
  if (n <= 0) return;
  y = addSpikes(t, r, half, y);
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
