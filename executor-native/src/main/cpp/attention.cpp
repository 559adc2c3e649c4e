#include "attention.h"

#include "ops.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

// Query rows (token and head of one KV head's group) of a work item. A tile is read from memory
// once for all rows of the item that see it in the same page.
constexpr int kBlockRows = 96;

// The largest score of a row that has seen nothing.
constexpr float kNoScore = -1e30f;

// The state of an item's rows, in a worker's scratch.
struct Block {
  uint8_t* packed;  // [rows][2 * d] integer queries
  float* q;         // [rows][d] float queries
  float* o;         // [rows][d]
  float* max;  // padded, like the sums: 16 are read and written at a time
  float* sum;
  float* queryScale;
  int32_t* querySum;
  int32_t* position;
  int32_t* firstTile;
  const int64_t** pages;
  int32_t* sliceEnd;  // behind the last row of the row's slice
  int rows;
};

template <class T>
T* take(char*& p, long n) {
  T* at = reinterpret_cast<T*>(p);
  p += (n * sizeof(T) + 63) / 64 * 64;
  return at;
}

Block layOut(char* scratch, int d) {
  Block b;
  b.packed = take<uint8_t>(scratch, kBlockRows * 2L * d);
  b.q = take<float>(scratch, kBlockRows * static_cast<long>(d));
  b.o = take<float>(scratch, kBlockRows * static_cast<long>(d));
  b.max = take<float>(scratch, kBlockRows + 16);
  b.sum = take<float>(scratch, kBlockRows + 16);
  b.queryScale = take<float>(scratch, kBlockRows);
  b.querySum = take<int32_t>(scratch, kBlockRows);
  b.position = take<int32_t>(scratch, kBlockRows);
  b.firstTile = take<int32_t>(scratch, kBlockRows);
  b.pages = take<const int64_t*>(scratch, kBlockRows);
  b.sliceEnd = take<int32_t>(scratch, kBlockRows);
  b.rows = 0;
  return b;
}

// First position that a row sees.
SB_INLINE int firstSeen(const KvArgs& kv, int position) {
  return kv.window == 0 ? 0 : most(0, position - kv.window + 1);
}

void addRow(const AttendArgs& a, Block& b, int token, int head) {
  const KvArgs& kv = a.kv;
  const int d = kv.headDim;
  const int r = b.rows++;
  const int position = kv.positions[token];
  b.position[r] = position;
  b.firstTile[r] = firstSeen(kv, position) / kTile;
  b.pages[r] = kv.pages + kv.rowPages[token];
  b.max[r] = kNoScore;
  b.sum[r] = 0.f;
  float* q = b.q + r * d;
  for (int i = 0; i < d; i += 16) store(b.o + r * d + i, splat(0.f));
  copyRow(a.q.row(token) + head * d, d, q);
  rope(q, kv.cos + position * kv.ropeStride, kv.sin + position * kv.ropeStride, kv.half);
  if (kv.codec != kInt8) {
    for (int i = 0; i < d; i += 16) store(q + i, mul(load(q + i), splat(kv.scale)));
    return;
  }
  rotate(q, d, kv.rotation);
  const float top = largest(q, d);
  const F inverse = splat(127.f / top);
  I total = splatI(0);
  for (int i = 0; i < d; i += 16) {
    const I x = toInt(mul(load(q + i), inverse));
    total = addI(total, x);
    packQuery(b.packed + r * 2L * d, i, x);
  }
  b.queryScale[r] = top / 127.f * kv.scale;
  b.querySum[r] = sumI16(total);
}

// What one row sees of a tile: slots [from, to).
struct Span {
  int from;
  int to;
};

SB_INLINE Span spanOf(const KvArgs& kv, int position, int tile) {
  return {most(0, firstSeen(kv, position) - tile * kTile),
          least(kTile, position + 1 - tile * kTile)};
}

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
                                        const Span* spans, const uint8_t* tile) {
  const int d = kv.headDim;
  const auto* scales = reinterpret_cast<const float*>(tile + 2 * kTile * d);
  alignas(64) uint8_t weights[kSubRows * kWeightBytes];
  float back[16];
  Softmax softmax;
  const int vectors = vectorsOf<All>(spans, rows);
  const Queries queries = {b.packed + first * 2L * d, 2L * d, b.querySum + first,
                           b.queryScale + first};
  scoreKeys(rows, queries, tile, scales, d, 16 * vectors, softmax.scores);
  findTops<All>(softmax, rows, spans, vectors, b.max + first);
  int last = 0, before = 0;
  float down = 0.f;
  F valueScale[4] = {};
  exponentials<All>(softmax, rows, spans, vectors, b.sum + first, [&](int r, F(&x)[4]) {
    const int to = All ? kTile : spans[r].to;
    if (to != before) {
      // Scales of tokens behind the row's last may overflow here; the weight of those is 0.
      const float top = scales[2 * kTile + to - 1];
      const F up = splat(32767.f / top);
      for (int j = 0; j < 4; j++) valueScale[j] = mul(load(scales + kTile + 16 * j), up);
      down = top / 32767.f;
      before = to;
      last = most(last, to);
    }
    back[r] = down;
    for (int j = 0; j < 4; j++) x[j] = mul(x[j], valueScale[j]);
    packWeights(weights + r * kWeightBytes, x);
  });
  const auto* values = reinterpret_cast<const int8_t*>(tile + kTile * d);
  addValues(rows, weights, values, d, (last + 3) / 4, softmax.correction, back, b.o + first * d);
}

