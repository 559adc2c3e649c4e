#include "ops.h"
#include "quantise.h"

namespace shadowbatch {
namespace SB_ISA {

void embed(Pool& pool, const EmbedArgs& a) {
  const int groups = (a.columns + kGroup - 1) / kGroup;
  auto rows = [&](int, int from, int to) {
    for (int i = from; i < to; i++) {
      const long panel = a.ids[i] / kGroup;
      const int row = a.ids[i] % kGroup;
      float* out = a.out.row(i);
      for (int g = 0; g < groups; g++) {
        const uint8_t* cell = a.table + (panel * groups + g) * kCellBytes;
        alignas(32) uint8_t q[kGroup];
        for (int quad = 0; quad < 8; quad++) {
          std::memcpy(q + 4 * quad, cell + 128 * quad + 4 * row, 4);
        }
        float scale, min;
        std::memcpy(&scale, cell + 1024 + 4 * row, 4);
        std::memcpy(&min, cell + 1152 + 4 * row, 4);
        for (int half = 0; half < 2; half++) {
          const F x = fma(toFloat(loadBytes(q + 16 * half)), splat(scale), splat(min));
          const int k = g * kGroup + 16 * half;
          if (k + 16 <= a.columns) {
            store(out + k, x);
          } else if (k < a.columns) {
            storePart(out + k, x, a.columns - k);
          }
        }
      }
    }
  };
  parallel(pool, a.count, rowGrain(a.columns), rows);
}

void gatherRows(Pool& pool, Floats x, const int32_t* from, int count, int columns, Floats out) {
  auto rows = [&](int, int begin, int end) {
    for (int i = begin; i < end; i++) std::memcpy(out.row(i), x.row(from[i]), 4L * columns);
  };
  parallel(pool, count, rowGrain(columns) * 4, rows);
}

void quantize(Pool& pool, Floats x, int count, int columns, Quantised out) {
  auto rows = [&](int, int from, int to) {
    for (int i = from; i < to; i++) {
      const float* row = x.row(i);
      writeRow(out, i, (columns + kGroup - 1) / kGroup, [&](int k, F& lo, F& hi) {
        if (k + kGroup <= columns) {
          lo = load(row + k);
          hi = load(row + k + 16);
        } else {
          lo = loadPart(row + k, least(columns - k, 16));
          hi = loadPart(row + k + 16, most(columns - k - 16, 0));
        }
      });
    }
  };
  parallel(pool, count, rowGrain(columns), rows);
}

void swiGlu(Pool& pool, Floats gateUp, int count, int columns, Quantised out) {
  const int f = columns / 2;
  auto rows = [&](int, int from, int to) {
    for (int i = from; i < to; i++) {
      const float* gate = gateUp.row(i);
      const float* up = gate + f;
      writeRow(out, i, (f + kGroup - 1) / kGroup, [&](int k, F& lo, F& hi) {
        lo = mul(silu(load(gate + k)), load(up + k));
        hi = mul(silu(load(gate + k + 16)), load(up + k + 16));
      });
    }
  };
  parallel(pool, count, most(1, rowGrain(columns) / 2), rows);
}

// The largest number first, then its first place: two passes without indices in the lanes.
static int argmaxOf(const float* x, int n) {
  const F lowest = splat(-__builtin_inff());
  F top = lowest;
  int k = 0;
  // A NaN is the first operand's business: maxOf then yields the second.
  for (; k + 16 <= n; k += 16) top = maxOf(load(x + k), top);
  float best = max16(top);
  for (; k < n; k++) best = x[k] > best ? x[k] : best;
  for (k = 0; k + 16 <= n; k += 16) {
    const int same = equalBits(load(x + k), splat(best));
    if (same != 0) return k + __builtin_ctz(same);
  }
  for (; k < n; k++) {
    if (x[k] == best) return k;
  }
  return -1;
}

void argmax(Pool& pool, Floats logits, int count, int columns, int32_t* ids) {
  auto rows = [&](int, int from, int to) {
    for (int i = from; i < to; i++) ids[i] = argmaxOf(logits.row(i), columns);
  };
  parallel(pool, count, most(1, rowGrain(columns)), rows);
}

void expAll(const float* x, float* y, long n) {
  for (long i = 0; i < n; i += 16) {
    const int rest = n - i < 16 ? static_cast<int>(n - i) : 16;
    storePart(y + i, expOf(loadPart(x + i, rest)), rest);
  }
}

}  // namespace SB_ISA
}  // namespace shadowbatch
