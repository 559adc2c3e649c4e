#include "ops.h"
#include "quantise.h"

namespace shadowbatch {
namespace SB_ISA {

void rmsNorm(Pool& pool, const NormArgs& a, Quantised out) {
  const int d = a.columns;
  auto rows = [&](int, int from, int to) {
    for (int i = from; i < to; i++) {
      const float* x = a.x.row(i);
      const F r = splat(inverseRms(sumOfSquares(x, d), d, a.eps));
      writeRow(out, i, (d + kGroup - 1) / kGroup, [&](int k, F& lo, F& hi) {
        lo = mul(mul(load(x + k), r), load(a.weight + k));
        hi = k + 16 < d ? mul(mul(load(x + k + 16), r), load(a.weight + k + 16)) : splat(0.f);
      });
    }
  };
  parallel(pool, a.rows, rowGrain(d), rows);
}

void headNorm(Pool& pool, const NormArgs& a, int headDim) {
  auto rows = [&](int, int from, int to) {
    for (int i = from; i < to; i++) {
      for (int h = 0; h < a.columns; h += headDim) {
        float* x = a.x.row(i) + h;
        const F r = splat(inverseRms(sumOfSquares(x, headDim), headDim, a.eps));
        for (int k = 0; k < headDim; k += 16) {
          store(x + k, mul(mul(load(x + k), r), load(a.weight + k)));
        }
      }
    }
  };
  parallel(pool, a.rows, rowGrain(a.columns), rows);
}

}  // namespace SB_ISA
}  // namespace shadowbatch
