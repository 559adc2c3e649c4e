// The operations of one instruction set, for its table in ops.cpp.
#pragma once
#include "args.h"
#include "lowrank.h"

namespace shadowbatch {
namespace SB_ISA {

void embed(Pool&, const EmbedArgs&);
void gatherRows(Pool&, Floats x, const int32_t* rows, int count, int columns, Floats out);
void quantize(Pool&, Floats x, int rows, int columns, Quantised out);
void swiGlu(Pool&, Floats gateUp, int rows, int columns, Quantised out);
void rmsNorm(Pool&, const NormArgs&, Quantised out);
void headNorm(Pool&, const NormArgs&, int headDim);
void argmax(Pool&, Floats logits, int rows, int columns, int32_t* ids);
void matmul(Pool&, const MatmulArgs&);
void append(Pool&, const AppendArgs&);
void attend(Pool&, const AttendArgs&);
void gram(Pool&, const GramArgs&);
void project(Pool&, const ProjectArgs&);
void plainKeys(Pool&, const PlainArgs&);
void rebuildKeys(Pool&, const RebuildArgs&);
void summarise(Pool&, const SummariseArgs&);
void selectChunks(Pool&, const SelectArgs&);
void attentionMass(Pool&, const MassArgs&);
void expAll(const float* x, float* y, long n);

}  // namespace SB_ISA
}  // namespace shadowbatch
