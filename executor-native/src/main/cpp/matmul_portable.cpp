#include "matmul.h"

namespace shadowbatch {
namespace SB_ISA {

void panelTile(const PanelTile& t, int rows) {
  for (int r = 0; r < rows; r++) {
    F y[1][2] = {{splat(0.f), splat(0.f)}};
    const uint8_t* cell = t.cells;
    for (int g = 0; g < t.groups; g++, cell += kCellBytes) {
      const int8_t* x = t.q + r * t.qStride + g * kGroup;
      int32_t c[kGroup] = {};
      for (int quad = 0; quad < 8; quad++) {
        for (int n = 0; n < kGroup; n++) {
          const uint8_t* w = cell + 128 * quad + 4 * n;
          for (int i = 0; i < 4; i++) c[n] += w[i] * x[4 * quad + i];
        }
      }
      const auto* f = reinterpret_cast<const float*>(cell + 1024);
      const F sx = splat(t.scale[r * t.groupStride + g]);
      const F sumX = splat(t.sum[r * t.groupStride + g]);
      for (int j = 0; j < 2; j++) {
        y[0][j] = fma(toFloat(loadI(c + 16 * j)), mul(load(f + 16 * j), sx), y[0][j]);
        y[0][j] = fma(load(f + 32 + 16 * j), sumX, y[0][j]);
      }
    }
    PanelTile row = t;
    row.spikes += r;
    if (r > 0) row.decode = nullptr;
    addSpikes(row, y);
    finish(t, r, 0, y[0][0]);
    finish(t, r, 1, y[0][1]);
  }
}

}  // namespace SB_ISA
}  // namespace shadowbatch
