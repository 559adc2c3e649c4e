#include "gather.h"
#include "ops.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

// The running softmax of up to kSubRows rows on one tile. Done in passes over the rows, so that
// the rows' long chains of operations overlap and their reductions are shared.
struct Softmax {
  alignas(64) float scores[kSubRows * kTile];
  alignas(64) float lanes[16 * 16];  // of 16 rows, before a reduction
  alignas(64) float tops[16] = {};   // largest scores up to this tile
  alignas(64) float correction[16];  // what earlier sums and outputs are multiplied with
};

// Vectors of 16 slots that hold all spans.
template <bool All>
SB_INLINE int vectorsOf(const Span* spans, int rows) {
  if (All) return kTile / 16;
  int to = 0;
  for (int r = 0; r < rows; r++) to = most(to, spans[r].to);
  return (to + 15) / 16;
}

// One pass: the largest scores up to this tile. Scores outside a row's span count for nothing.
template <bool All>
SB_INLINE void findTops(Softmax& s, int rows, const Span* spans, int vectors, float* max) {
  for (int r = 0; r < rows; r++) {
    F top = splat(max[r]);
    for (int j = 0; j < (All ? 4 : vectors); j++) {
      float* at = s.scores + r * kTile + 16 * j;
      F x = load(at);
      if (!All) {
        x = select(lanesIn(spans[r].from - 16 * j, spans[r].to - 16 * j), x, splat(kNoScore));
      }
      top = maxOf(x, top);
    }
    store(s.lanes + 16 * r, top);
  }
  // The reductions take eight rows at a time; odd numbers there could be slow ones (subnormal).
  for (int r = rows; r % 8 != 0; r++) store(s.lanes + 16 * r, splat(0.f));
  maxRows(s.lanes, rows, s.tops);
  const F old = load(max), next = load(s.tops);
  store(s.correction, expBelow(sub(old, next)));
  store(max, select(lanesIn(0, rows), next, old));
}

// The next: scores become exponentials of their distance to the largest, 0 outside the span, and
// are handed to take(r, exponentials).
template <bool All, class Take>
SB_INLINE void exponentials(Softmax& s, int rows, const Span* spans, int vectors, float* sum,
                            Take take) {
  for (int r = 0; r < rows; r++) {
    const F top = splat(s.tops[r]);
    F lanes = splat(0.f);
    F x[4] = {lanes, lanes, lanes, lanes};
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
      if (!All && j >= vectors) break;
      x[j] = expBelow(sub(load(s.scores + r * kTile + 16 * j), top));
      if (!All) {
        x[j] = select(lanesIn(spans[r].from - 16 * j, spans[r].to - 16 * j), x[j], splat(0.f));
      }
      lanes = add(lanes, x[j]);
    }
    store(s.lanes + 16 * r, lanes);
    take(r, x);
  }
  alignas(64) float sums[16] = {};
  sumRows(s.lanes, rows, sums);
  const F old = load(sum);
  store(sum, select(lanesIn(0, rows), fma(old, load(s.correction), load(sums)), old));
}

// Rows of a tile; All: each sees all of it.
template <bool All>
__attribute__((noinline)) void int8Rows(const KvArgs& kv, Block& b, int first, int rows,
                                        const Span* spans, Tile tile) {
  const int d = kv.headDim;
  const auto* keyScales = reinterpret_cast<const float*>(tile.keys + kTile * d);
  const auto* scales = reinterpret_cast<const float*>(tile.values + kTile * d);
  alignas(64) uint8_t weights[kSubRows * kWeightBytes];
  float back[16];
  Softmax softmax;
  const int vectors = vectorsOf<All>(spans, rows);
  const Queries queries = {b.packed + first * 2L * d, 2L * d, b.querySum + first,
                           b.queryScale + first};
  scoreKeys(rows, queries, tile.keys, keyScales, d, 16 * vectors, softmax.scores);
  findTops<All>(softmax, rows, spans, vectors, b.max + first);
  int last = 0, before = 0;
  float down = 0.f;
  F valueScale[4] = {};
  exponentials<All>(softmax, rows, spans, vectors, b.sum + first, [&](int r, F(&x)[4]) {
    const int to = All ? kTile : spans[r].to;
    if (to != before) {
      // Scales of tokens behind the row's last may overflow here; the weight of those is 0.
      const float top = scales[kTile + to - 1];
      const F up = splat(32767.f / top);
      for (int j = 0; j < 4; j++) valueScale[j] = mul(load(scales + 16 * j), up);
      down = top / 32767.f;
      before = to;
      last = most(last, to);
    }
    back[r] = down;
    for (int j = 0; j < 4; j++) x[j] = mul(x[j], valueScale[j]);
    packWeights(weights + r * kWeightBytes, x);
  });
  const auto* values = reinterpret_cast<const int8_t*>(tile.values);
  addValues(rows, weights, values, d, (last + 3) / 4, softmax.correction, back, b.o + first * d);
}

