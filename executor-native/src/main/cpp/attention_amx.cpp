// The integer loops of attention on AMX tiles: 16 rows against 64 tokens. A tile instruction takes
// 64 dimensions or 64 tokens at once, so there is little float work for each, and tiles win.
#include "attention.h"
#include "tiles.h"

namespace shadowbatch {
namespace avx512 {
// Those of attention_avx512.cpp, for few rows and odd head widths; queries and weights are packed
// alike.
void scoreKeys(int rows, const Queries& q, const uint8_t* keys, const float* keyScale, int d,
               int slots, float* out);
void addValues(int rows, const uint8_t* packed, const int8_t* values, int d, int quads,
               const float* correction, const float* back, float* o);
}  // namespace avx512

namespace amx {
namespace {

constexpr int kVectorRows = 6;  // that the AVX-512 functions take
constexpr int kLeastRows = 7;   // from which on tiles are the faster way

bool tiles(int rows, int d) { return rows >= kLeastRows && d % 64 == 0; }

// Sums of 16 rows over one column of tiles: 0 .. 3 accumulate, 4 and 5 are inputs.
struct alignas(64) Sums {
  int32_t v[kSubRows][16];
};

}  // namespace

void enterKernels() {
  const TileConfig config;
  loadTileConfig(config);
}

void leaveKernels() { _tile_release(); }

void scoreKeys(int rows, const Queries& q, const uint8_t* keys, const float* keyScale, int d,
               int slots, float* out) {
  if (!tiles(rows, d)) {
    for (int r = 0; r < rows; r += kVectorRows) {
      const Queries some = {q.packed + r * q.stride, q.stride, q.sum + r, q.scale + r};
      avx512::scoreKeys(least(kVectorRows, rows - r), some, keys, keyScale, d, slots,
                        out + r * kTile);
    }
    return;
  }
  Sums start;
  for (int r = 0; r < rows; r++) storeI(start.v[r], splatI(-128 * q.sum[r]));
  storesBeforeTiles();
  _tile_loadd(0, &start, 64);
  _tile_loadd(1, &start, 64);
  _tile_loadd(2, &start, 64);
  _tile_loadd(3, &start, 64);
  for (int i = 0; i < d; i += 64) {
    const uint8_t* k = keys + i * kTile;
    _tile_loadd(4, q.packed + i, q.stride);
    _tile_loadd(5, k, 4 * kTile);
    _tile_dpbsud(0, 4, 5);
    _tile_loadd(6, k + 64, 4 * kTile);
    _tile_dpbsud(1, 4, 6);
    _tile_loadd(5, k + 128, 4 * kTile);
    _tile_dpbsud(2, 4, 5);
    _tile_loadd(6, k + 192, 4 * kTile);
    _tile_dpbsud(3, 4, 6);
  }
  auto* dots = reinterpret_cast<int32_t*>(out);
  _tile_stored(0, dots, 4 * kTile);
  _tile_stored(1, dots + 16, 4 * kTile);
  _tile_stored(2, dots + 32, 4 * kTile);
  _tile_stored(3, dots + 48, 4 * kTile);
  for (int r = 0; r < rows; r++) {
    const F scale = splat(q.scale[r]);
    for (int i = 0; i < kTile; i += 16) {
      const F x = toFloat(loadI(dots + r * kTile + i));
      store(out + r * kTile + i, mul(x, mul(load(keyScale + i), scale)));
    }
  }
}

void addValues(int rows, const uint8_t* packed, const int8_t* values, int d, int quads,
               const float* correction, const float* back, float* o) {
  if (!tiles(rows, d)) {
    for (int r = 0; r < rows; r += kVectorRows) {
      avx512::addValues(least(kVectorRows, rows - r), packed + r * kWeightBytes, values, d, quads,
                        correction + r, back + r, o + r * d);
    }
    return;
  }
  Sums high[2], low[2];
  storesBeforeTiles();
  _tile_loadd(4, packed, kWeightBytes);
  _tile_loadd(5, packed + kTile, kWeightBytes);
  for (int i = 0; i < d; i += 32) {
    _tile_loadd(6, values + 4 * i, 4 * d);
    _tile_zero(0);
    _tile_dpbusd(0, 4, 6);
    _tile_zero(1);
    _tile_dpbusd(1, 5, 6);
    _tile_loadd(7, values + 4 * i + 64, 4 * d);
    _tile_zero(2);
    _tile_dpbusd(2, 4, 7);
    _tile_zero(3);
    _tile_dpbusd(3, 5, 7);
    _tile_stored(0, &high[0], 64);
    _tile_stored(1, &low[0], 64);
    _tile_stored(2, &high[1], 64);
    _tile_stored(3, &low[1], 64);
    for (int r = 0; r < rows; r++) {
      for (int j = 0; j < 2; j++) {
        const I sum = addI(shiftLeft(loadI(high[j].v[r]), 7), loadI(low[j].v[r]));
        float* at = o + r * d + i + 16 * j;
        store(at, fma(load(at), splat(correction[r]), mul(toFloat(sum), splat(back[r]))));
      }
    }
  }
}

}  // namespace amx
}  // namespace shadowbatch
