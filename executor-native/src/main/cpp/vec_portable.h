// 16 lanes as an array, for any processor. Included by vec.h only.
#pragma once
#include <cmath>

namespace shadowbatch {
namespace SB_ISA {

struct F {
  float v[16];
};
struct I {
  int32_t v[16];
};
using M = I;

#define SB_EACH(expression)      \
  for (int i = 0; i < 16; i++) { \
    r.v[i] = (expression);       \
  }                              \
  return r

SB_INLINE F load(const float* p) {
  F r;
  std::memcpy(r.v, p, sizeof r.v);
  return r;
}
SB_INLINE void store(float* p, F x) { std::memcpy(p, x.v, sizeof x.v); }
SB_INLINE F splat(float x) {
  F r;
  SB_EACH(x);
}
SB_INLINE F add(F a, F b) {
  F r;
  SB_EACH(a.v[i] + b.v[i]);
}
SB_INLINE F sub(F a, F b) {
  F r;
  SB_EACH(a.v[i] - b.v[i]);
}
SB_INLINE F mul(F a, F b) {
  F r;
  SB_EACH(a.v[i] * b.v[i]);
}
SB_INLINE F div(F a, F b) {
  F r;
  SB_EACH(a.v[i] / b.v[i]);
}
SB_INLINE F fma(F a, F b, F c) {
  F r;
  SB_EACH(__builtin_fmaf(a.v[i], b.v[i], c.v[i]));
}
SB_INLINE F fms(F a, F b, F c) {
  F r;
  SB_EACH(__builtin_fmaf(a.v[i], b.v[i], -c.v[i]));
}
// a > b ? a : b, so b if one of them is not a number.
SB_INLINE F maxOf(F a, F b) {
  F r;
  SB_EACH(a.v[i] > b.v[i] ? a.v[i] : b.v[i]);
}
SB_INLINE F minOf(F a, F b) {
  F r;
  SB_EACH(a.v[i] < b.v[i] ? a.v[i] : b.v[i]);
}
SB_INLINE F nearest(F x) {
  F r;
  SB_EACH(__builtin_rintf(x.v[i]));
}

SB_INLINE I loadI(const int32_t* p) {
  I r;
  std::memcpy(r.v, p, sizeof r.v);
  return r;
}
SB_INLINE void storeI(int32_t* p, I x) { std::memcpy(p, x.v, sizeof x.v); }
SB_INLINE I splatI(int x) {
  I r;
  SB_EACH(x);
}
SB_INLINE I addI(I a, I b) {
  I r;
  SB_EACH(a.v[i] + b.v[i]);
}
SB_INLINE I andI(I a, I b) {
  I r;
  SB_EACH(a.v[i] & b.v[i]);
}
SB_INLINE I orI(I a, I b) {
  I r;
  SB_EACH(a.v[i] | b.v[i]);
}
SB_INLINE I maxI(I a, I b) {
  I r;
  SB_EACH(a.v[i] > b.v[i] ? a.v[i] : b.v[i]);
}
SB_INLINE I shiftRight(I x, int n) {
  I r;
  SB_EACH(static_cast<int32_t>(static_cast<uint32_t>(x.v[i]) >> n));
}
SB_INLINE I shiftLeft(I x, int n) {
  I r;
  SB_EACH(static_cast<int32_t>(static_cast<uint32_t>(x.v[i]) << n));
}
SB_INLINE I bitsOf(F x) {
  I r;
  std::memcpy(r.v, x.v, sizeof r.v);
  return r;
}
SB_INLINE F fromBits(I x) {
  F r;
  std::memcpy(r.v, x.v, sizeof r.v);
  return r;
}
SB_INLINE F toFloat(I x) {
  F r;
  SB_EACH(static_cast<float>(x.v[i]));
}
// Nearest integer, ties to even; 0 where x is not a number.
SB_INLINE I toInt(F x) {
  I r;
  SB_EACH(x.v[i] == x.v[i] ? static_cast<int32_t>(__builtin_lrintf(x.v[i])) : 0);
}

// x * 2^n for whole n in [-126, 127].
SB_INLINE F scaleByPower(F x, F n) {
  return mul(x, fromBits(shiftLeft(addI(toInt(n), splatI(127)), 23)));
}

SB_INLINE M lanesIn(int from, int to) {
  M r;
  SB_EACH(i >= from && i < to ? -1 : 0);
}
SB_INLINE F select(M m, F yes, F no) {
  F r;
  SB_EACH(m.v[i] ? yes.v[i] : no.v[i]);
}
SB_INLINE I selectI(M m, I yes, I no) {
  I r;
  SB_EACH(m.v[i] ? yes.v[i] : no.v[i]);
}
// Bit i: a[i] == b[i].
SB_INLINE int equalBits(F a, F b) {
  int bits = 0;
  for (int i = 0; i < 16; i++) bits |= (a.v[i] == b.v[i]) << i;
  return bits;
}

// Lane i of the result is lane i ^ H of x.
template <int H>
SB_INLINE F swapped(F x) {
  F r;
  SB_EACH(x.v[i ^ H]);
}

// Low bytes of the lanes.
SB_INLINE void storeBytes(void* p, I x) {
  auto* b = static_cast<uint8_t*>(p);
  for (int i = 0; i < 16; i++) b[i] = static_cast<uint8_t>(x.v[i]);
}
SB_INLINE I loadBytes(const void* p) {
  const auto* b = static_cast<const uint8_t*>(p);
  I r;
  SB_EACH(b[i]);
}

SB_INLINE uint32_t bitsOfFloat(float x) {
  uint32_t b;
  std::memcpy(&b, &x, 4);
  return b;
}
SB_INLINE float floatOfBits(uint32_t b) {
  float x;
  std::memcpy(&x, &b, 4);
  return x;
}

// The same case analysis as ReferenceMath.toHalf.
SB_INLINE uint16_t halfOf(float x) {
  const uint32_t bits = bitsOfFloat(x);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x7f800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    return sign | (bitsOfFloat(floatOfBits(magnitude) + 0.5f) - 0x3f000000);
  }
  return sign | (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;
}
SB_INLINE float floatOfHalf(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t exponent = half >> 10 & 0x1f;
  const uint32_t fraction = half & 0x3ff;
  if (exponent == 0) {
    const float tiny = fraction * 0x1p-24f;
    return sign == 0 ? tiny : -tiny;
  }
  return floatOfBits(sign | (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23) |
                     fraction << 13);
}
SB_INLINE F loadHalf(const uint16_t* p) {
  F r;
  SB_EACH(floatOfHalf(p[i]));
}
// Eight or four halves from each place, in order.
SB_INLINE F loadHalf2(const uint16_t* p, const uint16_t* q) {
  F r;
  SB_EACH(floatOfHalf(i < 8 ? p[i] : q[i - 8]));
}
SB_INLINE F loadHalf4(const uint16_t* p, const uint16_t* q, const uint16_t* r4, const uint16_t* s) {
  const uint16_t* const from[4] = {p, q, r4, s};
  F r;
  SB_EACH(floatOfHalf(from[i / 4][i % 4]));
}
SB_INLINE void storeHalf(uint16_t* p, F x) {
  for (int i = 0; i < 16; i++) p[i] = halfOf(x.v[i]);
}

// Distances 8, 4, 2, 1.
SB_INLINE float sum16(F x) {
  for (int d = 8; d > 0; d /= 2) {
    for (int i = 0; i < d; i++) x.v[i] += x.v[i + d];
  }
  return x.v[0];
}
SB_INLINE float max16(F x) {
  for (int i = 1; i < 16; i++) x.v[0] = x.v[i] > x.v[0] ? x.v[i] : x.v[0];
  return x.v[0];
}
SB_INLINE int sumI16(I x) {
  for (int i = 1; i < 16; i++) x.v[0] += x.v[i];
  return x.v[0];
}
SB_INLINE int maxI16(I x) {
  for (int i = 1; i < 16; i++) x.v[0] = x.v[i] > x.v[0] ? x.v[i] : x.v[0];
  return x.v[0];
}

#undef SB_EACH

}  // namespace SB_ISA
}  // namespace shadowbatch
