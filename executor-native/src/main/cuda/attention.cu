// Attention of packed rows over pages: chunks of prompts, decodes, shared prefixes, picked chunks.
#include "attention.h"

namespace sb::attention {
namespace {

constexpr int THREADS = 128;
constexpr int ROWS = 64;

// Shared memory of a head of D dimensions in steps of T tokens: two stages of keys [D][T] and
// values [T][D], 8 halves of padding behind each row (an odd number of 16 bytes between rows: the 8
// rows of a matrix lie in different banks). Queries [64][D] lie in the second stage until they are
// in registers; those of 256 dimensions do not fit there and stay.
template <int D, int T>
struct Step {
  static constexpr int KEY = T + 8;
  static constexpr int VALUE = D + 8;
  static constexpr int STAGE = D * KEY + T * VALUE;
  static constexpr bool RESIDENT = D > 128;
  static_assert(RESIDENT || ROWS * VALUE <= STAGE);
  static_assert(attendShared(D) == 2 * (2 * STAGE + (RESIDENT ? ROWS * VALUE : 0)));
  // Neighbouring threads that copy one token's values.
  static constexpr int LANES = D % 128 == 0 ? 16 : D % 64 == 0 ? 8 : D % 32 == 0 ? 4 : 2;
  // Dimensions of the values that are loaded and multiplied at once.
  static constexpr int WIDE = D < 64 ? D : D % 64 == 0 ? 64 : 48;
};

// Where a thread's part of a step comes from; where not ok, any address.
struct Source {
  const half* keys;
  const half* values;
  bool keysOk, valuesOk;
};

// The tokens of an item, for one KV head.
struct Tokens {
  int first, end;
  const int* ids;  // chunks, or null
  const Page* pages;
  int64_t block;

  __device__ __forceinline__ const half* keys(int page) const {
    return (const half*)(pages[page].keys + block);
  }

