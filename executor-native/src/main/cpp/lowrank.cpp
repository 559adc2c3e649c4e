// Keys of low rank: operation for operation those of the Java class ReferenceLowRank.
#include "lowrank.h"

#include "key_slot.h"
#include "ops.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

#if defined(SB_AVX512)
constexpr int kRows = 8;  // of a tile of sums in registers
constexpr int kVectors = 2;
#else
constexpr int kRows = 4;
constexpr int kVectors = 1;
#endif

// sums[r][v] += left[t][r] * right[t] for t in [0, n): a tile of Rows x Vectors registers.
template <int Rows, int Vectors, class Right>
SB_INLINE void chain(const float* left, long leftRow, long leftStep, int n, Right right,
                     F (&sums)[Rows][Vectors]) {
  for (int t = 0; t < n; t++) {
    F r[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; v++) r[v] = right(t, v);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; i++) {
      const F l = splat(left[i * leftRow + t * leftStep]);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; v++) sums[i][v] = fma(l, r[v], sums[i][v]);
    }
  }
}

constexpr int kBand = 16;  // rows of the Gram matrix that are one item

// Rows [i, i + kRows) and 16 * Vectors columns from j of a band; x holds centred rows.
template <int Vectors>
SB_INLINE void gramTile(const float* x, long width, int rows, int i, int j, Floats out) {
  F sums[kRows][Vectors];
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < Vectors; v++) sums[r][v] = load(out.row(i + r) + j + 16 * v);
  }
  chain<kRows, Vectors>(
      x + i, 1, width, rows,
      [&](int t, int v) __attribute__((always_inline)) { return load(x + t * width + j + 16 * v); },
      sums);
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < Vectors; v++) store(out.row(i + r) + j + 16 * v, sums[r][v]);
  }
}

// Rows [first, first + kBand) of the matrix from their diagonal on.
void gramBand(const GramArgs& a, int first, float* x) {
  const int width = a.columns - first;
  const Floats out = {a.out.row(first) + first, a.out.stride};
  for (int i = 0; i < kBand; i++) std::memset(out.row(i), 0, 4l * width);
  for (int row = 0; row < a.rows; row += kTile) {
    const int rows = least(kTile, a.rows - row);
    for (int t = 0; t < rows; t++) {
      for (int j = 0; j < width; j += 16) {
        store(x + t * width + j, sub(load(a.x.row(row + t) + first + j), load(a.mean + first + j)));
      }
    }
    for (int i = 0; i < kBand; i += kRows) {
      int j = 0;
      for (; j + 16 * kVectors <= width; j += 16 * kVectors) {
        gramTile<kVectors>(x, width, rows, i, j, out);
      }
      for (; j < width; j += 16) gramTile<1>(x, width, rows, i, j, out);
    }
  }
}

// to[16][j] = 16 vectors from memory, turned: to[16 * j + i] is column j of vector i.
void turnPanel(const uint16_t* vectors, int columns, float* to) {
  for (int j = 0; j < columns; j += 16) {
    alignas(64) float lanes[16];
    for (int i = 0; i < 16; i++) {
      store(lanes, loadHalf(vectors + static_cast<long>(i) * columns + j));
      for (int l = 0; l < 16; l++) to[16 * (j + l) + i] = lanes[l];
    }
  }
}

// The factors [64][rank] of a page, from its centred rows.
void factorsOf(const ProjectArgs& a, const float* x, float* panel, float* factors) {
  for (int i = 0; i < a.rank; i += 16) {
    turnPanel(a.vectors + static_cast<long>(i) * a.columns, a.columns, panel);
    for (int t = 0; t < kTile; t += 8) {
      F sums[8][1];
      for (auto& s : sums) s[0] = splat(0.f);
      chain<8, 1>(
          x + static_cast<long>(t) * a.columns, a.columns, 1, a.columns,
          [&](int j, int) __attribute__((always_inline)) { return load(panel + 16 * j); }, sums);
      for (int r = 0; r < 8; r++) store(factors + (t + r) * a.rank + i, sums[r][0]);
    }
  }
}

void putFactors(const float* factors, int rank, int codec, uint8_t* block) {
  for (int t = 0; t < kTile; t++) {
    const float* a = factors + t * rank;
    if (codec == kFp16) {
      auto* half = reinterpret_cast<uint16_t*>(block) + t * rank;
      for (int i = 0; i < rank; i += 16) storeHalf(half + i, finite(load(a + i)));
      continue;
    }
    const float top = largest(a, rank);
    const F inverse = splat(127.f / top);
    for (int i = 0; i < rank; i += 16) {
      storeBytes(block + t * rank + i, addI(toInt(mul(load(a + i), inverse)), splatI(128)));
    }
    reinterpret_cast<float*>(block + kTile * rank)[t] = top / 127.f;
  }
}

