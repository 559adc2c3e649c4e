// One block's worth of arithmetic: a device that is opened shows with it that it computes, and that
// Java and the kernels lay out parameters alike.
#include "device.h"

struct ProbeParams {
  const int32_t* in;  // [count]
  int64_t* out;       // [count]
  int64_t add;
  int32_t count;
  float scale;
};
static_assert(sizeof(ProbeParams) == 32, "see Gpu.probe");

// out[i] = scale * in[i] + add. 12 bytes an element: bound by the launch, 3 us.
extern "C" __global__ void __launch_bounds__(256) sb_probe(const __grid_constant__ ProbeParams p) {
  int i = blockIdx.x * 256 + threadIdx.x;
  if (i < p.count) p.out[i] = (int64_t)(p.scale * p.in[i]) + p.add;
}
SB_EXPORT(sb_probe)
