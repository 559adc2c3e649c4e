// Activations in groups of 32 columns, as the Java class Activations defines them.
#pragma once
#include "numeric.h"

namespace shadowbatch {
namespace SB_ISA {

// A value that many times as large as all others of its group stays a float.
constexpr float kSpike = 2.25f;

// Takes value `at` of group g out of its 32 floats.
SB_INLINE void takeSpike(F& a, F& b, int at, const Quantised& out, long i, long g) {
  alignas(64) float x[32];
  store(x, a);
  store(x + 16, b);
  const long slot = i * out.groupStride + out.spikes[i]++;
  out.spikeColumn[slot] = static_cast<int32_t>(g * kGroup + at);
  out.spikeValue[slot] = x[at];
  a = select(lanesIn(at, at + 1), splat(0.f), a);
  b = select(lanesIn(at - 16, at - 15), splat(0.f), b);
}

// Group g of row i of activations, from 32 floats; groups in rising order.
SB_INLINE void writeGroup(F a, F b, const Quantised& out, long i, long g) {
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
      takeSpike(a, b, at, out, i, g);
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

#if defined(SB_AVX512)

// Every four lanes of the result are what Op makes of all lanes of a, b, c and d.
template <class Op>
SB_INLINE I reduceFour(I a, I b, I c, I d, Op op) {
  const I ab = op(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const I cd = op(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  I x = op(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  x = op(x, _mm512_shuffle_i32x4(x, x, 0x4e));
  return op(x, _mm512_shuffle_i32x4(x, x, 0xb1));
}

// Lane J of every four lanes, in all four.
template <int J>
SB_INLINE F lane(I x) {
  return fromBits(_mm512_shuffle_epi32(x, static_cast<_MM_PERM_ENUM>(0x55 * J)));
}

// Takes the spike of group g + J, if there is one, and puts the largest of the others into `tops`.
template <int J>
SB_INLINE void takeSpikeOf(F (&x)[4][2], I& tops, const Quantised& out, long i, long g) {
  F &a = x[J][0], &b = x[J][1];
  const I sizeA = magnitudeBits(a), sizeB = magnitudeBits(b);
  const F top = lane<J>(tops), spike = splat(kSpike);
  // A spike is the only one that reaches the largest when multiplied.
  const unsigned large =
      static_cast<unsigned>(
          _mm512_cmp_ps_mask(mul(fromBits(sizeA), spike), top, _CMP_GE_OQ)) |
      static_cast<unsigned>(_mm512_cmp_ps_mask(mul(fromBits(sizeB), spike), top, _CMP_GE_OQ))
          << 16;
  if (large == 0 || (large & (large - 1)) != 0) return;
  const int at = __builtin_ctz(large);
  const F size = fromBits(at < 16 ? sizeA : sizeB);
  // Not where even the largest is below the least magnitude.
  if ((equalBits(size, top) >> at % 16 & 1) == 0) return;
  takeSpike(a, b, at, out, i, g + J);
  const float others = largestOf(maxI(magnitudeBits(a), magnitudeBits(b)));
  tops = _mm512_mask_mov_epi32(tops, static_cast<M>(0x1111 << J), bitsOf(splat(others)));
}

template <int J>
SB_INLINE I roundGroup(const F (&x)[4][2], I inverses, int8_t* q) {
  const F inverse = lane<J>(inverses);
  const I a = toInt(mul(x[J][0], inverse)), b = toInt(mul(x[J][1], inverse));
  storeBytes(q + kGroup * J, a);
  storeBytes(q + kGroup * J + 16, b);
  return addI(a, b);
}

SB_INLINE I magnitudes(const F (&x)[2]) { return maxI(magnitudeBits(x[0]), magnitudeBits(x[1])); }

// writeGroup for groups [g, g + 4): their reductions go together.
SB_INLINE void writeFour(F (&x)[4][2], const Quantised& out, long i, long g) {
  I tops = reduceFour(magnitudes(x[0]), magnitudes(x[1]), magnitudes(x[2]), magnitudes(x[3]),
                      [](I a, I b) { return maxI(a, b); });
  tops = maxI(tops, bitsOf(splat(kLeastMagnitude)));
  takeSpikeOf<0>(x, tops, out, i, g);
  takeSpikeOf<1>(x, tops, out, i, g);
  takeSpikeOf<2>(x, tops, out, i, g);
  takeSpikeOf<3>(x, tops, out, i, g);
  const __m128 four = _mm512_castps512_ps128(fromBits(tops));
  const __m128 scale = _mm_div_ps(four, _mm_set1_ps(127.f));
  const I inverses = bitsOf(_mm512_broadcast_f32x4(_mm_div_ps(_mm_set1_ps(127.f), four)));
  int8_t* q = out.q + i * out.qStride + g * kGroup;
  const I sums =
      reduceFour(roundGroup<0>(x, inverses, q), roundGroup<1>(x, inverses, q),
                 roundGroup<2>(x, inverses, q), roundGroup<3>(x, inverses, q),
                 [](I a, I b) { return addI(a, b); });
  _mm_storeu_ps(out.scale + i * out.groupStride + g, scale);
  _mm_storeu_ps(out.sum + i * out.groupStride + g,
                _mm_mul_ps(scale, _mm_cvtepi32_ps(_mm512_castsi512_si128(sums))));
}

#endif

// All groups of row i; make(k, lo, hi) gives columns [k, k + 32).
template <class Make>
SB_INLINE void writeRow(const Quantised& out, long i, int groups, const Make& make) {
  out.spikes[i] = 0;
  int g = 0;
#if defined(SB_AVX512)
  for (; g + 4 <= groups; g += 4) {
    F x[4][2];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) make((g + j) * kGroup, x[j][0], x[j][1]);
    writeFour(x, out, i, g);
  }
#endif
  for (; g < groups; g++) {
    F lo, hi;
    make(g * kGroup, lo, hi);
    writeGroup(lo, hi, out, i, g);
  }
}

}  // namespace SB_ISA
}  // namespace shadowbatch