// Factors of `tokens` tokens from `first` of a block as floats [tokens][rank].
void readFactors(const RebuildArgs& a, const uint8_t* block, int first, float* to) {
  for (int t = 0; t < a.chunkTokens; t++, to += a.rank) {
    const long at = static_cast<long>(first + t) * a.rank;
    if (a.codec == kFp16) {
      const auto* half = reinterpret_cast<const uint16_t*>(block) + at;
      for (int i = 0; i < a.rank; i += 16) store(to + i, loadHalf(half + i));
      continue;
    }
    const F scale = splat(reinterpret_cast<const float*>(block + kTile * a.rank)[first + t]);
    for (int i = 0; i < a.rank; i += 16) {
      store(to + i, mul(toFloat(addI(loadBytes(block + at + i), splatI(-128))), scale));
    }
  }
}

// keys[t][0..d) = mean + factors[t] * vectors for Rows tokens and 16 * Vectors columns.
template <int Rows, int Vectors>
SB_INLINE void keyTile(const float* factors, int rank, const uint16_t* vectors, long columns,
                       const float* mean, float* keys, int d) {
  F sums[Rows][Vectors];
  for (int t = 0; t < Rows; t++) {
    for (int v = 0; v < Vectors; v++) sums[t][v] = load(mean + 16 * v);
  }
  chain<Rows, Vectors>(
      factors, rank, 1, rank,
      [&](int i, int v) __attribute__((always_inline)) {
        return loadHalf(vectors + i * columns + 16 * v);
      },
      sums);
  for (int t = 0; t < Rows; t++) {
    for (int v = 0; v < Vectors; v++) store(keys + t * d + 16 * v, sums[t][v]);
  }
}

template <int Rows>
void keysOf(const float* factors, int rank, const uint16_t* vectors, long columns,
            const float* mean, float* keys, int d) {
  int j = 0;
  for (; j + 16 * kVectors <= d; j += 16 * kVectors) {
    keyTile<Rows, kVectors>(factors, rank, vectors + j, columns, mean + j, keys + j, d);
  }
  for (; j < d; j += 16) {
    keyTile<Rows, 1>(factors, rank, vectors + j, columns, mean + j, keys + j, d);
  }
}

// One chunk of one head.
void rebuild(const RebuildArgs& a, int item, int head, const float* factors) {
  const KeyArgs& k = a.keys;
  const int d = k.headDim;
  const int64_t* address = a.addresses + 4l * item;
  const int32_t* number = a.numbers + 4l * item;
  const auto* vectors = reinterpret_cast<const uint16_t*>(address[2]) + head * d;
  const auto* mean = reinterpret_cast<const float*>(address[3]) + head * d;
  auto* block = reinterpret_cast<uint8_t*>(address[1]) + k.layerOffset + head * k.blockBytes;
  const long columns = static_cast<long>(k.kvHeads) * d;
  alignas(64) float keys[16 * 256];
  for (int t = 0; t < a.chunkTokens;) {
    const bool wide = kRows == 8 && a.chunkTokens - t >= 8;
    const float* from = factors + t * a.rank;
    if (wide) {
      keysOf<8>(from, a.rank, vectors, columns, mean, keys + t * d, d);
    } else {
      keysOf<4>(from, a.rank, vectors, columns, mean, keys + t * d, d);
    }
    t += wide ? 8 : 4;
  }
  for (int t = 0; t < a.chunkTokens; t++) {
    const long turn = (number[2] + t) * k.ropeStride;
    rope(keys + t * d, k.cos + turn, k.sin + turn, k.half);
    const int slot = number[1] * a.chunkTokens + t;
    if (k.codec == kInt8) {
      putKeyInt8(block, d, slot, keys + t * d, k.rotation);
    } else {
      putKeyHalf(block, d, slot, keys + t * d);
    }
  }
}

// The inverse of rope.
SB_INLINE void turnBack(float* x, const float* cos, const float* sin, int half) {
  for (int i = 0; i < half; i += 16) {
    const F a = load(x + i), b = load(x + half + i);
    const F c = load(cos + i), s = load(sin + i);
    store(x + i, fma(a, c, mul(b, s)));
    store(x + half + i, fms(b, c, mul(a, s)));
  }
}