template <bool All>
__attribute__((noinline)) void halfRows(const KvArgs& kv, Block& b, int first, int rows,
                                        const Span* spans, Tile tile) {
  const int d = kv.headDim;
  const auto* keys = reinterpret_cast<const uint16_t*>(tile.keys);
  const auto* values = reinterpret_cast<const uint16_t*>(tile.values);
  const int vectors = vectorsOf<All>(spans, rows);
  Softmax softmax;
  dotKeysHalf(rows, b.q + first * d, keys, d, softmax.scores);
  findTops<All>(softmax, rows, spans, vectors, b.max + first);
  exponentials<All>(softmax, rows, spans, vectors, b.sum + first, [&](int r, const F(&x)[4]) {
    for (int j = 0; j < 4; j++) store(softmax.scores + r * kTile + 16 * j, x[j]);
  });
  addValuesHalf(rows, softmax.scores, values, d, softmax.correction, b.o + first * d);
}

// Rows of a tile that go through it together; all: each sees all of it.
SB_INLINE void runRows(const KvArgs& kv, Block& b, int first, int rows, const Span* spans, bool all,
                       Tile tile) {
  const bool integer = kv.codec == kInt8;
  const auto pass = integer ? (all ? int8Rows<true> : int8Rows<false>)
                            : (all ? halfRows<true> : halfRows<false>);
  pass(kv, b, first, rows, spans, tile);
}

// Rows [from, to) see tile t in the same page.
void run(const KvArgs& kv, Block& b, int from, int to, int t, Tile tile) {
  const bool integer = kv.codec == kInt8;
  const int most = integer ? kSubRows : kHalfRows;
  for (int first = from; first < to; first += most) {
    const int rows = least(most, to - first);
    Span spans[kSubRows];
    bool all = true;
    for (int r = 0; r < rows; r++) {
      spans[r] = spanOf(kv, b.position[first + r], t);
      all &= spans[r].to - spans[r].from == kTile;
    }
    runRows(kv, b, first, rows, spans, all, tile);
  }
}

// Asks for what row r's slice reads of tile t, `offset` into its halves: blocks lie apart, so that
// the hardware would notice each one anew. Always inlined, and never called through a lambda: GCC
// drops calls of functions that only prefetch.
SB_INLINE void fetchBlock(const KvArgs& kv, const Block& b, int r, int t, long offset) {
  const auto* keyBlock = reinterpret_cast<const uint8_t*>(b.keys[r][t]) + offset;
  const auto* valueBlock = reinterpret_cast<const uint8_t*>(b.values[r][t]) + offset;
  const int slots = least(kTile, b.position[b.sliceEnd[r] - 1] + 1 - t * kTile);
  if (slots == kTile) {  // in whole blocks: the loops below took a tenth longer from memory
    for (long i = 0; i < kv.blockBytes; i += 64) __builtin_prefetch(keyBlock + i, 0, 2);
    for (long i = 0; i < kv.blockBytes; i += 64) __builtin_prefetch(valueBlock + i, 0, 2);
    return;
  }
  const long keys = kv.codec == kInt8 ? kv.headDim / 4 : kv.headDim;
  const long keyBytes = kv.codec == kInt8 ? 4 : 2;
  for (long i = 0; i < keys; i++) {
    const uint8_t* key = keyBlock + i * keyBytes * kTile;
    for (long j = 0; j < keyBytes * slots; j += 64) __builtin_prefetch(key + j, 0, 2);
  }
  const long valueBytes = kv.codec == kInt8 ? (slots + 3) / 4 * 4L * kv.headDim
                                            : slots * 2L * kv.headDim;
  for (long j = 0; j < valueBytes; j += 64) __builtin_prefetch(valueBlock + j, 0, 2);
  if (kv.codec != kInt8) return;
  for (long j = keys * keyBytes * kTile; j < kv.blockBytes; j += 64) {
    __builtin_prefetch(keyBlock + j, 0, 2);
    __builtin_prefetch(valueBlock + j, 0, 2);
  }
}

// Rows [from, to) of the block: tiles left to right; in each, runs of rows that read the same page.
void walk(const KvArgs& kv, Block& b, int head, int from, int to) {
  int firstTile = b.firstTile[from], lastTile = 0;
  for (int r = from; r < to; r++) {
    firstTile = least(firstTile, b.firstTile[r]);
    lastTile = most(lastTile, b.position[r] / kTile);
  }
  const long offset = kv.layerOffset + head * kv.blockBytes;
  for (int t = firstTile; t <= lastTile; t++) {
    auto sees = [&](int r) { return b.firstTile[r] <= t && b.position[r] >= t * kTile; };
    // Behind row r, which sees the tile, and those of its slice that follow it and do so too.
    // Positions rise in a slice: if its last row sees the tile, so do all.
    auto behind = [&](int r) {
      int end = least(b.sliceEnd[r], to);
      if (!sees(end - 1)) {
        for (end = r + 1; sees(end);) end++;
      }
      return end;
    };
    for (int r = from; r < to;) {
      if (!sees(r)) {
        r++;
        continue;
      }
      const int64_t keys = b.keys[r][t];
      int end = behind(r);
      while (end < to && sees(end) && b.keys[end][t] == keys) end = behind(end);
      if (end < to && sees(end)) {
        fetchBlock(kv, b, end, t, offset);
      } else if (end == to && sees(from) && b.position[from] >= (t + 1) * kTile) {
        fetchBlock(kv, b, from, t + 1, offset);
      }
      run(kv, b, r, end, t, {reinterpret_cast<const uint8_t*>(keys) + offset,
                             reinterpret_cast<const uint8_t*>(b.values[r][t]) + offset});
      r = end;
    }
  }
}

