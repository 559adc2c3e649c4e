// The splits of a row put together.
#include "attention.h"

// partial F32 [parts, queryHeads, d], sums of values times 2^(score - max), and their (max, sum) ->
// out F32 [n, queryHeads * d]; state gets the largest score and the sum in natural base. One warp
// for a row and head, splits in ascending order; a split that saw nothing (sum 0) is passed over.
// Bytes: 4 (d + 2) for each part, 4 d out. Memory bound: 256 rows x 32 heads x 4 parts x 128 (17
// MB) 5 us on H200.
extern "C" __global__ void __launch_bounds__(128)
    sb_attend_merge(const __grid_constant__ sb::attention::MergeParams p) {
  using namespace sb;
  using namespace sb::attention;
  int head = blockIdx.y * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (head >= p.queryHeads) return;
  const MergeRow row = p.rows[blockIdx.x];
  int d = p.headDim;
  int64_t first = (int64_t)row.part * p.queryHeads + head;
  const float* state = p.partialState + 2 * first;
  const float* partial = p.partial + first * d;
  int64_t stateStep = 2 * (int64_t)p.queryHeads, step = (int64_t)p.queryHeads * d;
  float top = -SB_INF;
  for (int i = lane; i < row.parts; i += 32) top = fmaxf(top, state[i * stateStep]);
  top = warpMax(top);
  float sum = 0.f, x[8];
#pragma unroll
  for (int j = 0; j < 8; j++) x[j] = 0.f;
#pragma unroll 4
  for (int i = 0; i < row.parts; i++) {
    float weight = exp2f(state[i * stateStep] - top);
    sum = fmaf(state[i * stateStep + 1], weight, sum);
#pragma unroll
    for (int j = 0; j < 8; j++) {
      int c = lane + 32 * j;
      if (c < d) x[j] = fmaf(partial[i * step + c], weight, x[j]);
    }
  }
  float inverse = 1.f / sum;
  float* out = p.out + (int64_t)row.row * p.outStride + head * d;
#pragma unroll
  for (int j = 0; j < 8; j++) {
    if (lane + 32 * j < d) out[lane + 32 * j] = x[j] * inverse;
  }
  if (p.state && lane == 0) {
    float* to = p.state + (int64_t)row.row * p.stateStride + 2 * head;
    to[0] = top * LN2;
    to[1] = sum;
  }
}
SB_EXPORT(sb_attend_merge)
