// Matrix products and loads of a warp, in the fragments of mma.m16n8k16 and ldmatrix (PTX ISA).
#pragma once
#include "copies.h"
#include "numbers.h"

namespace sb {

typedef float Float8 __attribute__((vector_size(32)));

struct MmaOperands {
  float* d;
  const uint32_t *a, *b;
};

// M x N tiles of a warp as plain matrices.
template <int M, int N>
struct Tiles {
  float a[M * 16][16];
  float b[16][N * 8];
  float d[M * 16][N * 8];
};

// Lane l = 4 g + t holds of A rows g, g + 8 and columns 2 t, 2 t + 1, + 8 of each; of B the same
// rows, column g; of D rows g, g + 8 and columns 2 t, 2 t + 1.
template <class X, int M, int N>
SBEMU_QUIET void gather(sbemu::Warp& w, Tiles<M, N>& tiles) {
  for (int l = 0; l < 32; l++) {
    const MmaOperands& x = *(const MmaOperands*)w.in[l];
    int g = l >> 2, c = (l & 3) * 2;
    for (int m = 0; m < M; m++) {
      for (int i = 0; i < 4; i++) {
        unpack<X>(x.a[m * 4 + i], &tiles.a[m * 16 + g + (i & 1) * 8][c + (i >> 1) * 8]);
      }
    }
    for (int n = 0; n < N; n++) {
      for (int i = 0; i < 2; i++) {
        float two[2];
        unpack<X>(x.b[n * 2 + i], two);
        tiles.b[c + i * 8][n * 8 + g] = two[0];
        tiles.b[c + i * 8 + 1][n * 8 + g] = two[1];
      }
    }
    for (int m = 0; m < M; m++) {
      for (int n = 0; n < N; n++) {
        const float* d = x.d + (m * N + n) * 4;
        std::memcpy(&tiles.d[m * 16 + g][n * 8 + c], d, 8);
        std::memcpy(&tiles.d[m * 16 + g + 8][n * 8 + c], d + 2, 8);
      }
    }
  }
}

template <int M, int N>
SBEMU_QUIET void scatter(sbemu::Warp& w, const Tiles<M, N>& tiles) {
  for (int l = 0; l < 32; l++) {
    const MmaOperands& x = *(const MmaOperands*)w.in[l];
    int g = l >> 2, c = (l & 3) * 2;
    for (int m = 0; m < M; m++) {
      for (int n = 0; n < N; n++) {
        float* d = x.d + (m * N + n) * 4;
        std::memcpy(d, &tiles.d[m * 16 + g][n * 8 + c], 8);
        std::memcpy(d + 2, &tiles.d[m * 16 + g + 8][n * 8 + c], 8);
      }
    }
  }
}

// Some rows of D at a time, so that sums stay in registers.
template <int M, int N>
SBEMU_QUIET void multiply(Tiles<M, N>& tiles) {
  constexpr int ROWS = N > 4 ? 1 : N > 2 ? 2 : 4;
  for (int r = 0; r < M * 16; r += ROWS) {
    Float8 sum[ROWS][N];
    std::memcpy(sum, tiles.d[r], sizeof sum);
    for (int k = 0; k < 16; k++) {
#pragma GCC unroll 8
      for (int n = 0; n < N; n++) {
        Float8 b;
        std::memcpy(&b, &tiles.b[k][n * 8], sizeof b);
#pragma GCC unroll 4
        for (int i = 0; i < ROWS; i++) sum[i][n] += tiles.a[r + i][k] * b;
      }
    }
    std::memcpy(tiles.d[r], sum, sizeof sum);
  }
}

template <class X, int M, int N>
SBEMU_QUIET void mmaOp(sbemu::Warp& w, uint32_t) {
  static thread_local Tiles<M, N> tiles;
  gather<X>(w, tiles);
  multiply(tiles);
  scatter(w, tiles);
}

template <class X, int M, int N>
inline void mma(const char* where, float (&d)[M][N][4], const uint32_t (&a)[M][4],
                const uint32_t (&b)[N][2]) {
  MmaOperands x{&d[0][0][0], &a[0][0], &b[0][0]};
  sbemu::collect(sbemu::ALL_LANES, &x, nullptr, &mmaOp<X, M, N>, where);
}

#define mmaBf16(...) mma<sb::bf16>(SBEMU_HERE, __VA_ARGS__)
#define mmaHalf(...) mma<sb::half>(SBEMU_HERE, __VA_ARGS__)

struct MatrixRow {
  const char* at;
  int stride;
};

inline __attribute__((always_inline)) uint32_t numberAt(const void* row, int load, int column) {
  const MatrixRow& x = *(const MatrixRow*)row;
  uint16_t v;
  std::memcpy(&v, x.at + (long)load * x.stride + column * 2, 2);
  return v;
}

// Lane l gets of each matrix row l / 4, columns 2 (l % 4) and the next; of a transposed one what
// lies there after transposing.
template <bool TRANSPOSED, int N>
SBEMU_QUIET void loadOp(sbemu::Warp& w, uint32_t) {
  for (int l = 0; l < 32; l++) {
    uint32_t* r = (uint32_t*)w.out[l];
    int row = l >> 2, pair = (l & 3) * 2;
    for (int q = 0; q < 4; q++) {
      const void* const* rows = &w.in[q * 8];
      for (int i = 0; i < N; i++) {
        r[4 * i + q] = TRANSPOSED
            ? numberAt(rows[pair], i, row) | numberAt(rows[pair + 1], i, row) << 16
            : numberAt(rows[row], i, pair) | numberAt(rows[row], i, pair + 1) << 16;
      }
    }
  }
}

template <bool TRANSPOSED, int N>
inline void load(const char* where, uint32_t* r, const void* row, int stride) {
  MatrixRow x{(const char*)row, stride};
  for (int i = 0; i < N; i++) {
    const char* at = x.at + (long)i * stride;
    if ((uintptr_t)at & 15) sbemu::die("misaligned row of a matrix load");
    // Reads by the lane that names the row, for the race detector.
    SBEMU_TSAN(for (int j = 0; j < 2; j++) (void)((volatile const uint64_t*)at)[j];)
  }
  sbemu::collect(sbemu::ALL_LANES, &x, r, &loadOp<TRANSPOSED, N>, where);
}

template <int N>
inline void loadMatrices(uint32_t* r, const void* row, int stride) {
  load<false, N>("loadMatrices", r, row, stride);
}

template <int N>
inline void loadTransposed(uint32_t* r, const void* row, int stride) {
  load<true, N>("loadTransposed", r, row, stride);
}

}  // namespace sb
