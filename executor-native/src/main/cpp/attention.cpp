#include "attention.h"

#include "ops.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

// Query rows (token and head of one KV head's group) of a work item. A tile is read from memory
// once for all rows of the item that see it in the same page.
constexpr int kBlockRows = 96;

// The state of an item's rows, in a worker's scratch.
struct Block {
  uint8_t* packed;  // [rows][2 * d] integer queries
  float* q;         // [rows][d] float queries
  float* o;         // [rows][d]
  float* max;
  float* sum;
  float* queryScale;
  int32_t* querySum;
  int32_t* position;
  int32_t* firstTile;
  const int64_t** pages;
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
  b.max = take<float>(scratch, kBlockRows);
  b.sum = take<float>(scratch, kBlockRows);
  b.queryScale = take<float>(scratch, kBlockRows);
  b.querySum = take<int32_t>(scratch, kBlockRows);
  b.position = take<int32_t>(scratch, kBlockRows);
  b.firstTile = take<int32_t>(scratch, kBlockRows);
  b.pages = take<const int64_t*>(scratch, kBlockRows);
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
  b.max[r] = -1e30f;
  b.sum[r] = 0.f;
  float* q = b.q + r * d;
  std::memset(b.o + r * d, 0, 4L * d);
  std::memcpy(q, a.q.row(token) + head * d, 4L * d);
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

// Running softmax of some rows: what a tile adds, before the old sums are corrected.
struct Softmax {
  alignas(64) float drop[16] = {};  // old maximum less new
  float sums[16];
};

// Scores of a row become exponentials of their distance to the new maximum, 0 outside the span.
SB_INLINE void exponentials(F (&x)[4], const Span& span, float& max, int r, Softmax& out) {
  const bool all = span.to - span.from == kTile;
  F top = splat(max);
  if (!all) {
    for (int j = 0; j < 4; j++) {
      x[j] = select(lanesIn(span.from - 16 * j, span.to - 16 * j), x[j], splat(max));
    }
  }
  for (int j = 0; j < 4; j++) top = maxOf(x[j], top);
  const float next = max16(top);
  out.drop[r] = max - next;
  max = next;
  F lanes = splat(0.f);
  for (int j = 0; j < 4; j++) {
    x[j] = expBelow(sub(x[j], splat(next)));
    if (!all) {
      x[j] = select(lanesIn(span.from - 16 * j, span.to - 16 * j), x[j], splat(0.f));
    }
    lanes = add(lanes, x[j]);
  }
  out.sums[r] = sum16(lanes);
}

SB_INLINE void correct(const Softmax& s, int rows, float* sum, float* correction) {
  store(correction, expBelow(load(s.drop)));
  for (int r = 0; r < rows; r++) sum[r] = __builtin_fmaf(sum[r], correction[r], s.sums[r]);
}

void int8Rows(const KvArgs& kv, Block& b, int first, int rows, const Span* spans,
              const uint8_t* tile) {
  const int d = kv.headDim;
  const auto* scales = reinterpret_cast<const float*>(tile + 2 * kTile * d);
  alignas(64) int32_t dots[kSubRows * kTile];
  alignas(64) uint8_t weights[kSubRows * kWeightBytes];
  alignas(64) float correction[16];
  float back[16];
  const uint8_t* packed = b.packed + first * 2L * d;
  dotKeys(rows, packed, 2L * d, b.querySum + first, tile, d, dots);
  Softmax softmax;
  int last = 0;
  float up = 0.f, down = 0.f;
  for (int r = 0; r < rows; r++) {
    F x[4];
    const F queryScale = splat(b.queryScale[first + r]);
    for (int j = 0; j < 4; j++) {
      const F scale = mul(load(scales + 16 * j), queryScale);
      x[j] = mul(toFloat(loadI(dots + r * kTile + 16 * j)), scale);
    }
    exponentials(x, spans[r], b.max[first + r], r, softmax);
    const int to = spans[r].to;
    if (r == 0 || to != spans[r - 1].to) {
      const float top = scales[2 * kTile + to - 1];
      up = 32767.f / top;
      down = top / 32767.f;
      last = most(last, to);
    }
    back[r] = down;
    I p[4];
    for (int j = 0; j < 4; j++) {
      p[j] = toInt(mul(x[j], mul(load(scales + kTile + 16 * j), splat(up))));
      // Scales of tokens behind the row's last may overflow here; their weight is still 0.
      if (to != kTile) p[j] = selectI(lanesIn(0, to - 16 * j), p[j], splatI(0));
    }
    packWeights(weights + r * kWeightBytes, p);
  }
  correct(softmax, rows, b.sum + first, correction);
  const auto* values = reinterpret_cast<const int8_t*>(tile + kTile * d);
  addValues(rows, weights, values, d, (last + 3) / 4, correction, back, b.o + first * d);
}

void halfRows(const KvArgs& kv, Block& b, int first, int rows, const Span* spans,
              const uint8_t* tile) {
  const int d = kv.headDim;
  const auto* keys = reinterpret_cast<const uint16_t*>(tile);
  alignas(64) float scores[kHalfRows * kTile];
  alignas(64) float correction[16];
  dotKeysHalf(rows, b.q + first * d, keys, d, scores);
  Softmax softmax;
  for (int r = 0; r < rows; r++) {
    F x[4];
    for (int j = 0; j < 4; j++) x[j] = load(scores + r * kTile + 16 * j);
    exponentials(x, spans[r], b.max[first + r], r, softmax);
    for (int j = 0; j < 4; j++) store(scores + r * kTile + 16 * j, x[j]);
  }
  correct(softmax, rows, b.sum + first, correction);
  addValuesHalf(rows, scores, keys + kTile * d, d, correction, b.o + first * d);
}

// Rows [from, to) see tile t in the same page.
void run(const KvArgs& kv, Block& b, int from, int to, int t, const uint8_t* tile) {
  const int most = kv.codec == kInt8 ? kSubRows : kHalfRows;
  for (int first = from; first < to; first += most) {
    const int rows = least(most, to - first);
    Span spans[kSubRows];
    for (int r = 0; r < rows; r++) spans[r] = spanOf(kv, b.position[first + r], t);
    if (kv.codec == kInt8) {
      int8Rows(kv, b, first, rows, spans, tile);
    } else {
      halfRows(kv, b, first, rows, spans, tile);
    }
  }
}

// Asks for the block of a page that the next run reads: blocks lie apart, so that the hardware
// would notice each one anew.
SB_INLINE void fetchBlock(const KvArgs& kv, const uint8_t* block) {
  for (long i = 0; i < kv.blockBytes; i += 64) __builtin_prefetch(block + i, 0, 2);
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
    for (int r = from; r < to;) {
      if (!sees(r)) {
        r++;
        continue;
      }
      const int64_t page = b.pages[r][t];
      int end = r + 1;
      while (end < to && sees(end) && b.pages[end][t] == page) end++;
      if (end < to && sees(end)) {
        fetchBlock(kv, reinterpret_cast<const uint8_t*>(b.pages[end][t]) + offset);
      } else if (end == to && sees(from) && b.position[from] >= (t + 1) * kTile) {
        fetchBlock(kv, reinterpret_cast<const uint8_t*>(b.pages[from][t + 1]) + offset);
      }
      run(kv, b, r, end, t, reinterpret_cast<const uint8_t*>(page) + offset);
      r = end;
    }
  }
}

// All rows of the block together, or slice by slice: rows of a slice have one list of pages.
void walkAll(const KvArgs& kv, Block& b, int head) {
  for (int r = 0; r < b.rows;) {
    int end = kv.separate ? r + 1 : b.rows;
    while (end < b.rows && b.pages[end] == b.pages[r]) end++;
    walk(kv, b, head, r, end);
    r = end;
  }
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
