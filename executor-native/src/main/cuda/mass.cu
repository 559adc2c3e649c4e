// The weight that attention gives each position, for metrics on samples.
#include "attention.h"

// mass F32 [slices * kvHeads, positions] += exp(score - max) / sum of each row of the slice,
// ascending, and each query head of the KV head's group. A block: 64 positions of a slice and KV
// head, a thread for each, queries in shared memory as floats. FLOPs 2 d for each row, query head
// and position on plain float units: about 20 TFLOP/s on H200; made to be simple.
extern "C" __global__ void __launch_bounds__(64)
    sb_attention_mass(const __grid_constant__ sb::attention::MassParams p) {
  using namespace sb;
  using namespace sb::attention;
  SB_SHARED(raw);
  float* q = (float*)raw;  // [headDim]
  const MassSlice slice = p.slices[blockIdx.z];
  int kvHead = blockIdx.y, position = blockIdx.x * PAGE_TOKENS + threadIdx.x;
  int last = p.positions[slice.firstRow + slice.rows - 1];
  if ((int)blockIdx.x * PAGE_TOKENS > last) return;
  int64_t block = p.layerOffset + (int64_t)kvHead * p.blockBytes;
  const half* key = (const half*)(p.pages[slice.pages + blockIdx.x].keys + block) + threadIdx.x;
  float* to = p.mass + (int64_t)(blockIdx.z * p.kvHeads + kvHead) * p.massStride + position;
  float mass = position <= last ? *to : 0.f;
  for (int r = 0; r < slice.rows * p.group; r++) {
    int row = slice.firstRow + r / p.group, head = kvHead * p.group + r % p.group;
    int at = p.positions[row];
    const float* x = p.q + (int64_t)row * p.qStride + head * p.headDim;
    __syncthreads();
    for (int i = threadIdx.x; i < p.headDim; i += 64) {
      const float* cos = p.cos + (int64_t)at * p.cosStride;
      const float* sin = p.sin + (int64_t)at * p.sinStride;
      q[i] = roped(x, i, cos, sin, p.rotaryHalf) * p.scale;
    }
    __syncthreads();
    if (position > at || (p.window && position <= at - p.window)) continue;
    float score = 0.f;
#pragma unroll 4
    for (int i = 0; i < p.headDim; i++) {
      score = fmaf(toFloat(key[i * PAGE_TOKENS]), q[i], score);
    }
    const float* state = p.state + (int64_t)row * p.stateStride + 2 * head;
    mass += expf(score - state[0]) * (1.f / state[1]);
  }
  if (position <= last) *to = mass;
}
SB_EXPORT(sb_attention_mass)
