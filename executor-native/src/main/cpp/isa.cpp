#include "isa.h"

#include <stdexcept>

#if defined(SB_X86)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace shadowbatch {
namespace {

#if defined(SB_X86)
bool hasAvx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}

bool hasAvx512() {
  return hasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

// Tile state is off until a process asks for it (Linux: Documentation/arch/x86/xstate.rst).
bool askForTiles() {
  constexpr long kRequestPermission = 0x1023;
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool hasAmx() {
  if (!hasAvx512()) return false;
#if defined(SB_EMULATE_TILES)
  return true;
#endif
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const unsigned tileAndInt8 = 1u << 24 | 1u << 25;
  return (d & tileAndInt8) == tileAndInt8 && askForTiles();
}
#endif

}  // namespace

bool supported(int isa) {
  switch (isa) {
    case kPortable:
      return true;
#if defined(SB_X86)
    case kAvx2: {
      static const bool has = hasAvx2();
      return has;
    }
    case kAvx512: {
      static const bool has = hasAvx512();
      return has;
    }
    case kAmx: {
      static const bool has = hasAmx();
      return has;
    }
#endif
    default:
      return false;
  }
}

const Ops& opsOf(int isa) {
  if (!supported(isa)) throw std::invalid_argument("instruction set is not supported here");
#if defined(SB_X86)
  if (isa == kAvx2) return kOps_avx2;
  if (isa == kAvx512) return kOps_avx512;
  if (isa == kAmx) return kOps_amx;
#endif
  return kOps_portable;
}

}  // namespace shadowbatch