  __device__ __forceinline__ const half* values(int page) const {
    return (const half*)(pages[page].values + block);
  }
};

template <int D, int T>
__device__ __forceinline__ Source locate(const Tokens& t, int chunk, int start) {
  if (start >= t.end) return Source{nullptr, nullptr, false, false};
  if (!t.ids) {
    int page = start / PAGE_TOKENS, slot = start % PAGE_TOKENS;
    return Source{t.keys(page) + slot, t.values(page) + slot * D, true, true};
  }
  // A thread copies keys of one run of tokens and values of one token.
  int run = chunk < 8 ? chunk : 8;
  int k = start + threadIdx.x % (T / run) * run;
  int v = start + threadIdx.x / (THREADS / T);
  bool keysOk = k < t.end, valuesOk = v < t.end;
  int kToken = t.ids[keysOk ? k / chunk : 0] * chunk + (keysOk ? k % chunk : 0);
  int vToken = t.ids[valuesOk ? v / chunk : 0] * chunk + (valuesOk ? v % chunk : 0);
  return Source{
      t.keys(kToken / PAGE_TOKENS) + kToken % PAGE_TOKENS,
      t.values(vToken / PAGE_TOKENS) + vToken % PAGE_TOKENS * D, keysOk, valuesOk};
}

// Tokens that are consecutive positions: 16 bytes a copy, values beyond the end zero (what lies
// there may be no number, and zero times that is none).
template <int D, int T>
__device__ __forceinline__ void loadDense(const Source& from, half* stage, int tokens) {
  using S = Step<D, T>;
  // Strides are constants, so that a thread holds one address of each kind.
  constexpr int DIMS = THREADS / (T / 8), LANES = S::LANES, TOKENS = THREADS / LANES;
  int dim = threadIdx.x / (T / 8), t = threadIdx.x % (T / 8) * 8;
  const half* keys = from.keys + dim * PAGE_TOKENS + t;
  half* to = stage + dim * S::KEY + t;
#pragma unroll
  for (int j = 0; j < D; j += DIMS) copy16(to + j * S::KEY, keys + j * PAGE_TOKENS, true);
  int token = threadIdx.x / LANES, c = threadIdx.x % LANES * 8;
  const half* values = from.values + token * D + c;
  to = stage + D * S::KEY + token * S::VALUE + c;
#pragma unroll
  for (int j = 0; j < T; j += TOKENS) {
    bool ok = token + j < tokens;
#pragma unroll
    for (int k = 0; k < D; k += 8 * LANES) copy16(to + j * S::VALUE + k, values + j * D + k, ok);
  }
}

template <int D, int T, int RUN>
__device__ __forceinline__ void copyKeys(const Source& from, half* stage) {
  constexpr int DIMS = THREADS / (T / RUN), KEY = Step<D, T>::KEY;
  int dim = threadIdx.x / (T / RUN), t = threadIdx.x % (T / RUN) * RUN;
  const half* keys = from.keys + dim * PAGE_TOKENS;
  half* to = stage + dim * KEY + t;
#pragma unroll
  for (int j = 0; j < D; j += DIMS) {
    if constexpr (RUN == 4) copy8(to + j * KEY, keys + j * PAGE_TOKENS, from.keysOk);
    if constexpr (RUN == 8) copy16(to + j * KEY, keys + j * PAGE_TOKENS, from.keysOk);
  }
}

// Tokens of chunks: a run of 4 or 8 tokens of a dimension lies together, and the values of a token.
template <int D, int T>
__device__ __forceinline__ void loadPicked(const Source& from, half* stage, int chunk) {
  using S = Step<D, T>;
  if (chunk < 8) {
    copyKeys<D, T, 4>(from, stage);
  } else {
    copyKeys<D, T, 8>(from, stage);
  }
  constexpr int LANES = THREADS / T;
  int c = threadIdx.x % LANES * 8;
  half* to = stage + D * S::KEY + threadIdx.x / LANES * S::VALUE + c;
#pragma unroll
  for (int j = 0; j < D; j += LANES * 8) copy16(to + j, from.values + c + j, from.valuesOk);
}

// The warp's 16 packed rows as halves: turned, scaled for scores in base 2. Rows beyond are zero.
template <int D, int T>
__device__ __forceinline__ void stageQueries(
    const AttendParams& p, const AttendItem& item, int kvHead, half* queries) {
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, rows = item.rows - warp * 16;
  int packed = item.packed + warp * 16;
  float scale = p.scale * LOG2E;
  // All rows' numbers at once, so that rows do not wait for one another.
  const AttendRow mine = p.rows[(packed + min(lane, rows - 1)) / p.group];
  half* to = queries + warp * 16 * Step<D, T>::VALUE;
#pragma unroll 8
  for (int i = 0; i < 16; i++) {
    int row = __shfl_sync(ALL, mine.row, i), position = __shfl_sync(ALL, mine.position, i);
    int head = kvHead * p.group + (packed + i) % p.group;
    const float* x = p.q + (int64_t)row * p.qStride + head * D;
    const float* cos = p.cos + (int64_t)position * p.cosStride;
    const float* sin = p.sin + (int64_t)position * p.sinStride;
#pragma unroll
    for (int c = 0; c < (D + 31) / 32; c++) {
      int dim = lane + 32 * c;
      if (D % 32 != 0 && dim >= D) break;
      float turned = i < rows ? roped(x, dim, cos, sin, p.rotaryHalf) * scale : 0.f;
      to[i * Step<D, T>::VALUE + dim] = toFiniteHalf(turned);
    }
  }
  __syncwarp(ALL);
}

// What two rows of a fragment (lane / 4 and 8 below) have seen, for a thread's columns.
template <int D, int T>
struct Seen {
  static constexpr int PARTS = D / Step<D, T>::WIDE;
  float out[PARTS][1][Step<D, T>::WIDE / 8][4];
  float top[2], sum[2];
  int low[2], limit[2];  // tokens [low, limit] count

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < PARTS; i++)
#pragma unroll
      for (int j = 0; j < Step<D, T>::WIDE / 8; j++)
#pragma unroll
        for (int k = 0; k < 4; k++) out[i][0][j][k] = 0.f;
    top[0] = top[1] = -SB_INF;
    sum[0] = sum[1] = 0.f;
  }

  // Scores become weights 2^(score - top); earlier sums are scaled to the new top.
  __device__ __forceinline__ void weigh(float (&s)[1][T / 8][4], int start) {
    int column = start + threadIdx.x % 4 * 2;
    bool all = start >= max(low[0], low[1]) && start + T - 1 <= min(limit[0], limit[1]);
    float next[2] = {top[0], top[1]};
#pragma unroll
    for (int n = 0; n < T / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int c = column + n * 8 + i % 2;
        if (!all && (c < low[i / 2] || c > limit[i / 2])) s[0][n][i] = -SB_INF;
        next[i / 2] = fmaxf(next[i / 2], s[0][n][i]);
      }
    float back[2];
#pragma unroll
    for (int r = 0; r < 2; r++) {
      next[r] = quadMax(next[r]);
      // As long as nothing is seen: any finite number, so that -inf - -inf does not arise.
      float origin = next[r] == -SB_INF ? 0.f : next[r];
      back[r] = exp2f(top[r] - origin);
      top[r] = next[r];
      next[r] = origin;
      sum[r] *= back[r];
    }
#pragma unroll
    for (int n = 0; n < T / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        s[0][n][i] = exp2f(s[0][n][i] - next[i / 2]);
        sum[i / 2] += s[0][n][i];
      }
#pragma unroll
    for (int i = 0; i < PARTS; i++)
#pragma unroll
      for (int j = 0; j < Step<D, T>::WIDE / 8; j++)
#pragma unroll
        for (int k = 0; k < 4; k++) out[i][0][j][k] *= back[k / 2];
  }

