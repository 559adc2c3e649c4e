// The product: out [n, rows] = (or +=) x [n, k] times w [rows, k] transposed, plus bias; bf16
// operands, sums in floats.
//
// Every element of out is one chain of k / 16 calls of mma.m16n8k16 over rising k, from +0, then the
// bias, then what out held. The chain is the same in every form and at every place of a tile, so a
// row has the same bits whatever other rows are in the call, and the form may be chosen by n. Hence
// no split of k, over blocks or warps.
//
// Bytes: 2 rows k + 2 n k + 4 n rows, FLOPs: 2 n rows k. On an H200 (4.3 TB/s, 788 TFLOP/s of
// which mma.sync reaches about 60 %):
//   n <= 16, 4096 x 4096: 33.6 MB of weights, 7.8 us by memory; 128 blocks with 28 KB each on the
//     way (3.6 MB, latency 0.8 us) allow 4.5 TB/s; the chain of 256 products is 7 us.
//   n = 64, 28672 x 4096: 235 MB, 55 us by memory; x is read from the second-level cache by 448
//     blocks, 235 MB more: 80 us.
//   n = 2048, 28672 x 4096: 481 GFLOP, 1.0 ms at 480 TFLOP/s.
// Registers (nvcc 13.0, sm_90): 64 for up to 16 rows, 88 for up to 64, 252 for more: two blocks of
// 128 threads a processor; no spills on sm_80 to sm_120.
#include "device.h"

namespace sb::matmul {

struct MatmulParams {
  const bf16* x;      // [n, k]
  const bf16* w;      // [rows, k]
  const float* bias;  // [rows], or null
  float* out;         // [n, rows]
  int n;
  int rows;
  int k;          // % 16 == 0
  int xStride;    // bf16, % 8 == 0
  int outStride;  // floats
  int add;        // 1: out += .., 0: out = ..
};
static_assert(sizeof(MatmulParams) == 56, "MatmulParams");

// A tile of ROWS rows by DEPTH k in shared memory. Pieces of 16 bytes change places within 128
// bytes, so that the eight rows of an 8x8 matrix lie in different banks.
template <int ROWS, int DEPTH>
struct Tile {
  static constexpr int PIECES = DEPTH / 8;  // of a row; 4 or 8
  static constexpr int ROW_BYTES = DEPTH * 2;
  static constexpr int BYTES = ROWS * ROW_BYTES;

  static __device__ __forceinline__ int at(int row, int piece) {
    int turn = PIECES == 8 ? row & 7 : (row >> 1) & 3;
    return row * ROW_BYTES + ((piece ^ turn) << 4);
  }

