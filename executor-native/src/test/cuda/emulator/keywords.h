// The words of CUDA C++ that kernels use, as plain C++: qualifiers, vector types, intrinsics.
#pragma once
#include <immintrin.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
// All threads of a block run on one thread of the system.
#define __shared__ static thread_local
#define __restrict__ __restrict
#define __grid_constant__
#define __align__(n) alignas(n)
#define __launch_bounds__(...)

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define SBEMU_VECTOR(type, name)                                                     \
  struct alignas(2 * sizeof(type)) name##2 {                                         \
    type x, y;                                                                       \
  };                                                                                 \
  struct alignas(sizeof(type) == 8 ? 16 : 4 * sizeof(type)) name##4 {                \
    type x, y, z, w;                                                                 \
  };                                                                                 \
  static inline name##2 make_##name##2(type x, type y) { return {x, y}; }            \
  static inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
SBEMU_VECTOR(float, float)
SBEMU_VECTOR(int, int)
SBEMU_VECTOR(unsigned, uint)
SBEMU_VECTOR(short, short)
SBEMU_VECTOR(unsigned short, ushort)
SBEMU_VECTOR(signed char, char)
SBEMU_VECTOR(unsigned char, uchar)
#undef SBEMU_VECTOR

namespace sbemu {
template <class To, class From>
static inline To bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "same size");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
}  // namespace sbemu

static inline unsigned __float_as_uint(float f) { return sbemu::bits<unsigned>(f); }
static inline int __float_as_int(float f) { return sbemu::bits<int>(f); }
static inline float __int_as_float(int v) { return sbemu::bits<float>(v); }
static inline float __uint_as_float(unsigned v) { return sbemu::bits<float>(v); }

#define __expf(x) expf(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
// Outside of all contraction, as on the device.
__attribute__((noinline)) inline float __fmul_rn(float a, float b) { return a * b; }
__attribute__((noinline)) inline float __fadd_rn(float a, float b) { return a + b; }
static inline int __float2int_rn(float x) { return (int)lrintf(x); }
static inline int __float2int_rd(float x) { return (int)floorf(x); }
static inline float __int2float_rn(int x) { return (float)x; }
static inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }

static inline int __popc(unsigned v) { return __builtin_popcount(v); }
static inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
static inline int __ffs(int v) { return __builtin_ffs(v); }
static inline int __clz(int v) { return v ? __builtin_clz((unsigned)v) : 32; }
static inline int __clzll(long long v) { return v ? __builtin_clzll((unsigned long long)v) : 64; }
static inline unsigned __brev(unsigned v) {
  unsigned r = 0;
  for (int i = 0; i < 32; i++) r |= (v >> i & 1) << (31 - i);
  return r;
}
// Four products of signed bytes and their sum.
static inline int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 4; i++) c += (int)(int8_t)(a >> 8 * i) * (int)(int8_t)(b >> 8 * i);
  return c;
}

template <class T>
static inline T __ldg(const T* p) {
  return *p;
}
template <class T>
static inline T __ldcs(const T* p) {
  return *p;
}
template <class T>
static inline T __ldcg(const T* p) {
  return *p;
}
template <class T>
static inline void __stcs(T* p, T v) {
  *p = v;
}
template <class T>
static inline T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
static inline T max(T a, T b) {
  return a < b ? b : a;
}

// Atomics order no memory, as on the device.
template <class V>
static inline V atomicExch(V* p, V v) {
  V old;
  __atomic_exchange(p, &v, &old, __ATOMIC_RELAXED);
  return old;
}
template <class V>
static inline V atomicCAS(V* p, V expected, V v) {
  __atomic_compare_exchange(p, &expected, &v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
namespace sbemu {
template <class V, class F>
static inline V update(V* p, F next) {
  V old;
  __atomic_load(p, &old, __ATOMIC_RELAXED);
  for (;;) {
    V v = next(old);
    if (__atomic_compare_exchange(p, &old, &v, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      return old;
    }
  }
}
}  // namespace sbemu
template <class V>
static inline V atomicAdd(V* p, V v) {
  return sbemu::update(p, [v](V old) { return (V)(old + v); });
}
template <class V>
static inline V atomicMax(V* p, V v) {
  return sbemu::update(p, [v](V old) { return max(old, v); });
}
template <class V>
static inline V atomicMin(V* p, V v) {
  return sbemu::update(p, [v](V old) { return min(old, v); });
}
template <class V>
static inline V atomicOr(V* p, V v) {
  return sbemu::update(p, [v](V old) { return (V)(old | v); });
}
static inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
