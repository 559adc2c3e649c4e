// What the kernels of attention share with their tests: parameters and tables. Java writes the same
// structures (CudaAttention, AttentionWork).
#pragma once
#include "device.h"

namespace sb::attention {

constexpr int PAGE_TOKENS = 64;
// Tokens of a split: rows of few tokens are computed in runs of so many keys, merged afterwards.
constexpr int SPLIT_TOKENS = 512;
// Value of AttendRow.part of a row that needs no merging.
constexpr int DIRECT = (int)0x80000000;
// Bytes of shared memory of sb_attend_<d>: two stages of keys and values, and the queries where
// they stay.
constexpr int attendShared(int d) {
  return d > 128 ? 2 * (2 * (d * 24 + 16 * (d + 8)) + 64 * (d + 8))
                 : 2 * (2 * (d * 72 + 64 * (d + 8)));
}

constexpr float LN2 = 0.6931471805599453f;

// Addresses of the key half and the value half of a page.
struct Page {
  uint64_t keys, values;
};

// A run of work for each KV head: packed rows [packed, packed + rows) against tokens [first, end).
// Packed row P is token row P / group of the table of rows and query head kvHead * group + P %
// group.
struct AttendItem {
  int packed;
  int rows;   // at most 64
  int first;  // a multiple of 64
  int end;
  int pages;  // token t lies in page pages + t / 64 of the table of pages
  int split;  // added to AttendRow.part
  int picks;  // row of the picks whose chunks are the tokens; -1: tokens are positions
  int unused;
};
static_assert(sizeof(AttendItem) == 32);

struct AttendRow {
  int row;
  int position;
  int part;  // partial result of split 0, or DIRECT
  int unused;
};
static_assert(sizeof(AttendRow) == 16);

struct MergeRow {
  int row;
  int part;
  int parts;
  int unused;
};
static_assert(sizeof(MergeRow) == 16);

struct AttendParams {
  const float* q;
  float* out;
  float* state;  // or null
  const float* cos;
  const float* sin;
  const Page* pages;
  const AttendItem* items;
  const AttendRow* rows;
  const int* picks;  // or null
  float* partial;    // [parts, queryHeads, D]
  float* partialState;  // [parts, queryHeads, 2]: largest score in base 2, sum
  int64_t layerOffset;
  int qStride, outStride, stateStride, cosStride, sinStride, picksStride;
  int rotaryHalf, group, kvHeads, blockBytes, window, chunkTokens;
  float scale;
  int unused;
};
static_assert(sizeof(AttendParams) == 152);

struct MergeParams {
  const float* partial;
  const float* partialState;
  const MergeRow* rows;
  float* out;
  float* state;  // or null
  int outStride, stateStride, queryHeads, headDim;
};
static_assert(sizeof(MergeParams) == 56);

struct AppendRow {
  Page page;
  int position;
  int unused;
};
static_assert(sizeof(AppendRow) == 24);

struct AppendParams {
  const float* k;
  const float* v;
  const float* cos;
  const float* sin;
  const AppendRow* rows;
  int64_t layerOffset;
  int kStride, vStride, cosStride, sinStride, rotaryHalf, headDim, blockBytes, count;
};
static_assert(sizeof(AppendParams) == 80);

struct MassSlice {
  int firstRow;
  int rows;
  int pages;
  int unused;
};
static_assert(sizeof(MassSlice) == 16);

struct MassParams {
  const float* q;
  const float* state;
  float* mass;
  const float* cos;
  const float* sin;
  const Page* pages;
  const MassSlice* slices;
  const int* positions;
  int64_t layerOffset;
  int qStride, stateStride, massStride, cosStride, sinStride;
  int rotaryHalf, group, kvHeads, headDim, blockBytes, window;
  float scale;
};
static_assert(sizeof(MassParams) == 120);

// Element i of a head after the rotary turn: dimensions i and i + half turn together.
__device__ __forceinline__ float roped(
    const float* x, int i, const float* cos, const float* sin, int half) {
  float a = __ldg(x + i);
  if (i >= 2 * half) return a;
  bool first = i < half;
  int pair = first ? i : i - half;
  float b = __ldg(x + (first ? i + half : pair)) * __ldg(sin + pair);
  return fmaf(a, __ldg(cos + pair), first ? -b : b);
}

// Never infinite: a score of infinity would turn weights of zero into NaN.
__device__ __forceinline__ half toFiniteHalf(float x) {
  return toHalf(x > 65504.f ? 65504.f : x < -65504.f ? -65504.f : x);
}

}  // namespace sb::attention
