// What kernels may use beyond plain CUDA C++. Each wrapper is inline PTX under nvcc and NVRTC, and a
// function over the emulator's threads under g++ (src/test/cuda/emulator.h). No header of CUDA is
// needed: a kernel is one source for three compilers.
#pragma once

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)

#define SB_EXPORT(kernel)
#define SB_SHARED(name) extern __shared__ __align__(128) unsigned char name[]

#if defined(__CUDACC_RTC__)
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef signed char int8_t;
typedef int int32_t;
typedef long long int64_t;
#else
#include <cstdint>
#endif

namespace sb {

constexpr uint32_t ALL = 0xffffffffu;

struct alignas(2) bf16 {
  uint16_t bits;
};
struct alignas(2) half {
  uint16_t bits;
};

__device__ __forceinline__ float toFloat(bf16 x) { return __uint_as_float((uint32_t)x.bits << 16); }

__device__ __forceinline__ float toFloat(half x) {
  float f;
  asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(x.bits));
  return f;
}

__device__ __forceinline__ bf16 toBf16(float x) {
  bf16 r;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r.bits) : "f"(x));
  return r;
}

__device__ __forceinline__ half toHalf(float x) {
  half r;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r.bits) : "f"(x));
  return r;
}

// Two numbers in a register, the first in the low bits.
__device__ __forceinline__ uint32_t packBf16(float low, float high) {
  uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}

__device__ __forceinline__ uint32_t packHalf(float low, float high) {
  uint32_t r;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}

__device__ __forceinline__ uint32_t sharedAddress(const void* p) {
  return (uint32_t)__cvta_generic_to_shared(p);
}

// D += A B for M x N neighbouring tiles: A 16x16 row by row, B 16x8 column by column, D 16x8 floats,
// in the fragments of mma.m16n8k16 (PTX ISA, "Matrix Fragments for mma.m16n8k16").
template <int M, int N>
__device__ __forceinline__ void mmaBf16(
    float (&d)[M][N][4], const uint32_t (&a)[M][4], const uint32_t (&b)[N][2]) {
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int n = 0; n < N; n++)
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
          "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
          : "+f"(d[m][n][0]), "+f"(d[m][n][1]), "+f"(d[m][n][2]), "+f"(d[m][n][3])
          : "r"(a[m][0]), "r"(a[m][1]), "r"(a[m][2]), "r"(a[m][3]), "r"(b[n][0]), "r"(b[n][1]));
}

template <int M, int N>
__device__ __forceinline__ void mmaHalf(
    float (&d)[M][N][4], const uint32_t (&a)[M][4], const uint32_t (&b)[N][2]) {
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int n = 0; n < N; n++)
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
          "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
          : "+f"(d[m][n][0]), "+f"(d[m][n][1]), "+f"(d[m][n][2]), "+f"(d[m][n][3])
          : "r"(a[m][0]), "r"(a[m][1]), "r"(a[m][2]), "r"(a[m][3]), "r"(b[n][0]), "r"(b[n][1]));
}

// N times ldmatrix.x4 of 8x8 matrices of 16-bit numbers in shared memory: lane l names row l % 8 of
// matrix l / 8; the i-th load reads at row + i * stride bytes and fills r[4 i .. 4 i + 3].
template <int N>
__device__ __forceinline__ void loadMatrices(uint32_t* r, const void* row, int stride) {
#pragma unroll
  for (int i = 0; i < N; i++)
    asm volatile(
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];"
        : "=r"(r[4 * i]), "=r"(r[4 * i + 1]), "=r"(r[4 * i + 2]), "=r"(r[4 * i + 3])
        : "r"(sharedAddress(row) + i * stride)
        : "memory");
}

// The same, each matrix transposed.
template <int N>
__device__ __forceinline__ void loadTransposed(uint32_t* r, const void* row, int stride) {
#pragma unroll
  for (int i = 0; i < N; i++)
    asm volatile(
        "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3},[%4];"
        : "=r"(r[4 * i]), "=r"(r[4 * i + 1]), "=r"(r[4 * i + 2]), "=r"(r[4 * i + 3])
        : "r"(sharedAddress(row) + i * stride)
        : "memory");
}

// Asynchronous copies of 16 bytes from global to shared memory, both aligned to 16; zeros where not
// ok (then the source is not read, but must be a valid address).
__device__ __forceinline__ void copy16(void* shared, const void* global, bool ok) {
  int bytes = ok ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0],[%1],16,%2;"
               :: "r"(sharedAddress(shared)), "l"(global), "r"(bytes)
               : "memory");
}

// The same of 8 bytes.
__device__ __forceinline__ void copy8(void* shared, const void* global, bool ok) {
  int bytes = ok ? 8 : 0;
  asm volatile("cp.async.ca.shared.global [%0],[%1],8,%2;"
               :: "r"(sharedAddress(shared)), "l"(global), "r"(bytes)
               : "memory");
}

__device__ __forceinline__ void copyCommit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most KEEP of this thread's groups are on their way.
template <int KEEP>
__device__ __forceinline__ void copyWait() {
  asm volatile("cp.async.wait_group %0;" :: "n"(KEEP) : "memory");
}

// Sum and largest of a warp, in all lanes: distance 16, 8, 4, 2, 1.
__device__ __forceinline__ float warpSum(float x) {
#pragma unroll
  for (int d = 16; d; d /= 2) x += __shfl_xor_sync(ALL, x, d);
  return x;
}

__device__ __forceinline__ float warpMax(float x) {
#pragma unroll
  for (int d = 16; d; d /= 2) x = fmaxf(x, __shfl_xor_sync(ALL, x, d));
  return x;
}

// Sum and largest of four neighbouring lanes (a row of an mma fragment).
__device__ __forceinline__ float quadSum(float x) {
  x += __shfl_xor_sync(ALL, x, 1);
  return x + __shfl_xor_sync(ALL, x, 2);
}

__device__ __forceinline__ float quadMax(float x) {
  x = fmaxf(x, __shfl_xor_sync(ALL, x, 1));
  return fmaxf(x, __shfl_xor_sync(ALL, x, 2));
}

}  // namespace sb

#else
#include "emulator.h"
#endif

// NVRTC has no header with INFINITY.
#define SB_INF __int_as_float(0x7f800000)

namespace sb {
constexpr float LOG2E = 1.4426950408889634f;
}  // namespace sb
