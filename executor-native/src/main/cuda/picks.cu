// The choice of chunks by their landmarks, in two kernels: products of queries and landmarks, by as
// many blocks as there are tiles of chunks, then for each row and KV head the choice itself. The
// products go through device memory, which costs 4 bytes of 2 d that were read.
#include "device.h"

namespace sb::picks {

constexpr int SCORE_THREADS = 128;
constexpr int SCORE_CHUNKS = 2 * SCORE_THREADS;  // of a block: two for each thread
constexpr int HEADS = 4;                         // query heads that read the landmarks together
constexpr int PICK_THREADS = 512;
constexpr int PICK_WARPS = PICK_THREADS / 32;

// A row of the batch that picks; 64 bytes.
struct PickingRow {
  int64_t row;
  int64_t position;
  int64_t firstPage;  // among the landmark addresses
  int64_t pages;
  int64_t budget;
  const int* exact;  // of KV head 0: count, then ids
  int64_t exactStride;
  int64_t unused;
};
static_assert(sizeof(PickingRow) == 64, "");

struct ChunkScoresParams {
  const float* q;  // [rows][queryHeads][headDim]
  const float* cos;
  const float* sin;
  const PickingRow* rows;
  const uint8_t* const* landmarks;
  float* z;  // [row * KV heads + head][group][zStride]
  int64_t qStride;
  int64_t zStride;
  int64_t landmarkOffset;  // of the layer in a page
  int landmarkBytes;       // of a block
  int ropeStride;
  int half;  // half of the dimensions that turn
  int headDim;
  int group;  // query heads of a KV head
  int chunkTokens;
  float scale;
  int unused;
};
static_assert(sizeof(ChunkScoresParams) == 104, "");

struct PickChunksParams {
  const PickingRow* rows;
  float* z;  // as above; used up
  int* ids;  // [row * KV heads + head]: count, then ids
  int64_t zStride;
  int64_t idStride;
  int group;
  int chunksPerPage;
  int most;  // ids of a row
  int unused;
};
static_assert(sizeof(PickChunksParams) == 56, "");

// Turned and scaled element i of a head.
__device__ __forceinline__ float query(const ChunkScoresParams& p, const float* q, int64_t turn,
                                       int i) {
  float x = q[i];
  if (i < p.half) {
    x = fmaf(x, p.cos[turn + i], -(q[i + p.half] * p.sin[turn + i]));
  } else if (i < 2 * p.half) {
    x = fmaf(x, p.cos[turn + i - p.half], q[i - p.half] * p.sin[turn + i - p.half]);
  }
  return x * p.scale;
}

__device__ __forceinline__ float orLeast(float z) { return z == z ? z : -SB_INF; }

__device__ __forceinline__ float* productsOf(float* z, int64_t stride, int group) {
  int64_t item = static_cast<int64_t>(blockIdx.z) * gridDim.y + blockIdx.y;
  return z + item * group * stride;
}

// Largest or sum of all threads, in all; shared holds PICK_WARPS floats that nobody reads any more.
template <bool MAX>
__device__ __forceinline__ float overBlock(float x, float* shared) {
  const int lane = threadIdx.x % 32;
  x = MAX ? sb::warpMax(x) : sb::warpSum(x);
  if (lane == 0) shared[threadIdx.x / 32] = x;
  __syncthreads();
  x = lane < PICK_WARPS ? shared[lane] : (MAX ? -SB_INF : 0.f);
  x = MAX ? sb::warpMax(x) : sb::warpSum(x);
  __syncthreads();
  return x;
}

// log of the sum of exponentials; the chunks that are exact are at -infinity.
__device__ __forceinline__ float logSumExp(const float* z, int n, float* shared) {
  float top = -1e30f;
  for (int c = threadIdx.x; c < n; c += PICK_THREADS) top = fmaxf(top, z[c]);
  top = overBlock<true>(top, shared);
  float sum = 0;
  for (int c = threadIdx.x; c < n; c += PICK_THREADS) sum += expf(z[c] - top);
  return top + logf(overBlock<false>(sum, shared));
}

// Bits in the order of the numbers; 0 is none of a number's.
__device__ __forceinline__ uint32_t ordered(float x) {
  uint32_t bits = __float_as_uint(x + 0.f);  // zeros of both signs are equal
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// The bin, from the top, in which the need-th key lies: by one warp, 8 bins for each lane.
__device__ __forceinline__ void findBin(const int* bins, int need, int* result) {
  const int lane = threadIdx.x % 32;
  const int top = 255 - 8 * lane;
  int own = 0;
  for (int i = 0; i < 8; i++) own += bins[top - i];
  int upTo = own;
#pragma unroll
  for (int d = 1; d < 32; d *= 2) {
    int above = __shfl_up_sync(sb::ALL, upTo, d);
    if (lane >= d) upTo += above;
  }
  int before = upTo - own;
  if (before >= need || upTo < need) return;
  int bin = top;
  while (before + bins[bin] < need) before += bins[bin--];
  result[0] = bin;
  result[1] = need - before;
}

struct Threshold {
  uint32_t key;  // all larger ones are picked,
  int equals;    // and so many equal ones
};

// Radix select of the k-th largest of n keys, k > 0: 8 bits a pass, counted in whole numbers.
__device__ __forceinline__ Threshold threshold(const uint32_t* keys, int n, int k, int* bins,
                                               int* found) {
  uint32_t prefix = 0, known = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (int i = threadIdx.x; i < 256; i += PICK_THREADS) bins[i] = 0;
    __syncthreads();
    for (int c = threadIdx.x; c < n; c += PICK_THREADS) {
      uint32_t key = keys[c];
      if ((key & known) == prefix) atomicAdd(&bins[key >> shift & 255], 1);
    }
    __syncthreads();
    if (threadIdx.x < 32) findBin(bins, k, found);
    __syncthreads();
    prefix |= static_cast<uint32_t>(found[0]) << shift;
    known |= 255u << shift;
    k = found[1];
    __syncthreads();
  }
  return {prefix, k};
}

// Writes the ids of exact chunks (key 0), larger keys and the first equal ones, ascending. Each warp
// has a run of chunks; counts[2 w] and [2 w + 1] are its sure and its equal ones.
__device__ __forceinline__ void writeIds(const uint32_t* keys, int n, Threshold t, int most,
                                         int* counts, int* ids) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const uint32_t below = (1u << lane) - 1;
  const int run = (n + PICK_THREADS - 1) / PICK_THREADS * 32;
  const int from = warp * run, to = min(n, from + run);
  int sure = 0, equal = 0;
  for (int c = from + lane; c - lane < to; c += 32) {
    uint32_t key = c < to ? keys[c] : 1;
    sure += __popc(__ballot_sync(sb::ALL, key == 0 || (key > t.key && c < to)));
    equal += __popc(__ballot_sync(sb::ALL, key == t.key && c < to));
  }
  if (lane == 0) {
    counts[2 * warp] = sure;
    counts[2 * warp + 1] = equal;
  }
  __syncthreads();
  int at = 0, equalBefore = 0;
  for (int w = 0; w < warp; w++) {
    at += counts[2 * w];
    equalBefore += counts[2 * w + 1];
  }
  at += min(equalBefore, t.equals);
  for (int c = from + lane; c - lane < to; c += 32) {
    uint32_t key = c < to ? keys[c] : 1;
    uint32_t equals = __ballot_sync(sb::ALL, key == t.key && c < to);
    bool taken = key == t.key && c < to && equalBefore + __popc(equals & below) < t.equals;
    bool picked = taken || key == 0 || (key > t.key && c < to);
    uint32_t all = __ballot_sync(sb::ALL, picked);
    int place = at + __popc(all & below);
    if (picked && place < most) ids[1 + place] = c;
    at += __popc(all);
    equalBefore += __popc(equals);
  }
  if (threadIdx.x == PICK_THREADS - 1) ids[0] = min(at, most);
}

