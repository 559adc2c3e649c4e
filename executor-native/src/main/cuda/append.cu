// Keys and values of a step's rows into their pages.
#include "attention.h"

namespace sb::attention {

constexpr int APPEND_ROWS = 32;

}  // namespace sb::attention

// k, v F32 [count, kvHeads * headDim] -> halves key[d][64], value[64][d] at slot position % 64 of a
// page's block. A block takes 32 rows of one KV head, 8 warps: each ropes 4 rows into shared
// memory, then lanes take the 32 rows of a dimension, so that rows of a prompt become runs of 64
// bytes.
// Bytes for a token and KV head: 8 d read (and 4 d of the tables, of the cache), 4 d written; rows
// of decodes write a sector of 32 bytes for each number of a key. No FLOPs to speak of. H200 at 4.3
// TB/s: 4096 rows x 8 heads x 128 (50 MB): 12 us; 256 decodes: 3 us, the launch's latency.
extern "C" __global__ void __launch_bounds__(256, 4)
    sb_append(const __grid_constant__ sb::attention::AppendParams p) {
  using namespace sb;
  using namespace sb::attention;
  SB_SHARED(raw);
  half* keys = (half*)raw;
  // An odd number of words between rows: lanes of neighbouring rows read different banks.
  int stride = p.headDim + 2;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  int base = blockIdx.x * APPEND_ROWS;
  int64_t block = p.layerOffset + (int64_t)blockIdx.y * p.blockBytes;
  for (int r = warp; r < APPEND_ROWS && base + r < p.count; r += 8) {
    int row = base + r;
    const AppendRow to = p.rows[row];
    const float* k = p.k + (int64_t)row * p.kStride + blockIdx.y * p.headDim;
    const float* v = p.v + (int64_t)row * p.vStride + blockIdx.y * p.headDim;
    const float* cos = p.cos + (int64_t)to.position * p.cosStride;
    const float* sin = p.sin + (int64_t)to.position * p.sinStride;
    half* values = (half*)(to.page.values + block) + to.position % PAGE_TOKENS * p.headDim;
    for (int i = lane; i < p.headDim; i += 32) {
      keys[r * stride + i] = toFiniteHalf(roped(k, i, cos, sin, p.rotaryHalf));
      values[i] = toFiniteHalf(v[i]);
    }
  }
  __syncthreads();
  if (base + lane >= p.count) return;
  const AppendRow to = p.rows[base + lane];
  half* out = (half*)(to.page.keys + block) + to.position % PAGE_TOKENS;
  for (int i = warp; i < p.headDim; i += 8) out[i * PAGE_TOKENS] = keys[lane * stride + i];
}
SB_EXPORT(sb_append)
