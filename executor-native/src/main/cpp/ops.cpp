#include "ops.h"

#define SB_JOIN_(a, b) a##b
#define SB_JOIN(a, b) SB_JOIN_(a, b)

namespace shadowbatch {

extern const Ops SB_JOIN(kOps_, SB_ISA);
const Ops SB_JOIN(kOps_, SB_ISA) = {
    SB_ISA::embed,   SB_ISA::gatherRows, SB_ISA::quantize, SB_ISA::swiGlu,
    SB_ISA::rmsNorm, SB_ISA::headNorm,   SB_ISA::argmax,   SB_ISA::matmul,
    SB_ISA::append,    SB_ISA::attend,       SB_ISA::gram,       SB_ISA::project,
    SB_ISA::plainKeys, SB_ISA::rebuildKeys,  SB_ISA::summarise,  SB_ISA::selectChunks,
    SB_ISA::attentionMass, SB_ISA::expAll,
};

}  // namespace shadowbatch
