#include "fetch.h"

#include <cstring>

namespace shadowbatch {
namespace {

constexpr int kTileTokens = 64;

// `count` pieces of `bytes`, `stride` apart in both.
void copyPieces(const uint8_t* from, uint8_t* to, int count, long stride, long bytes) {
  for (int i = 0; i < count; i++) std::memcpy(to + i * stride, from + i * stride, bytes);
}

// See KvLayout for how blocks lie.
void copyChunk(const FetchArgs& a, int item) {
  const int64_t* address = a.addresses + 4l * item;
  const int32_t* number = a.numbers + 3l * item;
  const long offset = a.layerOffset + number[2] * a.blockBytes;
  const long n = a.chunkTokens;
  const long from = number[0] * n, to = number[1] * n;  // tokens
  auto block = [&](int i) { return reinterpret_cast<uint8_t*>(address[i]) + offset; };
  const long scales = static_cast<long>(kTileTokens) * a.headDim;
  const bool integer = a.codec == kInt8;
  if (address[0] != 0) {
    const long token = integer ? 4 : 2;  // bytes of a token in a row of keys
    const int rows = integer ? a.headDim / 4 : a.headDim;
    copyPieces(block(0) + from * token, block(2) + to * token, rows, kTileTokens * token,
               n * token);
    if (integer) std::memcpy(block(2) + scales + 4 * to, block(0) + scales + 4 * from, 4 * n);
  }
  const long row = integer ? a.headDim : 2l * a.headDim;  // bytes of a token's values
  std::memcpy(block(3) + to * row, block(1) + from * row, n * row);
  if (integer) std::memcpy(block(3) + scales + 4 * to, block(1) + scales + 4 * from, 4 * n);
}

}  // namespace

void fetchChunks(Pool& pool, const FetchArgs& args) {
  pool.run(
      args.count, 16,
      [](void* a, int, int from, int to) {
        for (int i = from; i < to; i++) copyChunk(*static_cast<const FetchArgs*>(a), i);
      },
      const_cast<FetchArgs*>(&args));
}

}  // namespace shadowbatch
