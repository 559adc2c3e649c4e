// bfloat16 and half floats of device.h: rounded to the nearest, ties to even.
#pragma once
#include "keywords.h"

namespace sb {

constexpr uint32_t ALL = 0xffffffffu;

struct alignas(2) bf16 {
  uint16_t bits;
};
struct alignas(2) half {
  uint16_t bits;
};

static inline float toFloat(bf16 x) { return __uint_as_float((uint32_t)x.bits << 16); }
static inline float toFloat(half x) { return _cvtsh_ss(x.bits); }

// The device has one result for all that is no number.
static inline bf16 toBf16(float x) {
  uint32_t v = __float_as_uint(x);
  if ((v & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
  return {(uint16_t)((v + 0x7fffu + (v >> 16 & 1)) >> 16)};
}

static inline half toHalf(float x) {
  if (x != x) return {0x7fff};
  return {(uint16_t)_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT)};
}

static inline uint32_t packBf16(float low, float high) {
  return (uint32_t)toBf16(low).bits | (uint32_t)toBf16(high).bits << 16;
}

static inline uint32_t packHalf(float low, float high) {
  return (uint32_t)toHalf(low).bits | (uint32_t)toHalf(high).bits << 16;
}

// Two numbers of a register as floats.
template <class X>
inline __attribute__((always_inline)) void unpack(uint32_t v, float* two) {
  if constexpr (std::is_same_v<X, bf16>) {
    uint32_t bits[2] = {v << 16, v & 0xffff0000u};
    std::memcpy(two, bits, 8);
  } else {
    _mm_storel_pi((__m64*)two, _mm_cvtph_ps(_mm_cvtsi32_si128((int)v)));
  }
}

}  // namespace sb
