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

// Largest magnitude, at least 1e-30. Magnitudes compare as integers, which lets a NaN win as it
// does in Java's Math.max.
SB_INLINE float largestOf(I magnitudes) {
  const int floor = 0x0da24260;  // 1e-30f
  const int bits = most(maxI16(magnitudes), floor);
  float top;
  std::memcpy(&top, &bits, 4);
  return top;
}

SB_INLINE float largest(const float* x, int n) {
  I top = splatI(0);
  for (int i = 0; i < n; i += 16) top = maxI(top, magnitudeBits(load(x + i)));
  return largestOf(top);
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

// A value that many times as large as all others of its group stays a float.
constexpr float kSpike = 2.25f;

// Group g of row i of activations, from 32 floats; groups in rising order.
SB_INLINE void writeGroup(F a, F b, const Quantised& out, long i, long g) {
  if (g == 0) out.spikes[i] = 0;
  const I sizeA = magnitudeBits(a), sizeB = magnitudeBits(b);
  float top = largestOf(maxI(sizeA, sizeB));
  const unsigned equal =
      static_cast<unsigned>(equalBits(fromBits(sizeA), splat(top))) |
      static_cast<unsigned>(equalBits(fromBits(sizeB), splat(top))) << 16;
  // Not a single one of that size: no spike. (None: all are below the least magnitude.)
  if (equal != 0 && (equal & (equal - 1)) == 0) {
    const int at = __builtin_ctz(equal);
    const M inA = lanesIn(at, at + 1), inB = lanesIn(at - 16, at - 15);
    const I none = splatI(0);
    const float others = largestOf(maxI(selectI(inA, none, sizeA), selectI(inB, none, sizeB)));
    if (top > kSpike * others) {
      alignas(64) float x[32];
      store(x, a);
      store(x + 16, b);
      const long slot = i * out.groupStride + out.spikes[i]++;
      out.spikeColumn[slot] = static_cast<int32_t>(g * kGroup + at);
      out.spikeValue[slot] = x[at];
      a = select(inA, splat(0.f), a);
      b = select(inB, splat(0.f), b);
      top = others;
    }
  }
  const float scale = top / 127.f;
  const F inverse = splat(127.f / top);
  const I qa = toInt(mul(a, inverse));
  const I qb = toInt(mul(b, inverse));
  int8_t* q = out.q + i * out.qStride + g * kGroup;
  storeBytes(q, qa);
  storeBytes(q + 16, qb);
  out.scale[i * out.groupStride + g] = scale;
  out.sum[i * out.groupStride + g] = scale * static_cast<float>(sumI16(addI(qa, qb)));
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

// Orthonormal Walsh-Hadamard transform of each run of `width` (16, 32 or 64) of x[0, n).
SB_INLINE void rotate(float* x, int n, int width) {
  const F norm = splat(width == 64 ? 0.125f : width == 32 ? 0.17677669529663687f : 0.25f);
  for (int base = 0; base < n; base += width) {
    F v[4];
    const int count = width / 16;
    for (int j = 0; j < count; j++) {
      v[j] = butterfly<8>(butterfly<4>(butterfly<2>(butterfly<1>(load(x + base + 16 * j)))));
    }
    for (int h = 1; h < count; h *= 2) {
      for (int j = 0; j < count; j++) {
        if (j & h) continue;
        const F a = v[j], b = v[j + h];
        v[j] = add(a, b);
        v[j + h] = sub(a, b);
      }
    }
    for (int j = 0; j < count; j++) store(x + base + 16 * j, mul(v[j], norm));
  }
}

}  // namespace SB_ISA
}  // namespace shadowbatch