  // Starts the copy of rows [first, ..) of a matrix, k [from, ..); zeros beyond its ends.
  template <int THREADS>
  static __device__ __forceinline__ void fetch(
      unsigned char* to, const bf16* matrix, int stride, int first, int rows, int from, int k) {
#pragma unroll
    for (int i = 0; i < ROWS * PIECES / THREADS; i++) {
      int index = i * THREADS + threadIdx.x;
      int row = index / PIECES;
      int piece = index % PIECES;
      bool ok = first + row < rows && from + piece * 8 < k;
      const bf16* source = matrix + (long long)(first + row) * stride + from + piece * 8;
      copy16(to + at(row, piece), ok ? source : matrix, ok);
    }
  }
};

static __device__ __forceinline__ void put(const MatmulParams& p, int row, int column, float y) {
  if (row >= p.n || column >= p.rows) return;
  if (p.bias) y += p.bias[column];
  float* out = p.out + (long long)row * p.outStride + column;
  *out = p.add ? *out + y : y;
}

// One tile of TALL x WIDE of out in ACROSS x ALONG warps, M x N mma tiles a warp, DEPTH of k in
// each of STAGES buffers.
template <int TALL, int WIDE, int DEPTH, int STAGES, int ACROSS, int ALONG>
static __device__ __forceinline__ void product(const MatmulParams& p) {
  constexpr int THREADS = ACROSS * ALONG * 32;
  constexpr int M = TALL / ACROSS / 16;
  constexpr int N = WIDE / ALONG / 8;
  using Left = Tile<TALL, DEPTH>;
  using Right = Tile<WIDE, DEPTH>;
  constexpr int STAGE = Left::BYTES + Right::BYTES;
  SB_SHARED(memory);
  int firstRow = blockIdx.x * TALL;
  int firstColumn = blockIdx.y * WIDE;
  int lane = threadIdx.x % 32;
  int warp = threadIdx.x / 32;
  int warpRow = warp % ACROSS * (TALL / ACROSS);
  int warpColumn = warp / ACROSS * (WIDE / ALONG);
  auto fetch = [&](int chunk) {
    unsigned char* to = memory + chunk % STAGES * STAGE;
    int from = chunk * DEPTH;
    Left::template fetch<THREADS>(to, p.x, p.xStride, firstRow, p.n, from, p.k);
    Right::template fetch<THREADS>(to + Left::BYTES, p.w, p.k, firstColumn, p.rows, from, p.k);
  };
  int chunks = (p.k + DEPTH - 1) / DEPTH;
  for (int i = 0; i < STAGES - 1; i++) {
    if (i < chunks) fetch(i);
    copyCommit();
  }
  float sums[M][N][4] = {};
  // Lanes name rows of 8x8 matrices: x as (rows 0-7, k 0-7), (8-15, 0-7), (0-7, 8-15), (8-15, 8-15),
  // w as two mma tiles of (rows 0-7, k 0-7), (0-7, 8-15).
  int xRow = warpRow + lane % 16;
  int wRow = warpColumn + lane / 16 * 8 + lane % 8;
  for (int chunk = 0; chunk < chunks; chunk++) {
    copyWait<STAGES - 2>();
    // All have this chunk, and are done with the one whose buffer is filled next.
    __syncthreads();
    if (chunk + STAGES - 1 < chunks) fetch(chunk + STAGES - 1);
    copyCommit();
    const unsigned char* from = memory + chunk % STAGES * STAGE;
#pragma unroll
    for (int step = 0; step < DEPTH / 16; step++) {
      if (chunk * DEPTH + step * 16 >= p.k) break;
      uint32_t a[M][4];
      uint32_t b[N][2];
      int left = Left::at(xRow, step * 2 + lane / 16);
      int right = Left::BYTES + Right::at(wRow, step * 2 + lane / 8 % 2);
      loadMatrices<M>(&a[0][0], from + left, 16 * Left::ROW_BYTES);
      loadMatrices<N / 2>(&b[0][0], from + right, 16 * Right::ROW_BYTES);
      mmaBf16(sums, a, b);
    }
  }
  int row = firstRow + warpRow + lane / 4;
  int column = firstColumn + warpColumn + lane % 4 * 2;
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
      for (int i = 0; i < 4; i++)
        put(p, row + m * 16 + i / 2 * 8, column + n * 8 + i % 2, sums[m][n][i]);
}

// n <= 16: 16 x 32 tiles, 8 buffers of 6 KB. Grid: (1, rows / 32).
extern "C" __global__ void __launch_bounds__(64)
    sb_matmul_16(const __grid_constant__ MatmulParams p) {
  product<16, 32, 64, 8, 1, 2>(p);
}
SB_EXPORT(sb_matmul_16)

// n <= 64: 64 x 64 tiles, 6 buffers of 16 KB. Grid: (1, rows / 64).
extern "C" __global__ void __launch_bounds__(128)
    sb_matmul_64(const __grid_constant__ MatmulParams p) {
  product<64, 64, 64, 6, 2, 2>(p);
}
SB_EXPORT(sb_matmul_64)

// Any n: 128 x 128 tiles, 3 buffers of 16 KB. Grid: (n / 128, rows / 128): neighbouring blocks share
// weights, and a wave of them is nearly a square of out.
extern "C" __global__ void __launch_bounds__(128, 2)
    sb_matmul_128(const __grid_constant__ MatmulParams p) {
  product<128, 128, 32, 3, 2, 2>(p);
}
SB_EXPORT(sb_matmul_128)

}  // namespace sb::matmul
