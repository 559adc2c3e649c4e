#include "attention.h"

namespace shadowbatch {
namespace SB_ISA {

void enterKernels() {}
void leaveKernels() {}

void scoreKeys(int rows, const Queries& q, const uint8_t* k, const float* keyScale, int d,
               int slots, float* out) {
  for (int r = 0; r < rows; r++) {
    const auto* x = reinterpret_cast<const int8_t*>(q.packed + r * q.stride);
    for (int slot = 0; slot < slots; slot++) {
      int32_t c = -128 * q.sum[r];
      for (int i = 0; i < d; i++) c += k[i / 4 * 4 * kTile + 4 * slot + i % 4] * x[i];
      out[r * kTile + slot] = static_cast<float>(c) * (keyScale[slot] * q.scale[r]);
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
