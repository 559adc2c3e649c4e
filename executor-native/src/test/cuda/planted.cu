// Clean kernels, and the same with a bug planted: planted_main.cpp says which run must show which.
#include "device.h"

struct PlantedParams {
  float* x;
  int n, padding;
};

#define PLANTED(name) \
  extern "C" __global__ void __launch_bounds__(64) name(const __grid_constant__ PlantedParams p)

// Each thread reads what its mirror wrote.
PLANTED(clean_mirror) {
  SB_SHARED(raw);
  float* s = (float*)raw;
  int t = threadIdx.x;
  s[t] = p.x[t];
  __syncthreads();
  p.x[t] = s[p.n - 1 - t];
}

PLANTED(bug_no_barrier) {
  SB_SHARED(raw);
  float* s = (float*)raw;
  int t = threadIdx.x;
  s[t] = p.x[t];
  __syncwarp();
  p.x[t] = s[p.n - 1 - t];
}

// The next write comes before all have read.
PLANTED(bug_no_second_barrier) {
  SB_SHARED(raw);
  float* s = (float*)raw;
  int t = threadIdx.x;
  float sum = 0;
  for (int i = 0; i < 3; i++) {
    s[t] = p.x[t] + i;
    __syncthreads();
    sum += s[p.n - 1 - t];
  }
  p.x[t] = sum;
}

PLANTED(bug_static_no_barrier) {
  __shared__ float s[64];
  int t = threadIdx.x;
  s[t] = p.x[t];
  __syncwarp();
  p.x[t] = s[p.n - 1 - t];
}

// A shuffle orders no memory.
PLANTED(bug_shuffle_as_barrier) {
  SB_SHARED(raw);
  float* s = (float*)raw;
  int t = threadIdx.x;
  s[t] = p.x[t];
  int partner = __shfl_xor_sync(sb::ALL, t, 1);
  p.x[t] = s[partner];
}

PLANTED(bug_out_of_bounds) {
  p.x[threadIdx.x + (threadIdx.x == (unsigned)p.n - 1)] = 1;
}

PLANTED(bug_misaligned) {
  float4 v = *(const float4*)(p.x + 1);
  p.x[threadIdx.x] = v.x;
}

PLANTED(bug_misaligned_copy) {
  SB_SHARED(raw);
  sb::copy16(raw, p.x + 1, true);
  sb::copyCommit();
  sb::copyWait<0>();
}

PLANTED(bug_misaligned_matrix) {
  SB_SHARED(raw);
  uint32_t r[4];
  sb::loadMatrices<1>(r, raw + 8, 0);
  p.x[threadIdx.x] = (float)r[0];
}

PLANTED(bug_divergent_barrier) {
  if (threadIdx.x < 40)
    __syncthreads();
  else
    p.x[threadIdx.x] = __shfl_xor_sync(sb::ALL, p.x[threadIdx.x], 1);
}

PLANTED(bug_lane_outside_mask) {
  if (threadIdx.x % 32 < 16)
    p.x[threadIdx.x] = __shfl_xor_sync(0xffffu, p.x[threadIdx.x], 16);
}

PLANTED(bug_exited_lane) {
  if (threadIdx.x % 32 == 5) return;
  p.x[threadIdx.x] = __shfl_xor_sync(sb::ALL, p.x[threadIdx.x], 1);
}

PLANTED(bug_unwritten_shared) {
  SB_SHARED(raw);
  float* s = (float*)raw;
  if (threadIdx.x > 0) s[threadIdx.x] = 0;
  __syncthreads();
  p.x[threadIdx.x] += s[p.n - 1 - threadIdx.x];
}

PLANTED(bug_past_shared) {
  SB_SHARED(raw);
  float* s = (float*)raw;
  s[threadIdx.x + 8] = p.x[threadIdx.x];
  __syncthreads();
  p.x[threadIdx.x] = s[threadIdx.x + 8];
}

// The last block to run wins.
PLANTED(bug_block_order) { p.x[threadIdx.x] = p.x[threadIdx.x] * 2 + blockIdx.x; }

// Two buffers of asynchronous copies: 8 pieces of 64 floats, summed up.
template <int KEEP, bool GUARD>
__device__ __forceinline__ void pipeline(const PlantedParams& p, unsigned char* raw) {
  float* s = (float*)raw;
  int t = threadIdx.x;
  float sum = 0;
  auto fetch = [&](int piece) {
    if (piece < 8 && t < 16) sb::copy16(s + piece % 2 * 64 + t * 4, p.x + piece * 64 + t * 4, true);
    sb::copyCommit();
  };
  fetch(0);
  for (int i = 0; i < 8; i++) {
    fetch(i + 1);
    sb::copyWait<KEEP>();
    __syncthreads();
    sum += s[i % 2 * 64 + 63 - t];
    if (GUARD) __syncthreads();
  }
  __syncthreads();
  p.x[t] = sum;
}

PLANTED(clean_pipeline) {
  SB_SHARED(raw);
  pipeline<1, true>(p, raw);
}

PLANTED(bug_missing_wait) {
  SB_SHARED(raw);
  pipeline<2, true>(p, raw);
}

PLANTED(bug_buffer_reused) {
  SB_SHARED(raw);
  pipeline<1, false>(p, raw);
}

SB_EXPORT(clean_mirror)
SB_EXPORT(clean_pipeline)
SB_EXPORT(bug_no_barrier)
SB_EXPORT(bug_no_second_barrier)
SB_EXPORT(bug_static_no_barrier)
SB_EXPORT(bug_shuffle_as_barrier)
SB_EXPORT(bug_out_of_bounds)
SB_EXPORT(bug_misaligned)
SB_EXPORT(bug_misaligned_copy)
SB_EXPORT(bug_misaligned_matrix)
SB_EXPORT(bug_divergent_barrier)
SB_EXPORT(bug_lane_outside_mask)
SB_EXPORT(bug_exited_lane)
SB_EXPORT(bug_unwritten_shared)
SB_EXPORT(bug_past_shared)
SB_EXPORT(bug_block_order)
SB_EXPORT(bug_missing_wait)
SB_EXPORT(bug_buffer_reused)
