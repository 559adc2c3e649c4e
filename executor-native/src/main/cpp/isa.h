// Which instruction sets this library holds, which the processor runs, and their operations.
#pragma once
#include "args.h"

namespace shadowbatch {

// The order is that of the Java enum Isa.
enum Isa { kPortable = 0, kAvx2 = 1, kAvx512 = 2, kAmx = 3, kIsaCount = 4 };

// True if this processor and this build run `isa`. Asks the kernel for AMX state the first time.
bool supported(int isa);

// The operations of a supported instruction set.
const Ops& opsOf(int isa);

extern const Ops kOps_portable;
#if defined(SB_X86)
extern const Ops kOps_avx2;
extern const Ops kOps_avx512;
extern const Ops kOps_amx;
#endif

}  // namespace shadowbatch