  // out += weights times values [T][D].
  __device__ __forceinline__ void add(const float (&s)[1][T / 8][4], const half* values) {
    int lane = threadIdx.x % 32;
    constexpr int WIDE = Step<D, T>::WIDE, STRIDE = Step<D, T>::VALUE;
#pragma unroll
    for (int k = 0; k < T / 16; k++) {
      uint32_t a[1][4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const float* w = &s[0][2 * k + i / 2][i % 2 * 2];
        a[0][i] = packHalf(w[0], w[1]);
      }
#pragma unroll
      for (int part = 0; part < PARTS; part++) {
        uint32_t b[WIDE / 8][2];
        const half* at = values + (k * 16 + lane % 16) * STRIDE + part * WIDE + lane / 16 * 8;
        loadTransposed<WIDE / 16>(&b[0][0], at, 32);
        mmaHalf(out[part], a, b);
      }
    }
  }
};

template <int D, int T>
__device__ __forceinline__ void store(
    const AttendParams& p, const AttendItem& item, int kvHead, Seen<D, T>& seen) {
  int lane = threadIdx.x % 32, queryHeads = p.kvHeads * p.group;
#pragma unroll
  for (int i = 0; i < 2; i++) {
    float sum = quadSum(seen.sum[i]), factor = 1.f;
    int r = threadIdx.x / 32 * 16 + lane / 4 + 8 * i;
    if (r >= item.rows) continue;
    const AttendRow row = p.rows[(item.packed + r) / p.group];
    int head = kvHead * p.group + (item.packed + r) % p.group;
    float *to, *state;
    float top = seen.top[i];
    if (row.part == DIRECT) {
      factor = 1.f / sum;
      top *= LN2;
      to = p.out + (int64_t)row.row * p.outStride + head * D;
      state = p.state ? p.state + (int64_t)row.row * p.stateStride + 2 * head : nullptr;
    } else {
      int64_t at = (int64_t)(row.part + item.split) * queryHeads + head;
      to = p.partial + at * D;
      state = p.partialState + 2 * at;
    }
#pragma unroll
    for (int c = 0; c < D / 8; c++) {
      constexpr int N = Step<D, T>::WIDE / 8;
      const float* x = &seen.out[c / N][0][c % N][2 * i];
      to[c * 8 + lane % 4 * 2] = x[0] * factor;
      to[c * 8 + lane % 4 * 2 + 1] = x[1] * factor;
    }
    if (state && lane % 4 == 0) {
      state[0] = top;
      state[1] = sum;
    }
  }
}

// The tokens of an item; those of picked chunks are counted here, as the host does not know them.
__device__ __forceinline__ Tokens tokensOf(
    const AttendParams& p, const AttendItem& item, int kvHead) {
  Tokens t{item.first, item.end, nullptr, p.pages + item.pages,
           p.layerOffset + (int64_t)kvHead * p.blockBytes};
  if (item.picks >= 0) {
    t.ids = p.picks + ((int64_t)item.picks * p.kvHeads + kvHead) * p.picksStride + 1;
    t.end = min(item.end, t.ids[-1] * p.chunkTokens);
  }
  return t;
}

template <int D, int T>
__device__ __forceinline__ void limits(
    const AttendParams& p, const AttendItem& item, const Tokens& tokens, Seen<D, T>& seen) {
#pragma unroll
  for (int i = 0; i < 2; i++) {
    int r = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4 + 8 * i;
    seen.low[i] = 0;
    seen.limit[i] = -1;
    if (r >= item.rows) continue;
    int position = p.rows[(item.packed + r) / p.group].position;
    seen.limit[i] = tokens.ids ? tokens.end - 1 : position;
    if (!tokens.ids && p.window) seen.low[i] = position - p.window + 1;
  }
}

