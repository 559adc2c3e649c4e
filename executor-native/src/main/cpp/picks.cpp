// The choice of chunks by their landmarks.
#include <climits>

#include "numeric.h"
#include "ops.h"

namespace shadowbatch {
namespace SB_ISA {
namespace {

// Vectors of 16 chunks that go through the dimensions together, and rows that do.
#if defined(SB_AVX512)
constexpr int kWide = 4;
#else
constexpr int kWide = 1;
#endif
constexpr int kRows = 6;
constexpr int kSpan = 64;        // chunks of a row come in multiples of it
constexpr int kBlockRows = 48;   // query rows of a work item,
constexpr long kBlockScores = 1 << 18;  // and their scores, unless one token has more
constexpr float kNoScore = -1e30f;

// Landmarks of no page, behind the last one of a slice.
alignas(64) const uint16_t kNoPage[256 * 16] = {};

// Element i of the landmarks of 16 chunks, which lie in Pages pages.
template <int Pages>
SB_INLINE F landmarks(const uint16_t* const* p, long i) {
  if constexpr (Pages == 1) return loadHalf(p[0] + 16 * i);
  if constexpr (Pages == 2) return loadHalf2(p[0] + 8 * i, p[1] + 8 * i);
  if constexpr (Pages == 4) return loadHalf4(p[0] + 4 * i, p[1] + 4 * i, p[2] + 4 * i, p[3] + 4 * i);
}

// z[r][16 j + lane] = chain of fma over the dimensions, for R rows and kWide vectors.
template <int Pages, int R>
__attribute__((noinline)) void product(const uint16_t* const* pages, int d, const float* q,
                                       float* z, long zStride) {
  F acc[R][kWide];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < kWide; j++) acc[r][j] = splat(0.f);
  }
#pragma GCC unroll 1
  for (int i = 0; i < d; i++) {
    F x[kWide];
#pragma GCC unroll 4
    for (int j = 0; j < kWide; j++) x[j] = landmarks<Pages>(pages + j * Pages, i);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const F v = splat(q[r * d + i]);
#pragma GCC unroll 4
      for (int j = 0; j < kWide; j++) acc[r][j] = fma(x[j], v, acc[r][j]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 4
    for (int j = 0; j < kWide; j++) store(z + r * zStride + 16 * j, acc[r][j]);
  }
}

using Product = void (*)(const uint16_t* const*, int, const float*, float*, long);
template <int Pages>
constexpr Product kProducts[kRows] = {product<Pages, 1>, product<Pages, 2>, product<Pages, 3>,
                                      product<Pages, 4>, product<Pages, 5>, product<Pages, 6>};

// A token of a work item: its row of the batch and its slice.
struct Token {
  int row;
  const SliceChunks* chunks;
};

// The memory of a work item, in a worker's scratch.
struct Work {
  Token tokens[kBlockRows];
  int count;     // of tokens
  long stride;   // scores of a row
  float* q;      // [tokens * group][d]
  float* z;      // [tokens * group][stride]
  int32_t* candidate;  // [stride] all ones or zero
  int32_t* order;      // [stride] scores as integers of the same order
  int32_t* picked;     // [stride + 1]
};

void addQuery(const SelectArgs& a, const Token& t, int queryHead, float* q) {
  const KvArgs& kv = a.kv;
  const int d = kv.headDim;
  const long at = kv.positions[t.row] * kv.ropeStride;
  copyRow(a.q.row(t.row) + queryHead * d, d, q);
  rope(q, kv.cos + at, kv.sin + at, kv.half);
  if (kv.codec == kInt8) rotate(q, d, kv.rotation);
  for (int i = 0; i < d; i += 16) store(q + i, mul(load(q + i), splat(kv.scale)));
}

// Always inlined: GCC drops calls of functions that only prefetch.
SB_INLINE void fetchPage(const SelectArgs& a, const Token& t, long page, long offset) {
  if (page >= t.chunks->pages) return;
  const auto* p = reinterpret_cast<const char*>(a.landmarks[t.chunks->first + page]) + offset;
  const long bytes = 2L * a.kv.headDim * (kTile / a.chunkTokens);
  for (long i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 2);
}

// True if two tokens read the same `count` pages from `first` on.
bool samePages(const SelectArgs& a, const Token& s, const Token& t, long first, int count) {
  for (long p = first; p < first + count; p++) {
    const bool inS = p < s.chunks->pages, inT = p < t.chunks->pages;
    if (inS != inT) return false;
    if (inS && a.landmarks[s.chunks->first + p] != a.landmarks[t.chunks->first + p]) return false;
  }
  return true;
}

// All scores of the item: landmarks left to right, each run of tokens that reads the same pages
// goes through them together.
template <int Pages>
void scoreAll(const SelectArgs& a, Work& w, long offset) {
  const int d = a.kv.headDim, group = a.kv.headsPerGroup;
  constexpr int pages = kWide * Pages;
  for (int s = 0; s < w.count; s++) {
    for (int i = 0; i < pages; i++) fetchPage(a, w.tokens[s], i, offset);
  }
  for (long c = 0, first = 0; c < w.stride; c += 16 * kWide, first += pages) {
    for (int s = 0; s < w.count;) {
      int end = s + 1;
      while (end < w.count && samePages(a, w.tokens[s], w.tokens[end], first, pages)) end++;
      const Token& t = w.tokens[s];
      const uint16_t* at[pages];
      for (int i = 0; i < pages; i++) {
        at[i] = first + i < t.chunks->pages
                    ? reinterpret_cast<const uint16_t*>(
                          a.landmarks[t.chunks->first + first + i] + offset)
                    : kNoPage;
        fetchPage(a, t, first + pages + i, offset);
      }
      for (int r = s * group; r < end * group; r += kRows) {
        kProducts<Pages>[least(kRows, end * group - r) - 1](at, d, w.q + r * d,
                                                            w.z + r * w.stride + c, w.stride);
      }
      s = end;
    }
  }
}

// log(x) as ReferenceMath.log.
float logOf(float x) {
  if (!(x >= __FLT_MIN__ && x <= __FLT_MAX__)) return __builtin_nanf("");
  int32_t bits;
  std::memcpy(&bits, &x, 4);
  const int n = (bits - 0x3f400000) >> 23;
  bits -= n << 23;
  std::memcpy(&x, &bits, 4);
  const double m = x;
  const double s = (m - 1) / (m + 1);
  const double s2 = s * s;
  double p = 0;
  for (int k = 17; k > 0; k -= 2) p = p * s2 + 1.0 / k;
  return static_cast<float>(n * 0.6931471805599453 + 2 * s * p);
}

// log of the sum of exponentials over the candidates. The others' scores are -infinity.
float logSumExp(const float* z, const int32_t* candidate, long n) {
  F top = splat(kNoScore);
  for (long c = 0; c < n; c += 16) top = maxOf(load(z + c), top);
  const float max = max16(top);
  F lanes = splat(0.f);
  for (long c = 0; c < n; c += 16) {
    const F x = expBelow(sub(load(z + c), splat(max)));
    lanes = add(lanes, fromBits(andI(bitsOf(x), loadI(candidate + c))));
  }
  return max + logOf(sum16(lanes));
}

// The k-th largest of order[0, n), of which at least k are larger than INT_MIN.
int32_t threshold(const int32_t* order, long n, long k) {
  int64_t low = INT_MIN + 1LL, high = INT_MAX + 1LL;  // at least k from low on, fewer from high on
  while (high - low > 1) {
    const auto middle = static_cast<int32_t>((low + high) >> 1);
    int32_t count = 0;
    for (long i = 0; i < n; i++) count += order[i] >= middle;
    if (count == k) return middle;
    (count > k ? low : high) = middle;
  }
  return static_cast<int32_t>(low);
}

// Keeps the k largest of the order, of equals the lowest; all others become INT_MIN.
void keepBest(int32_t* order, long n, long k) {
  const int32_t least = threshold(order, n, k);
  long count = 0;
  for (long i = 0; i < n; i++) count += order[i] >= least;
  for (long i = n; count > k;) {
    if (order[--i] != least) continue;
    order[i] = INT_MIN;
    count--;
  }
  for (long i = 0; i < n; i++) order[i] = order[i] >= least ? INT_MAX : INT_MIN;
}

// From the scores of a token's heads to its picks.
void choose(const SelectArgs& a, Work& w, const Token& t, float* z, int head) {
  const int group = a.kv.headsPerGroup;
  const long n = t.chunks->pages * (kTile / a.chunkTokens), stride = (n + 15) / 16 * 16;
  const auto* exact = reinterpret_cast<const int32_t*>(t.chunks->exact) +
                      head * t.chunks->exactStride;
  const F infinite = splat(-__builtin_inff());
  for (long c = 0; c < stride; c += 16) {
    for (int j = 0; j < group; j++) {
      store(z + j * w.stride + c, maxOf(load(z + j * w.stride + c), infinite));
    }
    storeI(w.candidate + c, splatI(-1));
  }
  auto exclude = [&](long c) {
    w.candidate[c] = 0;
    for (int j = 0; j < group; j++) z[j * w.stride + c] = -__builtin_inff();
  };
  for (int i = 1; i <= exact[0]; i++) exclude(exact[i]);
  for (long c = n; c < stride; c++) exclude(c);
  auto* best = reinterpret_cast<float*>(w.order);
  for (int j = 0; j < group; j++) {
    const float* x = z + j * w.stride;
    const F lse = splat(group == 1 ? 0.f : logSumExp(x, w.candidate, stride));
    for (long c = 0; c < stride; c += 16) {
      const F before = j == 0 ? infinite : load(best + c);
      store(best + c, maxOf(sub(load(x + c), lse), before));
    }
  }
  for (long c = 0; c < stride; c += 16) {
    // +0, so that zeros of both signs are equal.
    store(best + c, add(load(best + c), splat(0.f)));
  }
  for (long c = 0; c < stride; c++) {
    const int32_t bits = w.order[c];
    w.order[c] = w.candidate[c] != 0 ? bits ^ ((bits >> 31) & INT_MAX) : INT_MIN;
  }
  const long candidates = n - exact[0];
  const long k = t.chunks->budget < candidates ? t.chunks->budget : candidates;
  if (k > 0) {
    keepBest(w.order, stride, k);
  } else {
    std::memset(w.order, 0x80, 4 * stride);
  }
  for (int i = 1; i <= exact[0]; i++) w.order[exact[i]] = INT_MAX;
  int count = 0;
  for (long c = 0; c < n; c++) {
    w.picked[count] = static_cast<int32_t>(c);
    count += w.order[c] == INT_MAX;
  }
  int32_t* out = a.picks + (static_cast<long>(t.row) * a.kv.kvHeads + head) * a.picksStride;
  out[0] = count;
  std::memcpy(out + 1, w.picked, 4L * count);
}

template <class T>
T* take(char*& p, long n) {
  T* at = reinterpret_cast<T*>(p);
  p += (n * sizeof(T) + 63) / 64 * 64;
  return at;
}

void item(const SelectArgs& a, Work& w, int head) {
  const int d = a.kv.headDim, group = a.kv.headsPerGroup;
  long n = 0;
  for (int i = 0; i < w.count; i++) {
    const long own = w.tokens[i].chunks->pages * (kTile / a.chunkTokens);
    n = own > n ? own : n;
    for (int j = 0; j < group; j++) {
      addQuery(a, w.tokens[i], head * group + j, w.q + (i * group + j) * d);
    }
  }
  w.stride = (n + kSpan - 1) / kSpan * kSpan;
  const long offset = a.landmarkOffset + head * a.landmarkBytes;
  (a.chunkTokens == 4   ? scoreAll<1>
   : a.chunkTokens == 8 ? scoreAll<2>
                        : scoreAll<4>)(a, w, offset);
  for (int i = 0; i < w.count; i++) {
    choose(a, w, w.tokens[i], w.z + i * group * w.stride, head);
  }
}

}  // namespace

void selectChunks(Pool& pool, const SelectArgs& a) {
  const KvArgs& kv = a.kv;
  const int group = kv.headsPerGroup;
  long most = 0;
  for (int row = 0; row < kv.rows; row++) {
    const SliceChunks& s = a.slices[a.rowSlice[row]];
    if (s.first >= 0 && s.pages > most) most = s.pages;
  }
  if (most == 0) return;
  const long stride = (most * (kTile / a.chunkTokens) + kSpan - 1) / kSpan * kSpan;
  long tokens = kBlockRows / group;
  if (tokens * group * stride > kBlockScores) tokens = kBlockScores / (group * stride);
  if (pool.threads() > 1) {
    const long fair = (static_cast<long>(kv.rows) * kv.kvHeads + 4 * pool.threads() - 1) /
                      (4 * pool.threads());
    tokens = tokens < fair ? tokens : fair;
  }
  if (tokens < 1) tokens = 1;
  const long rows = tokens * group;
  pool.reserve(4 * (rows * (kv.headDim + stride) + 3 * stride) + 1024);
  const int blocks = static_cast<int>((kv.rows + tokens - 1) / tokens);
  auto items = [&](int worker, int from, int to) {
    for (int i = from; i < to; i++) {
      char* scratch = pool.scratch(worker);
      Work w;
      w.q = take<float>(scratch, rows * kv.headDim);
      w.z = take<float>(scratch, rows * stride);
      w.candidate = take<int32_t>(scratch, stride);
      w.order = take<int32_t>(scratch, stride);
      w.picked = take<int32_t>(scratch, stride + 1);
      w.count = 0;
      const int begin = static_cast<int>(i % blocks * tokens);
      for (int row = begin; row < least(kv.rows, static_cast<int>(begin + tokens)); row++) {
        const SliceChunks& s = a.slices[a.rowSlice[row]];
        if (s.first >= 0) w.tokens[w.count++] = {row, &s};
      }
      if (w.count > 0) item(a, w, i / blocks);
    }
  };
  parallel(pool, blocks * kv.kvHeads, 1, items);
}

}  // namespace SB_ISA
}  // namespace shadowbatch
