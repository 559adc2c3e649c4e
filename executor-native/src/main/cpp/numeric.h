// The functions of the numeric form on 16 lanes: operation for operation those of the Java class
// ReferenceMath. Compiled with -ffp-contract=off, so that only `fma` fuses.
#pragma once
#include "args.h"
#include "vec.h"

namespace shadowbatch {
namespace SB_ISA {

// exp(x) for x <= 87.
SB_INLINE F expBelow(F x) {
  x = maxOf(splat(-87.f), x);
  const F n = nearest(mul(x, splat(1.44269504f)));
  F r = fma(n, splat(-0.693147182f), x);
  r = fma(n, splat(1.90465421e-9f), r);
  F p = splat(8.3125206e-3f);
  p = fma(p, r, splat(4.1890156e-2f));
  p = fma(p, r, splat(0.16667114f));
  p = fma(p, r, splat(0.49999231f));
  p = fma(p, r, splat(1.f));
  p = fma(p, r, splat(1.f));
  return scaleByPower(p, n);
}

SB_INLINE F expOf(F x) { return expBelow(minOf(splat(87.f), x)); }

SB_INLINE F silu(F x) { return div(x, add(splat(1.f), expOf(sub(splat(0.f), x)))); }

SB_INLINE I magnitudeBits(F x) { return andI(bitsOf(x), splatI(0x7fffffff)); }

constexpr float kLeastMagnitude = 1e-30f;

// Largest magnitude, at least the least. Magnitudes compare as integers, which lets a NaN win as it
// does in Java's Math.max.
SB_INLINE float largestOf(I magnitudes) {
  int bits;
  std::memcpy(&bits, &kLeastMagnitude, 4);
  bits = most(maxI16(magnitudes), bits);
  float top;
  std::memcpy(&top, &bits, 4);
  return top;
}

SB_INLINE float largest(const float* x, int n) {
  I top = splatI(0);
  for (int i = 0; i < n; i += 16) top = maxI(top, magnitudeBits(load(x + i)));
  return largestOf(top);
}

SB_INLINE void copyRow(const float* from, int n, float* to) {
  for (int i = 0; i < n; i += 16) store(to + i, load(from + i));
}

SB_INLINE float sumOfSquares(const float* x, int n) {
  F lanes = splat(0.f);
  for (int i = 0; i < n; i += 16) {
    const F v = load(x + i);
    lanes = fma(v, v, lanes);
  }
  return sum16(lanes);
}

SB_INLINE float inverseRms(float sum, int n, float eps) {
  return 1.f / __builtin_sqrtf(sum / static_cast<float>(n) + eps);
}

// Turns pairs (i, i + half) of a head.
SB_INLINE void rope(float* x, const float* cos, const float* sin, int half) {
  for (int i = 0; i < half; i += 16) {
    const F a = load(x + i), b = load(x + half + i);
    const F c = load(cos + i), s = load(sin + i);
    store(x + i, fms(a, c, mul(b, s)));
    store(x + half + i, fma(b, c, mul(a, s)));
  }
}

// Butterflies at distance H within the lanes: the lower of a pair gets the sum, the upper the
// difference.
template <int H>
SB_INLINE F butterfly(F x) {
  alignas(64) static const float signs[4][16] = {
      {1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1},
      {1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1},
      {1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1},
      {1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1}};
  constexpr int row = H == 1 ? 0 : H == 2 ? 1 : H == 4 ? 2 : 3;
  return fma(x, load(signs[row]), swapped<H>(x));
}

// Orthonormal Walsh-Hadamard transform of 16 * Count numbers.
template <int Count>
SB_INLINE void rotateRun(float* x, float norm) {
  F v[Count];
#pragma GCC unroll 4
  for (int j = 0; j < Count; j++) {
    v[j] = butterfly<8>(butterfly<4>(butterfly<2>(butterfly<1>(load(x + 16 * j)))));
  }
#pragma GCC unroll 2
  for (int h = 1; h < Count; h *= 2) {
#pragma GCC unroll 4
    for (int j = 0; j < Count; j++) {
      if (j & h) continue;
      const F a = v[j], b = v[j + h];
      v[j] = add(a, b);
      v[j + h] = sub(a, b);
    }
  }
#pragma GCC unroll 4
  for (int j = 0; j < Count; j++) store(x + 16 * j, mul(v[j], splat(norm)));
}

// The same of each run of `width` (16, 32 or 64) of x[0, n).
SB_INLINE void rotate(float* x, int n, int width) {
  for (int i = 0; i < n; i += width) {
    if (width == 64) {
      rotateRun<4>(x + i, 0.125f);
    } else if (width == 32) {
      rotateRun<2>(x + i, 0.17677669529663687f);
    } else {
      rotateRun<1>(x + i, 0.25f);
    }
  }
}

}  // namespace SB_ISA
}  // namespace shadowbatch
