// What one core of this machine can do, measured.
#pragma once

namespace shadowbatch {

enum Peak { kDotPeak = 0, kFloatPeak = 1, kTilePeak = 2, kReadPeak = 3, kPeakCount = 4 };

// 8-bit operations (kDotPeak: vpdpbusd, kTilePeak: tdpbsud on 64 columns), float operations or
// bytes per second of CPU time; 0 where the processor or the build has no such instruction.
double measurePeak(int what);

// CPU seconds of the calling thread.
double threadSeconds();

#if defined(SB_X86)
namespace avx512 {
double dotRate();    // needs AVX-512 VNNI
double floatRate();  // needs AVX-512
}  // namespace avx512
namespace avx2 {
double floatRate();  // needs FMA
}  // namespace avx2
namespace amx {
double tileRate();  // needs AMX and its permission
}  // namespace amx
#endif

}  // namespace shadowbatch