// z of a tile of 256 chunks, a KV head and a row, as the definition's chains have it.
// Grid: (ceil(most chunks / 256), KV heads, rows), 128 threads, 16 d bytes of shared memory.
// Bytes: 2 d read and 4 * group written of each chunk; 2 d * group FLOPs. Bound by memory, L2 where
// rows share a prompt. 122K tokens, chunks of 8, heads of 128: 3.9 MB a row and KV head; all 32
// layers of a row 1.0 GB; prediction for an H200: 0.30 ms at 3.4 TB/s.
extern "C" __global__ void __launch_bounds__(SCORE_THREADS)
    sb_chunk_scores(const __grid_constant__ ChunkScoresParams p) {
  SB_SHARED(shared);
  float* q = reinterpret_cast<float*>(shared);  // [dimension][HEADS]
  const PickingRow row = p.rows[blockIdx.z];
  const int perPage = 64 / p.chunkTokens;
  const int n = static_cast<int>(row.pages) * perPage;
  if (static_cast<int>(blockIdx.x) * SCORE_CHUNKS >= n) return;
  const int chunk = blockIdx.x * SCORE_CHUNKS + 2 * threadIdx.x;
  const uint32_t* pairs = nullptr;
  if (chunk < n) {
    const uint8_t* page = p.landmarks[row.firstPage + chunk / perPage];
    int64_t block = p.landmarkOffset + static_cast<int64_t>(blockIdx.y) * p.landmarkBytes;
    pairs = reinterpret_cast<const uint32_t*>(page + block + 2 * (chunk % perPage));
  }
  float* z = productsOf(p.z, p.zStride, p.group);
  const int64_t turn = row.position * p.ropeStride;
  for (int first = 0; first < p.group; first += HEADS) {
    const int heads = min(HEADS, p.group - first);
    const int64_t head = static_cast<int64_t>(blockIdx.y) * p.group + first;
    const float* x = p.q + row.row * p.qStride + head * p.headDim;
    __syncthreads();
    for (int i = threadIdx.x; i < HEADS * p.headDim; i += SCORE_THREADS) {
      int h = i / p.headDim, j = i % p.headDim;
      q[j * HEADS + h] = h < heads ? query(p, x + h * p.headDim, turn, j) : 0.f;
    }
    __syncthreads();
    if (chunk >= n) continue;
    float sums[2][HEADS] = {};
#pragma unroll 8
    for (int i = 0; i < p.headDim; i++) {
      uint32_t pair = pairs[i * (perPage / 2)];
      float a = sb::toFloat(sb::half{static_cast<uint16_t>(pair)});
      float b = sb::toFloat(sb::half{static_cast<uint16_t>(pair >> 16)});
      float4 v = *reinterpret_cast<const float4*>(q + i * HEADS);
      float w[HEADS] = {v.x, v.y, v.z, v.w};
#pragma unroll
      for (int h = 0; h < HEADS; h++) {
        sums[0][h] = fmaf(a, w[h], sums[0][h]);
        sums[1][h] = fmaf(b, w[h], sums[1][h]);
      }
    }
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
      if (h >= heads) continue;
      float2 pair = make_float2(orLeast(sums[0][h]), orLeast(sums[1][h]));
      *reinterpret_cast<float2*>(z + (first + h) * p.zStride + chunk) = pair;
    }
  }
}
SB_EXPORT(sb_chunk_scores)

