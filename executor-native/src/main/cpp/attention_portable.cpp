#include "attention.h"

namespace shadowbatch {
namespace SB_ISA {

void enterKernels() {}
void leaveKernels() {}

void packQuery(uint8_t* packed, int i, I q) { storeBytes(packed + i, q); }

void dotKeys(int rows, const uint8_t* packed, long stride, const int32_t* querySum,
             const uint8_t* k, int d, int32_t* out) {
  for (int r = 0; r < rows; r++) {
    const auto* q = reinterpret_cast<const int8_t*>(packed + r * stride);
    for (int slot = 0; slot < kTile; slot++) {
      int32_t c = -128 * querySum[r];
      for (int i = 0; i < d; i++) c += k[i / 4 * 4 * kTile + 4 * slot + i % 4] * q[i];
      out[r * kTile + slot] = c;
    }
  }
}

void addValues(int rows, const uint8_t* packed, const int8_t* v, int d, int quads,
               const float* correction, const float* back, float* o) {
  for (int r = 0; r < rows; r++) {
    const auto* w = reinterpret_cast<const int16_t*>(packed + r * kWeightBytes);
    for (int i = 0; i < d; i++) {
      int32_t c = 0;
      for (int slot = 0; slot < 4 * quads; slot++) {
        c += w[slot] * v[slot / 4 * 4 * d + 4 * i + slot % 4];
      }
      float& y = o[r * d + i];
      y = __builtin_fmaf(y, correction[r], static_cast<float>(c) * back[r]);
    }
  }
}

}  // namespace SB_ISA
}  // namespace shadowbatch
