// Integer dot products of AVX2. vpmaddubsw saturates on full bytes, so bytes are widened to 16 bits
// and multiplied by vpmaddwd: even and odd bytes apart, each a shift away.
#pragma once
#include <immintrin.h>

#include "vec.h"

namespace shadowbatch {
namespace SB_ISA {

enum class Bytes { kUnsigned, kSigned };

template <Bytes B>
SB_INLINE __m256i evenBytes(__m256i x) {
  if (B == Bytes::kUnsigned) return _mm256_and_si256(x, _mm256_set1_epi16(255));
  return _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8);
}
template <Bytes B>
SB_INLINE __m256i oddBytes(__m256i x) {
  return B == Bytes::kUnsigned ? _mm256_srli_epi16(x, 8) : _mm256_srai_epi16(x, 8);
}

SB_INLINE __m256i loadInts(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
SB_INLINE __m256i splatWord(const void* p) {
  int32_t word;
  std::memcpy(&word, p, 4);
  return _mm256_set1_epi32(word);
}

// Four consecutive values x0..x3 of a row as 16-bit pairs (x0, x2), (x1, x3), of 16 values.
SB_INLINE void storePairs(int16_t* p, I x) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xd8);
  const __m256i order = _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15, 0, 1,
                                         4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_shuffle_epi8(words, order));
}

// acc[r][c] += the quads of 8 * C columns times the pairs of R rows.
template <int R, int C, Bytes B>
SB_INLINE void dotQuads(const uint8_t* w, long quadStride, int quads, const int16_t* x,
                        long rowStride, __m256i (&acc)[R][C]) {
  for (int quad = 0; quad < quads; quad++, w += quadStride, x += 4) {
    __m256i even[R], odd[R];
    for (int r = 0; r < R; r++) {
      even[r] = splatWord(x + r * rowStride);
      odd[r] = splatWord(x + r * rowStride + 2);
    }
    for (int c = 0; c < C; c++) {
      const __m256i v = loadInts(w + 32 * c);
      const __m256i lo = evenBytes<B>(v), hi = oddBytes<B>(v);
      for (int r = 0; r < R; r++) {
        const __m256i sum =
            _mm256_add_epi32(_mm256_madd_epi16(lo, even[r]), _mm256_madd_epi16(hi, odd[r]));
        acc[r][c] = _mm256_add_epi32(acc[r][c], sum);
      }
    }
  }
}

}  // namespace SB_ISA
}  // namespace shadowbatch