// The picks of a row and KV head from its products. Grid: (1, KV heads, rows), 512 threads,
// 1,224 bytes of shared memory.
// Bytes: 4 * group * (3 reads) of each chunk, 6 passes over 4 bytes, all from L2; bound by the rate
// at which one multiprocessor reads L2 (about 60 bytes a clock). 15,250 chunks and 4 heads: 1.1 MB;
// prediction for an H200: 15 us a wave of 132 * 3 rows and heads. Where many keys share 8 bits,
// counting in shared memory takes turns: up to 10 us more.
extern "C" __global__ void __launch_bounds__(PICK_THREADS)
    sb_pick_chunks(const __grid_constant__ PickChunksParams p) {
  SB_SHARED(shared);
  float* sums = reinterpret_cast<float*>(shared);
  int* counts = reinterpret_cast<int*>(sums + PICK_WARPS);
  int* found = counts + 2 * PICK_WARPS;
  int* bins = found + 2;
  const PickingRow row = p.rows[blockIdx.z];
  const int n = static_cast<int>(row.pages) * p.chunksPerPage;
  const int* exact = row.exact + blockIdx.y * row.exactStride;
  const int exactCount = min(exact[0], n);
  float* z = productsOf(p.z, p.zStride, p.group);
  for (int i = threadIdx.x; i < exactCount; i += PICK_THREADS) {
    for (int j = 0; j < p.group; j++) z[j * p.zStride + exact[1 + i]] = -SB_INF;
  }
  __syncthreads();
  // A score is the largest over the heads so far: it grows in place of the first head's products.
  uint32_t* keys = reinterpret_cast<uint32_t*>(z);
  for (int j = 0; j < p.group; j++) {
    const float* products = z + j * p.zStride;
    float sum = p.group == 1 ? 0.f : logSumExp(products, n, sums);
    for (int c = threadIdx.x; c < n; c += PICK_THREADS) {
      float score = products[c] - sum;
      float best = j == 0 ? -SB_INF : z[c];
      z[c] = score > best ? score : best;
    }
  }
  for (int c = threadIdx.x; c < n; c += PICK_THREADS) keys[c] = ordered(z[c]);
  __syncthreads();
  for (int i = threadIdx.x; i < exactCount; i += PICK_THREADS) keys[exact[1 + i]] = 0;
  __syncthreads();
  const int64_t free = n - exactCount;
  const int k = static_cast<int>(row.budget < free ? row.budget : free);
  Threshold t = {0xffffffffu, 0};
  if (k > 0) t = threshold(keys, n, k, bins, found);
  int64_t item = row.row * gridDim.y + blockIdx.y;
  writeIds(keys, n, t, p.most, counts, p.ids + item * p.idStride);
}
SB_EXPORT(sb_pick_chunks)

}  // namespace sb::picks
