// The integer loops of attention over one tile of 64 tokens, for up to kBlockRows query rows. Each
// instruction set keeps queries and weights in the form it multiplies, in slots of fixed size.
#pragma once
#include "numeric.h"

namespace shadowbatch {
namespace SB_ISA {

constexpr int kSubRows = 6;             // rows that go through a tile together
constexpr int kWeightBytes = 2 * kTile; // of the packed weights of a row
constexpr int kMaxDim = 256;

// 16 query integers in [-127, 127] from dimension i on, into the packed query of a row (2 bytes a
// dimension).
void packQuery(uint8_t* packed, int i, I q);

// 16 weights in [0, 32767] from token i on, into the packed weights of a row.
void packWeights(uint8_t* packed, int i, I p);

// out[r][64] = dot products of rows with the tile's keys; querySum[r] is the sum of r's integers.
void dotKeys(int rows, const uint8_t* packed, long stride, const int32_t* querySum,
             const uint8_t* keys, int d, int32_t* out);

// o[r][d] = o * correction[r] + back[r] * (weights times values); weights of tokens from
// 4 * quads on are zero.
void addValues(int rows, const uint8_t* packed, const int8_t* values, int d, int quads,
               const float* correction, const float* back, float* o);

// The same two with half-precision keys and values: scores in place of integers, q [rows][d].
void dotKeysHalf(int rows, const float* q, const uint16_t* keys, int d, float* out);
void addValuesHalf(int rows, const float* weights, const uint16_t* values, int d,
                   const float* correction, float* o);

}  // namespace SB_ISA
}  // namespace shadowbatch
