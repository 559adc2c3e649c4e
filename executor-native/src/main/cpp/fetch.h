// Copies chunks of keys and values between pages.
#pragma once
#include "lowrank.h"

namespace shadowbatch {

struct FetchArgs {
  int codec;
  int headDim;
  long layerOffset;  // bytes from the start of a half
  long blockBytes;
  int chunkTokens;
  const int64_t* addresses;  // of each chunk: key half or 0, value half, the same of where it goes
  const int32_t* numbers;    // of each chunk: chunk, slot, head
  int count;
};

void fetchChunks(Pool& pool, const FetchArgs& a);

}  // namespace shadowbatch
