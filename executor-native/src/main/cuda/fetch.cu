// Chunks of values, and of keys, from wherever they lie into slots of pages on the device.
#include "device.h"

namespace sb::fetch {

constexpr int TILE = 64;
constexpr int WARPS = 8;
constexpr int AT_ONCE = 4;  // loads of a lane on their way: latency of the host link is microseconds

struct FetchChunksParams {
  const uint64_t* addresses;  // of each chunk: keys or 0, values, both of the slot
  const int* numbers;         // of each chunk: chunk, slot, head
  int64_t layerOffset;
  int count;
  int blockBytes;
  int headDim;
  int chunkTokens;
};
static_assert(sizeof(FetchChunksParams) == 40, "");

// `rows` runs of `pieces` T each, rowBytes apart on both sides, by one warp.
template <class T>
__device__ __forceinline__ void copyRows(const uint8_t* from, uint8_t* to, int rows, int pieces,
                                         int rowBytes, int lane) {
  const int all = rows * pieces;
  for (int base = lane; base < all; base += 32 * AT_ONCE) {
    T part[AT_ONCE];
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
      int at = base + 32 * i;
      if (at >= all) continue;
      int64_t offset = static_cast<int64_t>(at / pieces) * rowBytes;
      part[i] = reinterpret_cast<const T*>(from + offset)[at % pieces];
    }
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
      int at = base + 32 * i;
      if (at >= all) continue;
      int64_t offset = static_cast<int64_t>(at / pieces) * rowBytes;
      reinterpret_cast<T*>(to + offset)[at % pieces] = part[i];
    }
  }
}

// Grid: ceil(count / 8), 256 threads, a warp for each chunk. Values are one run of
// 2 * chunkTokens * d bytes, keys d runs of 2 * chunkTokens, 128 apart; pages lie at multiples of 16.
// Bytes: 2 * chunkTokens * d a chunk (twice that with keys). Bound by the host link for values in
// pinned memory: 50 GB/s, 41 ns a chunk of 8 tokens of 128; with 16 KB on their way of each
// multiprocessor that needs 2 us of latency hidden, which 4 loads of 16 bytes a lane do.
extern "C" __global__ void __launch_bounds__(WARPS * 32)
    sb_fetch_chunks(const __grid_constant__ FetchChunksParams p) {
  const int lane = threadIdx.x % 32;
  const int item = blockIdx.x * WARPS + threadIdx.x / 32;
  if (item >= p.count) return;
  const uint64_t* address = p.addresses + 4ll * item;
  const int* number = p.numbers + 3ll * item;
  const int64_t block = p.layerOffset + static_cast<int64_t>(number[2]) * p.blockBytes;
  const int tokenBytes = 2 * p.headDim;
  const uint8_t* values = reinterpret_cast<const uint8_t*>(address[1]) + block;
  uint8_t* toValues = reinterpret_cast<uint8_t*>(address[3]) + block;
  const int run = p.chunkTokens * tokenBytes;
  copyRows<uint4>(values + static_cast<int64_t>(number[0]) * run,
                  toValues + static_cast<int64_t>(number[1]) * run, 1, run / 16, 0, lane);
  if (address[0] == 0) return;
  const int bytes = 2 * p.chunkTokens;
  const uint8_t* keys = reinterpret_cast<const uint8_t*>(address[0]) + block + number[0] * bytes;
  uint8_t* toKeys = reinterpret_cast<uint8_t*>(address[2]) + block + number[1] * bytes;
  if (bytes >= 16) {
    copyRows<uint4>(keys, toKeys, p.headDim, bytes / 16, 2 * TILE, lane);
  } else {
    copyRows<uint2>(keys, toKeys, p.headDim, 1, 2 * TILE, lane);
  }
}
SB_EXPORT(sb_fetch_chunks)

}  // namespace sb::fetch
