// Keys of low rank: plain keys, Gram matrices, factors and rebuilt keys. Every sum is one chain in
// the order of the definition, so that results have its bits and depend on nothing else in a call.
#include "device.h"

namespace sb::lowrank {

constexpr int TILE = 64;

struct PlainKeysParams {
  const uint8_t* const* keys;  // key halves
  const float* cos;
  const float* sin;
  float* out;
  int64_t outStride;
  int64_t layerOffset;
  int blockBytes;
  int headDim;
  int half;  // half of the dimensions that turn
  int ropeStride;
  int firstPosition;
  int unused;
};
static_assert(sizeof(PlainKeysParams) == 72, "");

struct GramParams {
  const float* x;
  const float* mean;
  float* out;
  int64_t xStride;
  int64_t outStride;
  int rows;
  int columns;
};
static_assert(sizeof(GramParams) == 48, "");

struct ProjectParams {
  const float* x;
  const sb::half* vectors;  // [rank][columns]
  const float* mean;
  uint8_t* const* pages;
  int64_t xStride;
  int64_t layerOffset;
  int columns;
  int rank;
  int integers;  // 1: bytes with a scale for each token, 0: halves
  int unused;
};
static_assert(sizeof(ProjectParams) == 64, "");

struct RebuildKeysParams {
  const uint64_t* addresses;  // of each chunk: factor page, key half, vectors, mean
  const int* numbers;         // of each chunk: chunk, slot, first position, head
  const int* groups;          // of each block: first chunk, chunks, head, nothing
  const float* cos;
  const float* sin;
  int64_t factorOffset;  // of the layer in a factor page
  int64_t layerOffset;   // and in a key half
  int blockBytes;
  int kvHeads;
  int half;
  int ropeStride;
  int rank;
  int chunkTokens;
  int integers;
  int unused;
};
static_assert(sizeof(RebuildKeysParams) == 88, "");

constexpr int PLAIN_THREADS = 256;
constexpr int PAIRS = TILE / 2 + 1;  // words of a dimension's row in shared memory: no conflicts

__device__ __forceinline__ float keyAt(const uint32_t* tile, int i, int t) {
  uint32_t pair = tile[i * PAIRS + t / 2];
  return sb::toFloat(sb::half{static_cast<uint16_t>(t % 2 ? pair >> 16 : pair)});
}

constexpr int GRAM = 64;        // rows and columns of a tile
constexpr int GRAM_STEP = 16;   // tokens at a time
constexpr int GRAM_PAD = GRAM + 4;

constexpr int PROJECT_THREADS = 128;
constexpr int PROJECT_TOKENS = 16;
constexpr int PROJECT_RANKS = 64;
constexpr int PROJECT_STEP = 32;

// Largest magnitude of a token's factors, at least 1e-30; then bytes. One warp.
__device__ __forceinline__ void putBytes(const float* a, int rank, uint8_t* out, float* scale,
                                         int lane) {
  float top = 1e-30f;
  for (int i = lane; i < rank; i += 32) top = fmaxf(top, fabsf(a[i]));
  top = sb::warpMax(top);
  const float inverse = 127.f / top;
  for (int i = lane; i < rank; i += 32) {
    out[i] = static_cast<uint8_t>(static_cast<int>(rintf(a[i] * inverse)) + 128);
  }
  if (lane == 0) *scale = top / 127.f;
}

__device__ __forceinline__ float finite(float x) {
  x = x > -65504.f ? x : -65504.f;
  return x < 65504.f ? x : 65504.f;
}

constexpr int REBUILD_THREADS = 256;
constexpr int REBUILD_STEP = 16;  // ranks at a time: all ranks are a multiple of it
constexpr int FACTOR_ROW = TILE + 4;

// Factors [step][token] of a group's tokens; zeros behind the last.
__device__ __forceinline__ void stageFactors(const RebuildKeysParams& p, int first, int tokens,
                                             int rank0, float* to) {
  for (int i = threadIdx.x; i < TILE * REBUILD_STEP; i += REBUILD_THREADS) {
    const int t = i / REBUILD_STEP, k = i % REBUILD_STEP;
    float a = 0;
    if (t < tokens) {
      const int item = first + t / p.chunkTokens;
      const int slot = p.numbers[4 * item] * p.chunkTokens + t % p.chunkTokens;
      const uint8_t* block =
          reinterpret_cast<const uint8_t*>(p.addresses[4ll * item]) + p.factorOffset;
      const int at = slot * p.rank + rank0 + k;
      if (p.integers) {
        const float* scales = reinterpret_cast<const float*>(block + TILE * p.rank);
        a = static_cast<float>(block[at] - 128) * scales[slot];
      } else {
        a = sb::toFloat(reinterpret_cast<const sb::half*>(block)[at]);
      }
    }
    to[k * FACTOR_ROW + t] = a;
  }
}

// Element i of key t, turned by the angle of its position.
__device__ __forceinline__ float turned(const RebuildKeysParams& p, const float* key, int i,
                                        int64_t turn) {
  float x = key[i];
  if (i < p.half) return fmaf(x, p.cos[turn + i], -(key[i + p.half] * p.sin[turn + i]));
  if (i >= 2 * p.half) return x;
  const int j = i - p.half;
  return fmaf(x, p.cos[turn + j], key[j] * p.sin[turn + j]);
}

// Turns the keys [token][D + 1] of a group and stores them in their slots, dimension by dimension.
template <int D>
__device__ __forceinline__ void storeKeys(const RebuildKeysParams& p, const float* keys, int first,
                                          int chunks, int head) {
  for (int i = threadIdx.x; i < chunks * D; i += REBUILD_THREADS) {
    const int item = first + i / D, j = i % D;
    const int* number = p.numbers + 4ll * item;
    uint8_t* block = reinterpret_cast<uint8_t*>(p.addresses[4ll * item + 1]) + p.layerOffset +
                     static_cast<int64_t>(head) * p.blockBytes;
    const float* key = keys + (i / D) * p.chunkTokens * (D + 1);
    uint2* to = reinterpret_cast<uint2*>(block + 2 * (j * TILE + number[1] * p.chunkTokens));
    for (int t = 0; t < p.chunkTokens; t += 4) {
      float x[4];
#pragma unroll
      for (int s = 0; s < 4; s++) {
        int64_t turn = static_cast<int64_t>(number[2] + t + s) * p.ropeStride;
        x[s] = finite(turned(p, key + (t + s) * (D + 1), j, turn));
      }
      to[t / 4] = uint2{sb::packHalf(x[0], x[1]), sb::packHalf(x[2], x[3])};
    }
  }
}

// Up to 64 tokens of one KV head and basis: warp w has tokens 8 w .. 8 w + 7, lanes dimensions.
template <int D>
__device__ __forceinline__ void rebuildKeys(const RebuildKeysParams& p, unsigned char* shared) {
  constexpr int M = (D + 31) / 32;
  float* factors = reinterpret_cast<float*>(shared);         // [step][token]
  float* vectors = factors + REBUILD_STEP * FACTOR_ROW;      // [step][D]
  float* keys = reinterpret_cast<float*>(shared);            // [token][D + 1], afterwards
  const int* group = p.groups + 4 * blockIdx.x;
  const int first = group[0], chunks = group[1], head = group[2];
  const int tokens = chunks * p.chunkTokens;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t columns = static_cast<int64_t>(p.kvHeads) * D;
  const uint16_t* basis = reinterpret_cast<const uint16_t*>(p.addresses[4ll * first + 2]);
  const float* mean = reinterpret_cast<const float*>(p.addresses[4ll * first + 3]) + head * D;
  float sums[8][M];
#pragma unroll
  for (int m = 0; m < M; m++) {
    float from = lane + 32 * m < D ? mean[lane + 32 * m] : 0.f;
#pragma unroll
    for (int t = 0; t < 8; t++) sums[t][m] = from;
  }
  for (int rank0 = 0; rank0 < p.rank; rank0 += REBUILD_STEP) {
    __syncthreads();
    stageFactors(p, first, tokens, rank0, factors);
    for (int i = threadIdx.x; i < REBUILD_STEP * D / 2; i += REBUILD_THREADS) {
      const int k = i / (D / 2), j = 2 * (i % (D / 2));
      uint32_t pair = *reinterpret_cast<const uint32_t*>(basis + (rank0 + k) * columns + head * D + j);
      vectors[k * D + j] = sb::toFloat(sb::half{static_cast<uint16_t>(pair)});
      vectors[k * D + j + 1] = sb::toFloat(sb::half{static_cast<uint16_t>(pair >> 16)});
    }
    __syncthreads();
#pragma unroll 4
    for (int k = 0; k < REBUILD_STEP; k++) {
      float4 low = *reinterpret_cast<const float4*>(factors + k * FACTOR_ROW + 8 * warp);
      float4 high = *reinterpret_cast<const float4*>(factors + k * FACTOR_ROW + 8 * warp + 4);
      float a[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
      for (int m = 0; m < M; m++) {
        float v = D % 32 == 0 || lane + 32 * m < D ? vectors[k * D + lane + 32 * m] : 0.f;
#pragma unroll
        for (int t = 0; t < 8; t++) sums[t][m] = fmaf(a[t], v, sums[t][m]);
      }
    }
  }
  __syncthreads();
#pragma unroll
  for (int t = 0; t < 8; t++) {
#pragma unroll
    for (int m = 0; m < M; m++) {
      if (lane + 32 * m < D) keys[(8 * warp + t) * (D + 1) + lane + 32 * m] = sums[t][m];
    }
  }
  __syncthreads();
  storeKeys<D>(p, keys, first, chunks, head);
}

// Keys before RoPE of whole pages. Grid: (KV heads, pages), 256 threads, 132 d bytes of shared
// memory. Bytes: 128 d read and 256 d written a block; bound by memory. A segment of 2,048 tokens, 8
// heads of 128: 12.6 MB; prediction for an H200: 5 us.
extern "C" __global__ void __launch_bounds__(PLAIN_THREADS)
    sb_plain_keys(const __grid_constant__ PlainKeysParams p) {
  SB_SHARED(shared);
  uint32_t* tile = reinterpret_cast<uint32_t*>(shared);
  const uint8_t* block =
      p.keys[blockIdx.y] + p.layerOffset + static_cast<int64_t>(blockIdx.x) * p.blockBytes;
  const uint32_t* pairs = reinterpret_cast<const uint32_t*>(block);
  for (int i = threadIdx.x; i < p.headDim * (TILE / 2); i += PLAIN_THREADS) {
    tile[i / (TILE / 2) * PAIRS + i % (TILE / 2)] = pairs[i];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < TILE * p.headDim; i += PLAIN_THREADS) {
    const int t = i / p.headDim, j = i % p.headDim;
    const int64_t row = static_cast<int64_t>(blockIdx.y) * TILE + t;
    const int64_t turn = (p.firstPosition + row) * p.ropeStride;
    float x = keyAt(tile, j, t);
    if (j < p.half) {
      x = fmaf(x, p.cos[turn + j], keyAt(tile, j + p.half, t) * p.sin[turn + j]);
    } else if (j < 2 * p.half) {
      const int k = j - p.half;
      x = fmaf(x, p.cos[turn + k], -(keyAt(tile, k, t) * p.sin[turn + k]));
    }
    p.out[row * p.outStride + static_cast<int64_t>(blockIdx.x) * p.headDim + j] = x;
  }
}
SB_EXPORT(sb_plain_keys)

// Centred Gram matrix, tiles on and above the diagonal and their mirror images. Grid: (tiles, tiles)
// of 64 columns, 256 threads with 4 x 4 sums each, 16,640 bytes of shared memory; those below the
// diagonal return. Rows of the result are written whole, which matters where it lies in the host's memory.
// FLOPs: rows * columns^2; bound by float units. 2,048 rows of 1,024: 2.1 GFLOP and 136 blocks;
// prediction for an H200: 100 us (a block alone needs 37 at the peak of a multiprocessor), and 80 us
// for 4 MB over the host link.
extern "C" __global__ void __launch_bounds__(256)
    sb_gram(const __grid_constant__ GramParams p) {
  SB_SHARED(shared);
  float* left = reinterpret_cast<float*>(shared);  // [step][column]
  float* right = left + GRAM_STEP * GRAM_PAD;
  float* tile = reinterpret_cast<float*>(shared);  // [row][GRAM + 1], afterwards
  if (blockIdx.y > blockIdx.x) return;
  const int row0 = blockIdx.y * GRAM, column0 = blockIdx.x * GRAM;
  const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  float sums[4][4] = {};
  for (int t0 = 0; t0 < p.rows; t0 += GRAM_STEP) {
    const int steps = min(GRAM_STEP, p.rows - t0);
    for (int i = threadIdx.x; i < steps * GRAM; i += 256) {
      const int t = i / GRAM, j = i % GRAM;
      const float* x = p.x + (t0 + t) * p.xStride;
      const int l = row0 + j, r = column0 + j;
      left[t * GRAM_PAD + j] = l < p.columns ? x[l] - p.mean[l] : 0.f;
      right[t * GRAM_PAD + j] = r < p.columns ? x[r] - p.mean[r] : 0.f;
    }
    __syncthreads();
    for (int t = 0; t < steps; t++) {
      float4 a = *reinterpret_cast<const float4*>(left + t * GRAM_PAD + 4 * ty);
      float4 b = *reinterpret_cast<const float4*>(right + t * GRAM_PAD + 4 * tx);
      float l[4] = {a.x, a.y, a.z, a.w}, r[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
      for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) sums[i][j] = fmaf(l[i], r[j], sums[i][j]);
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) tile[(4 * ty + i) * (GRAM + 1) + 4 * tx + j] = sums[i][j];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < GRAM * GRAM; i += 256) {
    const int r = i / GRAM, c = i % GRAM;
    if (row0 + r < p.columns && column0 + c < p.columns) {
      p.out[(row0 + r) * p.outStride + column0 + c] = tile[r * (GRAM + 1) + c];
    }
    if (row0 != column0 && column0 + r < p.columns && row0 + c < p.columns) {
      p.out[(column0 + r) * p.outStride + row0 + c] = tile[c * (GRAM + 1) + r];
    }
  }
}
SB_EXPORT(sb_gram)

// Factors of 16 tokens of a page. Grid: 4 * pages, 128 threads with 2 x 4 sums each, 10,496 + 64 *
// rank bytes of shared memory. FLOPs: 2 * tokens * columns * rank; bound by shared
// memory. 2,048 tokens of 1,024 columns, rank 160: 0.67 GFLOP in 128 blocks; prediction for an H200:
// 80 us.
extern "C" __global__ void __launch_bounds__(PROJECT_THREADS, 4)
    sb_project(const __grid_constant__ ProjectParams p) {
  SB_SHARED(shared);
  auto* x = reinterpret_cast<float(*)[PROJECT_TOKENS + 1]>(shared);  // [step]
  auto* v = reinterpret_cast<float(*)[PROJECT_RANKS + 1]>(x + PROJECT_STEP);
  float* factors = reinterpret_cast<float*>(v + PROJECT_STEP);  // [token][rank]
  const int token0 = blockIdx.x * PROJECT_TOKENS;
  const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  for (int rank0 = 0; rank0 < p.rank; rank0 += PROJECT_RANKS) {
    float sums[2][4] = {};
    for (int j0 = 0; j0 < p.columns; j0 += PROJECT_STEP) {
      const int steps = min(PROJECT_STEP, p.columns - j0);
      __syncthreads();
      for (int i = threadIdx.x; i < PROJECT_STEP * PROJECT_TOKENS; i += PROJECT_THREADS) {
        const int j = i % PROJECT_STEP, t = i / PROJECT_STEP;
        if (j < steps) x[j][t] = p.x[(token0 + t) * p.xStride + j0 + j] - p.mean[j0 + j];
      }
      for (int i = threadIdx.x; i < PROJECT_STEP / 2 * PROJECT_RANKS; i += PROJECT_THREADS) {
        const int j = 2 * (i % (PROJECT_STEP / 2)), r = i / (PROJECT_STEP / 2);
        if (j >= steps || rank0 + r >= p.rank) continue;
        uint32_t pair = *reinterpret_cast<const uint32_t*>(
            p.vectors + static_cast<int64_t>(rank0 + r) * p.columns + j0 + j);
        v[j][r] = sb::toFloat(sb::half{static_cast<uint16_t>(pair)});
        v[j + 1][r] = sb::toFloat(sb::half{static_cast<uint16_t>(pair >> 16)});
      }
      __syncthreads();
      for (int j = 0; j < steps; j++) {
#pragma unroll
        for (int m = 0; m < 4; m++) {
          const float w = v[j][tx + 16 * m];
          sums[0][m] = fmaf(x[j][2 * ty], w, sums[0][m]);
          sums[1][m] = fmaf(x[j][2 * ty + 1], w, sums[1][m]);
        }
      }
    }
#pragma unroll
    for (int m = 0; m < 4; m++) {
      const int r = rank0 + tx + 16 * m;
      if (r >= p.rank) continue;
      factors[2 * ty * p.rank + r] = sums[0][m];
      factors[(2 * ty + 1) * p.rank + r] = sums[1][m];
    }
  }
  __syncthreads();
  uint8_t* block = p.pages[token0 / TILE] + p.layerOffset;
  const int slot0 = token0 % TILE;
  if (p.integers) {
    float* scales = reinterpret_cast<float*>(block + TILE * p.rank);
    for (int t = threadIdx.x / 32; t < PROJECT_TOKENS; t += PROJECT_THREADS / 32) {
      putBytes(factors + t * p.rank, p.rank, block + (slot0 + t) * p.rank, scales + slot0 + t,
               threadIdx.x % 32);
    }
    return;
  }
  sb::half* halves = reinterpret_cast<sb::half*>(block) + slot0 * p.rank;
  for (int i = threadIdx.x; i < PROJECT_TOKENS * p.rank; i += PROJECT_THREADS) {
    halves[i] = sb::toHalf(finite(factors[i]));
  }
}
SB_EXPORT(sb_project)

// Keys of up to 64 tokens of one head from factors of one basis. Grid: groups, 256 threads, shared
// memory 256 (d + 1) or 4,352 + 64 d bytes, whichever is more. FLOPs: 128 * rank * d a group; bytes:
// 2 * rank * d of vectors, which L2 has, 128 * rank of factors, 128 d of keys in pieces of
// 2 * chunkTokens. Bound by float units. 6,500 tokens (what one row misses, 8 heads of 128, rank
// 160): 0.27 GFLOP, 102 groups; prediction for an H200: 15 us a layer, and 0.4 ms for 43 rows that
// share nothing. Products of tensor cores would be several times as fast.
#define SB_REBUILD(D)                                                \
  extern "C" __global__ void __launch_bounds__(REBUILD_THREADS)      \
      sb_rebuild_keys_##D(const __grid_constant__ RebuildKeysParams p) { \
    SB_SHARED(shared);                                               \
    rebuildKeys<D>(p, shared);                                       \
  }                                                                  \
  SB_EXPORT(sb_rebuild_keys_##D)

SB_REBUILD(16)
SB_REBUILD(32)
SB_REBUILD(64)
SB_REBUILD(96)
SB_REBUILD(128)
SB_REBUILD(256)

}  // namespace sb::lowrank