// Rows from r on belong to the token and its picked segment: gathers the chunks into tiles and goes
// through them, asking for the next tile's chunks before each.
void walkPicks(const AttendArgs& a, Block& b, int head, int from, int to, int token, uint8_t* room) {
  const KvArgs& kv = a.kv;
  const int32_t* row = a.picks + (static_cast<long>(token) * kv.kvHeads + head) * a.picksStride;
  const PickedSegment segment = {kv.keys + kv.rowPicked[token], kv.values + kv.rowPicked[token],
                                 kv.layerOffset + head * kv.blockBytes};
  const int perTile = kTile / a.chunkTokens;
  const int count = row[0];
  const int32_t* ids = row + 1;
  fetchChunks(kv, segment, a.chunkTokens, ids, least(perTile, count));
  for (int i = 0; i < count; i += perTile) {
    const int n = least(perTile, count - i);
    fetchChunks(kv, segment, a.chunkTokens, ids + i + n, least(perTile, count - i - n));
    const Tile tile = gatherChunks(kv, segment, a.chunkTokens, ids + i, n, room);
    for (int first = from; first < to; first += kLeastSubRows) {
      const int rows = least(kLeastSubRows, to - first);
      Span spans[kLeastSubRows];
      for (int r = 0; r < rows; r++) spans[r] = {0, n * a.chunkTokens};
      runRows(kv, b, first, rows, spans, n == perTile, tile);
    }
  }
}

// All rows of the block together, or slice by slice: rows of a slice have one list of pages.
void walkAll(const KvArgs& kv, Block& b, int head) {
  for (int r = b.rows - 1; r >= 0; r--) {
    const bool last = r + 1 == b.rows || b.keys[r + 1] != b.keys[r];
    b.sliceEnd[r] = last ? r + 1 : b.sliceEnd[r + 1];
  }
  if (!kv.separate) return walk(kv, b, head, 0, b.rows);
  for (int r = 0; r < b.rows; r = b.sliceEnd[r]) walk(kv, b, head, r, b.sliceEnd[r]);
}

}  // namespace

void attend(Pool& pool, const AttendArgs& a) {
  pool.reserve(kScratchBytes);
  const KvArgs& kv = a.kv;
  const int d = kv.headDim;
  const int group = kv.headsPerGroup;
  const long all = static_cast<long>(kv.rows) * group;  // query rows of a KV head
  // Full blocks unless that leaves threads without work.
  long blockRows = kBlockRows;
  if (pool.threads() > 1) {
    const long fair = (all * kv.kvHeads + 4 * pool.threads() - 1) / (4 * pool.threads());
    blockRows = (fair + kSubRows - 1) / kSubRows * kSubRows;
    if (blockRows > kBlockRows) blockRows = kBlockRows;
  }
  const int blocks = static_cast<int>((all + blockRows - 1) / blockRows);
  auto items = [&](int worker, int from, int to) {
    enterKernels();
    for (int item = from; item < to; item++) {
      const int head = item / blocks;
      // From the end: a prompt's last rows see the most.
      const long begin = (blocks - 1 - item % blocks) * blockRows;
      const long end = begin + blockRows < all ? begin + blockRows : all;
      Block b = layOut(pool.scratch(worker), d);
      auto* room = reinterpret_cast<uint8_t*>(pool.scratch(worker)) + kScratchBytes / 2;
      for (long i = begin; i < end; i++) {
        addRow(kv, a.q, b, static_cast<int>(i / group), head * group + static_cast<int>(i % group));
      }
      if (a.picks != nullptr) {
        for (long i = begin; i < end;) {
          const int token = static_cast<int>(i / group);
          const long behind = end < (token + 1L) * group ? end : (token + 1L) * group;
          if (kv.rowPicked[token] >= 0) {
            walkPicks(a, b, head, static_cast<int>(i - begin), static_cast<int>(behind - begin),
                      token, room);
          }
          i = behind;
        }
      }
      walkAll(kv, b, head);
      for (int r = 0; r < b.rows; r++) {
        const int token = static_cast<int>((begin + r) / group);
        const int queryHead = head * group + static_cast<int>((begin + r) % group);
        const F inverse = splat(1.f / b.sum[r]);
        float* out = a.out.row(token) + queryHead * d;
        for (int i = 0; i < d; i += 16) store(out + i, mul(load(b.o + r * d + i), inverse));
        if (a.state.data != nullptr) {
          a.state.row(token)[2 * queryHead] = b.max[r];
          a.state.row(token)[2 * queryHead + 1] = b.sum[r];
        }
      }
    }
    leaveKernels();
  };
  parallel(pool, blocks * kv.kvHeads, 1, items);
}

}  // namespace SB_ISA
}  // namespace shadowbatch
