#include "ops.h"

namespace shadowbatch {
namespace amx {
void matmul(Pool&, const MatmulArgs&);
void attend(Pool&, const AttendArgs&);
}  // namespace amx

extern const Ops kOps_amx;
const Ops kOps_amx = {
    avx512::embed,   avx512::gatherRows, avx512::quantize, avx512::swiGlu,
    avx512::rmsNorm, avx512::headNorm,   avx512::argmax,   amx::matmul,
    avx512::append,    amx::attend,       avx512::gram,       avx512::project,
    avx512::plainKeys, avx512::rebuildKeys,  avx512::summarise,  avx512::selectChunks,
    avx512::attentionMass, avx512::expAll,
};

}  // namespace shadowbatch
