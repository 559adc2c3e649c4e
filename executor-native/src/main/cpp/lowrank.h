// Arguments of the operations on keys of low rank; D is the width of all heads together.
#pragma once
#include "args.h"

namespace shadowbatch {

struct GramArgs {
  Floats x;  // [rows, columns]
  int rows;
  int columns;  // a multiple of 16
  const float* mean;
  Floats out;  // [columns, columns]
};

struct ProjectArgs {
  Floats x;  // [64 * pages, columns]
  int columns;
  const uint16_t* vectors;  // [rank, columns]
  const float* mean;
  int rank;  // a multiple of 16
  int codec;
  long layerOffset;  // bytes from the start of a factor page
  const int64_t* pages;
  int pageCount;
};

// Key halves of pages and RoPE.
struct KeyArgs {
  int codec;
  int kvHeads;
  int headDim;
  int rotation;
  long layerOffset;  // bytes from the start of a key half
  long blockBytes;
  const float* cos;
  const float* sin;
  long ropeStride;
  int half;
};

struct PlainArgs {
  KeyArgs keys;
  int firstPosition;
  const int64_t* pages;
  int pageCount;
  Floats out;
};

struct RebuildArgs {
  KeyArgs keys;
  int rank;
  int codec;  // of the factors
  long factorOffset;
  int chunkTokens;
  const int64_t* addresses;  // of each chunk: factor page, key half, vectors, mean
  const int32_t* numbers;    // of each chunk: chunk, slot, first position, head or -1
  int count;
};

}  // namespace shadowbatch