template <bool All>
__attribute__((noinline)) void halfRows(const KvArgs& kv, Block& b, int first, int rows,
                                        const Span* spans, const uint8_t* tile) {
  const int d = kv.headDim;
  const auto* keys = reinterpret_cast<const uint16_t*>(tile);
  const int vectors = vectorsOf<All>(spans, rows);
  Softmax softmax;
  dotKeysHalf(rows, b.q + first * d, keys, d, softmax.scores);
  findTops<All>(softmax, rows, spans, vectors, b.max + first);
  exponentials<All>(softmax, rows, spans, vectors, b.sum + first, [&](int r, const F(&x)[4]) {
    for (int j = 0; j < 4; j++) store(softmax.scores + r * kTile + 16 * j, x[j]);
  });
  addValuesHalf(rows, softmax.scores, keys + kTile * d, d, softmax.correction, b.o + first * d);
}

// Rows [from, to) see tile t in the same page.
void run(const KvArgs& kv, Block& b, int from, int to, int t, const uint8_t* tile) {
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
    const auto pass = integer ? (all ? int8Rows<true> : int8Rows<false>)
                              : (all ? halfRows<true> : halfRows<false>);
    pass(kv, b, first, rows, spans, tile);
  }
}

// Asks for what row r's slice reads of tile t, `offset` into its page: blocks lie apart, so that
// the hardware would notice each one anew. Always inlined, and never called through a lambda: GCC
// drops calls of functions that only prefetch.
SB_INLINE void fetchBlock(const KvArgs& kv, const Block& b, int r, int t, long offset) {
  const auto* block = reinterpret_cast<const uint8_t*>(b.pages[r][t]) + offset;
  const int slots = least(kTile, b.position[b.sliceEnd[r] - 1] + 1 - t * kTile);
  if (slots == kTile) {  // in one loop: the two below took a tenth longer from memory
    for (long i = 0; i < kv.blockBytes; i += 64) __builtin_prefetch(block + i, 0, 2);
    return;
  }
  const long keys = kv.codec == kInt8 ? kv.headDim / 4 : kv.headDim;
  const long keyBytes = kv.codec == kInt8 ? 4 : 2;
  for (long i = 0; i < keys; i++) {
    const uint8_t* key = block + i * keyBytes * kTile;
    for (long j = 0; j < keyBytes * slots; j += 64) __builtin_prefetch(key + j, 0, 2);
  }
  const uint8_t* values = block + keys * keyBytes * kTile;
  const long valueBytes = kv.codec == kInt8 ? (slots + 3) / 4 * 4L * kv.headDim
                                            : slots * 2L * kv.headDim;
  for (long j = 0; j < valueBytes; j += 64) __builtin_prefetch(values + j, 0, 2);
  const long scales = 2 * keys * keyBytes * kTile;
  for (long j = scales; j < kv.blockBytes; j += 64) __builtin_prefetch(block + j, 0, 2);
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
      const int64_t page = b.pages[r][t];
      int end = behind(r);
      while (end < to && sees(end) && b.pages[end][t] == page) end = behind(end);
      if (end < to && sees(end)) {
        fetchBlock(kv, b, end, t, offset);
      } else if (end == to && sees(from) && b.position[from] >= (t + 1) * kTile) {
        fetchBlock(kv, b, from, t + 1, offset);
      }
      run(kv, b, r, end, t, reinterpret_cast<const uint8_t*>(page) + offset);
      r = end;
    }
  }
}

// All rows of the block together, or slice by slice: rows of a slice have one list of pages.
void walkAll(const KvArgs& kv, Block& b, int head) {
  for (int r = b.rows - 1; r >= 0; r--) {
    const bool last = r + 1 == b.rows || b.pages[r + 1] != b.pages[r];
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
      for (long i = begin; i < end; i++) {
        addRow(a, b, static_cast<int>(i / group), head * group + static_cast<int>(i % group));
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