template <int D, int T>
__device__ __forceinline__ void attend(const AttendParams& p) {
  using S = Step<D, T>;
  SB_SHARED(raw);
  half* stages = (half*)raw;
  half* queries = stages + (S::RESIDENT ? 2 : 1) * S::STAGE;
  const AttendItem item = p.items[blockIdx.x];
  int kvHead = blockIdx.y, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  bool hasRows = warp * 16 < item.rows;
  Tokens tokens = tokensOf(p, item, kvHead);
  Seen<D, T> seen;
  if (tokens.first >= tokens.end) {
    seen.clear();
    if (hasRows) store(p, item, kvHead, seen);
    return;
  }
  auto load = [&](const Source& from, int start) {
    half* stage = stages + (start - tokens.first) / T % 2 * S::STAGE;
    if (start < tokens.end) {
      if (tokens.ids) {
        loadPicked<D, T>(from, stage, p.chunkTokens);
      } else {
        loadDense<D, T>(from, stage, tokens.end - start);
      }
    }
    copyCommit();
  };
  load(locate<D, T>(tokens, p.chunkTokens, tokens.first), tokens.first);
  Source next = locate<D, T>(tokens, p.chunkTokens, tokens.first + T);
  uint32_t q[S::RESIDENT ? 1 : D / 16][1][4];
  const half* mine = queries + (warp * 16 + lane % 16) * S::VALUE + lane / 16 * 8;
  if (hasRows) {
    stageQueries<D, T>(p, item, kvHead, queries);
    if constexpr (!S::RESIDENT) loadMatrices<D / 16>(&q[0][0][0], mine, 32);
  }
  seen.clear();
  limits(p, item, tokens, seen);
  __syncthreads();
  for (int start = tokens.first; start < tokens.end; start += T) {
    load(next, start + T);
    next = locate<D, T>(tokens, p.chunkTokens, start + 2 * T);
    copyWait<1>();
    __syncthreads();
    if (hasRows) {
      const half* keys = stages + (start - tokens.first) / T % 2 * S::STAGE;
      float s[1][T / 8][4];
#pragma unroll
      for (int n = 0; n < T / 8; n++) s[0][n][0] = s[0][n][1] = s[0][n][2] = s[0][n][3] = 0.f;
// All of it unrolled, queries of shared memory would all be loaded ahead and spilled (sm_80).
#pragma unroll(S::RESIDENT ? 4 : D / 16)
      for (int k = 0; k < D / 16; k++) {
        uint32_t b[T / 8][2];
        loadTransposed<T / 16>(&b[0][0], keys + (k * 16 + lane % 16) * S::KEY + lane / 16 * 8, 32);
        if constexpr (S::RESIDENT) loadMatrices<1>(&q[0][0][0], mine + k * 16, 0);
        mmaHalf(s, q[S::RESIDENT ? 0 : k], b);
      }
      seen.weigh(s, start);
      seen.add(s, keys + D * S::KEY);
    }
    __syncthreads();
  }
  if (hasRows) store(p, item, kvHead, seen);
}

}  // namespace
}  // namespace sb::attention

// q F32 [n, queryHeads * D] -> out F32 [n, queryHeads * D], over keys half[D][64] and values
// half[64][D] of pages. A block of 4 warps takes an item for a KV head: 16 packed rows a warp, keys
// and values of 64 tokens (16 at D 256) at a time by asynchronous copies, two stages, scores and
// sums on matrix units (half x half, float sums), online softmax in base 2 (Milakov and Gimelshein
// 2018; Dao et al. 2022). Sums over tokens go in the same order whatever rows share the block.
// Bytes: 4 D for each token, KV head and item; FLOPs 4 D for each packed row and token (those of
// empty rows of a warp count too).
// Decodes (few rows): memory bound, predicted 85 % of 4.3 TB/s on H200: 256 rows x 8 heads x 2048
// tokens x 128 (1.07 GB) in 0.30 ms. Shared prefixes of more than about 40 packed rows, and
// prompts: bound by reads of shared memory (128 KiB of fragments for 2.1 MFLOP, 475 TFLOP/s at the
// most); predicted 250 to 300 of 788 TFLOP/s at D 128.
#define SB_ATTEND(D, T, BLOCKS)                                             \
  extern "C" __global__ void __launch_bounds__(128, BLOCKS)                 \
      sb_attend_##D(const __grid_constant__ sb::attention::AttendParams p) {\
    sb::attention::attend<D, T>(p);                                         \
  }                                                                         \
  SB_EXPORT(sb_attend_##D)

// Blocks of a multiprocessor that registers should leave room for: three of 128 dimensions are as
// many as the shared memory of sm_90 holds. Elsewhere it holds one or two, or three (sm_100) for
// which the compiler would have to spill.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
#define SB_BLOCKS_128 3
#else
#define SB_BLOCKS_128 2
#endif

SB_ATTEND(16, 64, 4)
SB_ATTEND(32, 64, 4)
SB_ATTEND(64, 64, 3)
SB_ATTEND(96, 64, 3)
SB_ATTEND(128, 64, SB_BLOCKS_128)
SB_ATTEND(256, 16, 2)
