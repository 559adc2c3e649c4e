// Set-up of AMX tiles.
#pragma once
#include <immintrin.h>

#include <cstdint>
#if defined(SB_EMULATE_TILES)
#include "tiles_emulated.h"
#endif

namespace shadowbatch {
namespace amx {

// What ldtilecfg reads; tiles are 16 rows of 64 bytes unless changed.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t startRow = 0;
  uint8_t reserved[14] = {};
  uint16_t columnBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// GCC's intrinsics do not say that they read memory: without these two the compiler drops the
// stores before them.
static inline void loadTileConfig(const TileConfig& config) {
#if defined(SB_EMULATE_TILES)
  emulated.configure(config.columnBytes, config.rows);
#else
  asm volatile("ldtilecfg %0" ::"m"(config));
#endif
}
static inline void storesBeforeTiles() { asm volatile("" ::: "memory"); }

}  // namespace amx
}  // namespace shadowbatch
