// Operations without sums over a row: embed, quantize, swiGlu, gatherRows. All are bound by memory;
// a thread moves 16 bytes at a time where the layout gives them. Times below are for the H200's
// 4.3 TB/s, n rows of d columns.
#include "device.h"

namespace sb::elementwise {

// Eight bf16 of four registers, the first in the lowest bits.
static __device__ __forceinline__ uint4 pack8(float4 low, float4 high) {
  return make_uint4(
      packBf16(low.x, low.y),
      packBf16(low.z, low.w),
      packBf16(high.x, high.y),
      packBf16(high.z, high.w));
}

static __device__ __forceinline__ float4 unpack4(uint32_t low, uint32_t high) {
  return make_float4(
      __uint_as_float(low << 16),
      __uint_as_float(low & 0xffff0000u),
      __uint_as_float(high << 16),
      __uint_as_float(high & 0xffff0000u));
}

struct EmbedParams {
  const bf16* table;  // [vocabulary, columns]
  const int* ids;     // [n]
  float* out;         // [n, columns]
  int columns;        // % 8 == 0
  int outStride;      // floats, % 4 == 0
};
static_assert(sizeof(EmbedParams) == 32, "EmbedParams");

// out[i] = table[ids[i]]. One block a row. Bytes 6 n d; n = 256, d = 4096: 6.3 MB, 1.5 us.
extern "C" __global__ void __launch_bounds__(128)
    sb_embed(const __grid_constant__ EmbedParams p) {
  const bf16* row = p.table + (long long)p.ids[blockIdx.x] * p.columns;
  float* out = p.out + (long long)blockIdx.x * p.outStride;
  for (int c = threadIdx.x * 8; c < p.columns; c += 128 * 8) {
    uint4 x = *(const uint4*)(row + c);
    *(float4*)(out + c) = unpack4(x.x, x.y);
    *(float4*)(out + c + 4) = unpack4(x.z, x.w);
  }
}
SB_EXPORT(sb_embed)

struct QuantizeParams {
  const float* x;  // [n, columns]
  bf16* out;       // [n, columns]
  int columns;     // % 8 == 0
  int xStride;     // floats, % 4 == 0
  int outStride;   // bf16, % 8 == 0
};
static_assert(sizeof(QuantizeParams) == 32, "QuantizeParams");

// out = x rounded to bf16. Grid: rows by pieces of 2048 columns. Bytes 6 n d; n = 2048, d = 4096:
// 50 MB, 12 us.
extern "C" __global__ void __launch_bounds__(256)
    sb_quantize(const __grid_constant__ QuantizeParams p) {
  int c = (blockIdx.y * 256 + threadIdx.x) * 8;
  if (c >= p.columns) return;
  const float* x = p.x + (long long)blockIdx.x * p.xStride + c;
  bf16* out = p.out + (long long)blockIdx.x * p.outStride + c;
  *(uint4*)out = pack8(*(const float4*)x, *(const float4*)(x + 4));
}
SB_EXPORT(sb_quantize)

struct SwiGluParams {
  const float* gateUp;  // [n, 2 width]: gate, then up
  bf16* out;            // [n, width]
  int width;            // % 8 == 0
  int stride;           // floats, % 4 == 0
  int outStride;        // bf16, % 8 == 0
};
static_assert(sizeof(SwiGluParams) == 32, "SwiGluParams");

static __device__ __forceinline__ float gated(float gate, float up) {
  return gate / (1.0f + expf(-gate)) * up;
}

static __device__ __forceinline__ float4 gated4(float4 gate, float4 up) {
  return make_float4(
      gated(gate.x, up.x), gated(gate.y, up.y), gated(gate.z, up.z), gated(gate.w, up.w));
}

// out = silu(gate) * up, rounded to bf16. Grid: rows by pieces of 2048 columns. Bytes 10 n f;
// n = 2048, f = 14336: 294 MB, 68 us.
extern "C" __global__ void __launch_bounds__(256)
    sb_swiglu(const __grid_constant__ SwiGluParams p) {
  int c = (blockIdx.y * 256 + threadIdx.x) * 8;
  if (c >= p.width) return;
  const float* gate = p.gateUp + (long long)blockIdx.x * p.stride + c;
  const float* up = gate + p.width;
  bf16* out = p.out + (long long)blockIdx.x * p.outStride + c;
  *(uint4*)out = pack8(
      gated4(*(const float4*)gate, *(const float4*)up),
      gated4(*(const float4*)(gate + 4), *(const float4*)(up + 4)));
}
SB_EXPORT(sb_swiglu)

struct GatherParams {
  const float* x;   // [any, columns]
  const int* rows;  // [n]
  float* out;       // [n, columns]
  int columns;
  int xStride;
  int outStride;
};
static_assert(sizeof(GatherParams) == 40, "GatherParams");

// out[i] = x[rows[i]]. One block a row, single floats: any width and stride, and few rows (only
// those whose logits are wanted). Bytes 8 n d; n = 256, d = 4096: 8.4 MB, 2 us.
extern "C" __global__ void __launch_bounds__(256)
    sb_gather(const __grid_constant__ GatherParams p) {
  const float* x = p.x + (long long)p.rows[blockIdx.x] * p.xStride;
  float* out = p.out + (long long)blockIdx.x * p.outStride;
  for (int c = threadIdx.x; c < p.columns; c += 256) out[c] = x[c];
}
SB_EXPORT(sb_gather)

}  // namespace sb::elementwise