void readKey(const KeyArgs& k, const uint8_t* block, int slot, float* to) {
  const int d = k.headDim;
  if (k.codec == kFp16) {
    alignas(64) uint16_t half[256];
    const auto* keys = reinterpret_cast<const uint16_t*>(block) + slot;
    for (int i = 0; i < d; i++) half[i] = keys[i * kTile];
    for (int i = 0; i < d; i += 16) store(to + i, loadHalf(half + i));
    return;
  }
  alignas(64) uint8_t bytes[256];
  for (int i = 0; i < d; i += 4) std::memcpy(bytes + i, block + i * kTile + 4 * slot, 4);
  const F scale = splat(reinterpret_cast<const float*>(block + kTile * d)[slot]);
  for (int i = 0; i < d; i += 16) {
    store(to + i, mul(toFloat(addI(loadBytes(bytes + i), splatI(-128))), scale));
  }
  rotate(to, d, k.rotation);
}

}  // namespace

void gram(Pool& pool, const GramArgs& a) {
  pool.reserve(4l * kTile * a.columns);
  auto bands = [&](int worker, int from, int to) {
    auto* x = reinterpret_cast<float*>(pool.scratch(worker));
    for (int band = from; band < to; band++) gramBand(a, band * kBand, x);
  };
  parallel(pool, a.columns / kBand, 1, bands);
  for (int i = 0; i < a.columns; i++) {
    for (int j = 0; j < i; j++) a.out.row(i)[j] = a.out.row(j)[i];
  }
}

void project(Pool& pool, const ProjectArgs& a) {
  pool.reserve(4l * (kTile + 16) * a.columns + 4l * kTile * a.rank);
  auto pages = [&](int worker, int from, int to) {
    auto* x = reinterpret_cast<float*>(pool.scratch(worker));
    float* panel = x + static_cast<long>(kTile) * a.columns;
    float* factors = panel + 16l * a.columns;
    for (int page = from; page < to; page++) {
      for (int t = 0; t < kTile; t++) {
        const float* row = a.x.row(static_cast<long>(page) * kTile + t);
        float* centred = x + static_cast<long>(t) * a.columns;
        for (int j = 0; j < a.columns; j += 16) {
          store(centred + j, sub(load(row + j), load(a.mean + j)));
        }
      }
      factorsOf(a, x, panel, factors);
      putFactors(factors, a.rank, a.codec,
                 reinterpret_cast<uint8_t*>(a.pages[page]) + a.layerOffset);
    }
  };
  parallel(pool, a.pageCount, 1, pages);
}

void plainKeys(Pool& pool, const PlainArgs& a) {
  const KeyArgs& k = a.keys;
  const int d = k.headDim;
  auto blocks = [&](int, int from, int to) {
    alignas(64) float key[256];
    for (int item = from; item < to; item++) {
      const int page = item / k.kvHeads;
      const int head = item % k.kvHeads;
      const auto* block = reinterpret_cast<const uint8_t*>(a.pages[page]) + k.layerOffset +
                          head * k.blockBytes;
      for (int slot = 0; slot < kTile; slot++) {
        const long row = static_cast<long>(page) * kTile + slot;
        const long turn = (a.firstPosition + row) * k.ropeStride;
        readKey(k, block, slot, key);
        turnBack(key, k.cos + turn, k.sin + turn, k.half);
        copyRow(key, d, a.out.row(row) + head * d);
      }
    }
  };
  parallel(pool, a.pageCount * k.kvHeads, 1, blocks);
}

void rebuildKeys(Pool& pool, const RebuildArgs& a) {
  const KeyArgs& k = a.keys;
  pool.reserve(4l * a.chunkTokens * a.rank);
  auto chunks = [&](int worker, int from, int to) {
    auto* factors = reinterpret_cast<float*>(pool.scratch(worker));
    for (int item = from; item < to; item++) {
      const auto* page = reinterpret_cast<const uint8_t*>(a.addresses[4l * item]);
      const int32_t* number = a.numbers + 4l * item;
      readFactors(a, page + a.factorOffset, number[0] * a.chunkTokens, factors);
      const int head = number[3];
      for (int h = most(head, 0); h < (head < 0 ? k.kvHeads : head + 1); h++) {
        rebuild(a, item, h, factors);
      }
    }
  };
  // Some microseconds of work are worth handing over.
  const long work = static_cast<long>(a.chunkTokens) * a.rank * k.headDim;
  parallel(pool, a.count, most(1, static_cast<int>((1l << 18) / work)), chunks);
}

}  // namespace SB_ISA
}  // namespace shadowbatch
