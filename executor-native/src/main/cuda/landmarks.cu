// Landmarks of whole pages: means of chunks of stored keys, and how like their keys they are.
#include "device.h"

namespace sb::landmarks {

constexpr int TILE = 64;
constexpr int WARPS = 4;

struct SummariseParams {
  const uint8_t* const* keys;  // [pages] key halves
  uint8_t* const* landmarks;   // [pages]
  int pages;
  int blocks;  // layers * KV heads of a page
  int headDim;
  int chunkTokens;
  int keyBytes;       // of a block of keys
  int landmarkBytes;  // of a block of landmarks
};
static_assert(sizeof(SummariseParams) == 40, "");

// Sum of the LANES neighbouring lanes of a chunk, in all of them: the far ones first.
template <int LANES>
__device__ __forceinline__ float chunkSum(float x) {
#pragma unroll
  for (int d = LANES / 2; d; d /= 2) x += __shfl_xor_sync(sb::ALL, x, d);
  return x;
}

__device__ __forceinline__ float cosine(float dot, float keySquares, float meanSquares) {
  float lengths = sqrtf(keySquares) * sqrtf(meanSquares);
  float cos = dot / (lengths > 1e-30f ? lengths : 1e-30f);
  return cos >= -1.f ? fminf(cos, 1.f) : -1.f;  // what is not a number becomes -1
}

// One block by one warp; lane l has tokens 2 l and 2 l + 1.
template <int TOKENS>
__device__ __forceinline__ void summarise(const uint8_t* keys, uint8_t* out, int d, int lane) {
  constexpr int CHUNKS = TILE / TOKENS;
  constexpr int LANES = TOKENS / 2;
  const uint32_t* pairs = reinterpret_cast<const uint32_t*>(keys) + lane;
  sb::half* means = reinterpret_cast<sb::half*>(out);
  const bool first = lane % LANES == 0;
  const int chunk = lane / LANES;
  float dot0 = 0, dot1 = 0, squares0 = 0, squares1 = 0, meanSquares = 0;
#pragma unroll 8
  for (int i = 0; i < d; i++) {
    uint32_t pair = pairs[TILE / 2 * i];
    float a = sb::toFloat(sb::half{static_cast<uint16_t>(pair)});
    float b = sb::toFloat(sb::half{static_cast<uint16_t>(pair >> 16)});
    // Two trees whose roots meet: distance TOKENS / 2, .., 2 over lanes, then 1.
    float mean = (chunkSum<LANES>(a) + chunkSum<LANES>(b)) * (1.f / TOKENS);
    dot0 = fmaf(mean, a, dot0);
    dot1 = fmaf(mean, b, dot1);
    squares0 = fmaf(a, a, squares0);
    squares1 = fmaf(b, b, squares1);
    meanSquares = fmaf(mean, mean, meanSquares);
    float finite = mean > -65504.f ? mean : -65504.f;
    if (first) means[i * CHUNKS + chunk] = sb::toHalf(finite < 65504.f ? finite : 65504.f);
  }
  float least = fminf(cosine(dot0, squares0, meanSquares), cosine(dot1, squares1, meanSquares));
#pragma unroll
  for (int m = LANES / 2; m; m /= 2) least = fminf(least, __shfl_xor_sync(sb::ALL, least, m));
  if (first) reinterpret_cast<float*>(out + 2 * d * CHUNKS)[chunk] = least;
}

// Grid: ceil(pages * blocks / 4), 128 threads, a warp for each block of keys half[d][64]. The sums
// are those of the definition, so the bits are too.
// Bytes: 128 d read and 128 d / chunkTokens written of each block; bound by memory. 122K tokens of 8
// heads of 128 and 32 layers: 8.0 GB + 1.0 GB; prediction for an H200: 2.3 ms at 3.9 TB/s.
extern "C" __global__ void __launch_bounds__(WARPS * 32, 8)
    sb_summarise(const __grid_constant__ SummariseParams p) {
  const int lane = threadIdx.x % 32;
  const int64_t item = static_cast<int64_t>(blockIdx.x) * WARPS + threadIdx.x / 32;
  if (item >= static_cast<int64_t>(p.pages) * p.blocks) return;
  const int page = static_cast<int>(item / p.blocks);
  const int64_t block = item % p.blocks;
  const uint8_t* keys = p.keys[page] + block * p.keyBytes;
  uint8_t* out = p.landmarks[page] + block * p.landmarkBytes;
  if (p.chunkTokens == 4) {
    summarise<4>(keys, out, p.headDim, lane);
  } else if (p.chunkTokens == 8) {
    summarise<8>(keys, out, p.headDim, lane);
  } else {
    summarise<16>(keys, out, p.headDim, lane);
  }
}
SB_EXPORT(sb_summarise)

}  // namespace sb::landmarks
