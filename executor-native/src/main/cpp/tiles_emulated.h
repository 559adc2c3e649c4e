// AMX tiles in plain C++, for tests on machines that have none (-DSB_EMULATE_TILES=ON): the
// operations that the kernels use, after Intel's description of them. Included by tiles.h behind
// the intrinsics, whose names it takes over.
#pragma once
#include <cstring>

namespace shadowbatch {
namespace amx {

struct EmulatedTiles {
  uint8_t data[8][16][64];
  uint16_t columnBytes[8];
  uint8_t rows[8];

  void configure(const uint16_t* columns, const uint8_t* rowCounts) {
    std::memset(data, 0, sizeof data);
    std::memcpy(columnBytes, columns, sizeof columnBytes);
    std::memcpy(rows, rowCounts, sizeof rows);
  }

  void load(int t, const void* base, long stride) {
    std::memset(data[t], 0, sizeof data[t]);
    for (int r = 0; r < rows[t]; r++) {
      std::memcpy(data[t][r], static_cast<const char*>(base) + r * stride, columnBytes[t]);
    }
  }

  void store(int t, void* base, long stride) const {
    for (int r = 0; r < rows[t]; r++) {
      std::memcpy(static_cast<char*>(base) + r * stride, data[t][r], columnBytes[t]);
    }
  }

  void zero(int t) { std::memset(data[t], 0, sizeof data[t]); }

  // c[m][n] += sums of four products of bytes of a[m][k] and b[k][n].
  template <class A, class B>
  void multiply(int c, int a, int b) {
    for (int m = 0; m < rows[c]; m++) {
      for (int n = 0; n < columnBytes[c] / 4; n++) {
        uint32_t sum;  // wraps, as tiles do
        std::memcpy(&sum, data[c][m] + 4 * n, 4);
        for (int k = 0; k < columnBytes[a]; k++) {
          sum += static_cast<A>(data[a][m][k]) * static_cast<B>(data[b][k / 4][4 * n + k % 4]);
        }
        std::memcpy(data[c][m] + 4 * n, &sum, 4);
      }
    }
  }
};

inline thread_local EmulatedTiles emulated;

}  // namespace amx
}  // namespace shadowbatch

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbsud
#undef _tile_dpbusd
#define _tile_loadd(t, base, stride) ::shadowbatch::amx::emulated.load(t, base, stride)
#define _tile_stored(t, base, stride) ::shadowbatch::amx::emulated.store(t, base, stride)
#define _tile_zero(t) ::shadowbatch::amx::emulated.zero(t)
#define _tile_dpbsud(c, a, b) ::shadowbatch::amx::emulated.multiply<int8_t, uint8_t>(c, a, b)
#define _tile_dpbusd(c, a, b) ::shadowbatch::amx::emulated.multiply<uint8_t, int8_t>(c, a, b)
#define _tile_release()
