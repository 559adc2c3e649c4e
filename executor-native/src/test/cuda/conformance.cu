// Each wrapper of device.h once, from plain arrays to plain arrays. The layouts of fragments are
// written here as the PTX ISA has them; what must come out is in conformance_cases.h, computed by
// other means. The same kernels run on the emulator and, through conformance_driver.cpp, on a GPU.
#include "device.h"

struct ConformanceParams {
  const void* in;
  void* out;
};
static_assert(sizeof(ConformanceParams) == 16, "as the driver passes it");

#define CONFORMANCE(name)                                      \
  extern "C" __global__ void __launch_bounds__(128) name(      \
      const __grid_constant__ ConformanceParams p)

// A [32][16], B transposed [16][16] in 16 bits, C [32][16] floats: D = A B + C.
template <bool HALF>
__device__ __forceinline__ void multiply(const void* in, void* out) {
  const uint16_t* a = (const uint16_t*)in;
  const uint16_t* b = a + 32 * 16;
  const float* c = (const float*)(b + 16 * 16);
  int g = threadIdx.x / 4, t = threadIdx.x % 4;
  uint32_t fa[2][4], fb[2][2];
  float d[2][2][4];
  for (int m = 0; m < 2; m++)
    for (int i = 0; i < 4; i++)
      fa[m][i] = *(const uint32_t*)&a[(m * 16 + g + i % 2 * 8) * 16 + t * 2 + i / 2 * 8];
  for (int n = 0; n < 2; n++)
    for (int i = 0; i < 2; i++) fb[n][i] = *(const uint32_t*)&b[(n * 8 + g) * 16 + t * 2 + i * 8];
  for (int m = 0; m < 2; m++)
    for (int n = 0; n < 2; n++)
      for (int i = 0; i < 4; i++)
        d[m][n][i] = c[(m * 16 + g + i / 2 * 8) * 16 + n * 8 + t * 2 + i % 2];
  if (HALF)
    sb::mmaHalf(d, fa, fb);
  else
    sb::mmaBf16(d, fa, fb);
  for (int m = 0; m < 2; m++)
    for (int n = 0; n < 2; n++)
      for (int i = 0; i < 4; i++)
        ((float*)out)[(m * 16 + g + i / 2 * 8) * 16 + n * 8 + t * 2 + i % 2] = d[m][n][i];
}

CONFORMANCE(conform_mma_bf16) { multiply<false>(p.in, p.out); }
CONFORMANCE(conform_mma_half) { multiply<true>(p.in, p.out); }

// 8 matrices [8][8] of 16 bits, rows of 48 bytes in shared memory; out: 8 registers of each lane.
template <bool TRANSPOSED>
__device__ __forceinline__ void load(unsigned char* shared, const void* in, void* out) {
  const int row = 48, four = 4 * 8 * row;
  for (int i = threadIdx.x; i < 8 * 64; i += 32)
    *(uint16_t*)(shared + i / 8 * row + i % 8 * 2) = ((const uint16_t*)in)[i];
  __syncthreads();
  uint32_t r[8];
  if (TRANSPOSED)
    sb::loadTransposed<2>(r, shared + threadIdx.x * row, four);
  else
    sb::loadMatrices<2>(r, shared + threadIdx.x * row, four);
  for (int i = 0; i < 8; i++) ((uint32_t*)out)[threadIdx.x * 8 + i] = r[i];
}

CONFORMANCE(conform_load_matrices) {
  SB_SHARED(shared);
  load<false>(shared, p.in, p.out);
}

CONFORMANCE(conform_load_transposed) {
  SB_SHARED(shared);
  load<true>(shared, p.in, p.out);
}

// 32 pieces of 16 bytes and 32 of 8, each third as zeros; two groups, waited for one by one.
CONFORMANCE(conform_copies) {
  SB_SHARED(shared);
  int l = threadIdx.x;
  const unsigned char* in = (const unsigned char*)p.in;
  bool ok = l % 3 != 0;
  sb::copy16(shared + l * 16, in + l * 16, ok);
  sb::copyCommit();
  sb::copy8(shared + 512 + l * 8, in + 512 + l * 8, ok);
  sb::copyCommit();
  sb::copyWait<1>();
  __syncthreads();
  uint32_t* out = (uint32_t*)p.out;
  for (int i = l; i < 128; i += 32) out[i] = ((const uint32_t*)shared)[i];
  sb::copyWait<0>();
  __syncthreads();
  for (int i = 128 + l; i < 192; i += 32) out[i] = ((const uint32_t*)shared)[i];
}

// 32 floats to 4 x 32.
CONFORMANCE(conform_reductions) {
  int l = threadIdx.x;
  float x = ((const float*)p.in)[l];
  float* out = (float*)p.out;
  out[l] = sb::warpSum(x);
  out[32 + l] = sb::warpMax(x);
  out[64 + l] = sb::quadSum(x);
  out[96 + l] = sb::quadMax(x);
}

// 1024 floats to bfloat16, half, and both packed in pairs.
CONFORMANCE(conform_narrow) {
  const float* in = (const float*)p.in;
  uint16_t* out = (uint16_t*)p.out;
  for (int i = threadIdx.x; i < 1024; i += 128) {
    out[i] = sb::toBf16(in[i]).bits;
    out[1024 + i] = sb::toHalf(in[i]).bits;
  }
  for (int i = threadIdx.x; i < 512; i += 128) {
    ((uint32_t*)out)[1024 + i] = sb::packBf16(in[2 * i], in[2 * i + 1]);
    ((uint32_t*)out)[1536 + i] = sb::packHalf(in[2 * i], in[2 * i + 1]);
  }
}

// All 65536 bfloat16 and all halves to floats.
CONFORMANCE(conform_widen) {
  float* out = (float*)p.out;
  for (int i = threadIdx.x; i < 65536; i += 128) {
    out[i] = sb::toFloat(sb::bf16{(uint16_t)i});
    out[65536 + i] = sb::toFloat(sb::half{(uint16_t)i});
  }
}

// Plain CUDA that kernels may use: shuffles of groups, votes, static shared memory.
CONFORMANCE(conform_warp) {
  __shared__ int turned[32];
  int l = threadIdx.x;
  int x = ((const int*)p.in)[l];
  int* out = (int*)p.out;
  out[l] = __shfl_sync(sb::ALL, x, 3, 8);
  out[32 + l] = __shfl_xor_sync(sb::ALL, x, 5);
  out[64 + l] = __shfl_down_sync(sb::ALL, x, 3, 16);
  out[96 + l] = __shfl_up_sync(sb::ALL, x, 2);
  out[128 + l] = (int)__ballot_sync(sb::ALL, x & 1);
  turned[31 - l] = x;
  out[160 + l] = __syncthreads_count(x & 1);
  out[192 + l] = turned[l];
}

SB_EXPORT(conform_mma_bf16)
SB_EXPORT(conform_mma_half)
SB_EXPORT(conform_load_matrices)
SB_EXPORT(conform_load_transposed)
SB_EXPORT(conform_copies)
SB_EXPORT(conform_reductions)
SB_EXPORT(conform_narrow)
SB_EXPORT(conform_widen)
SB_EXPORT(conform_warp)
