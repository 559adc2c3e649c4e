// Arguments of the operations and the table of one instruction set's versions of them.
#pragma once
#include <cstdint>

#include "pool.h"

namespace shadowbatch {

// Row-major floats; stride in elements.
struct Floats {
  float* data;
  long stride;
  float* row(long i) const { return data + i * stride; }
};

// Activations in groups of 32 columns: q [rows, 32 * groups], scale and sum [rows, groups]; of each
// row its spikes by rising column, spikes [rows] of them in spikeColumn and spikeValue.
struct Quantised {
  int8_t* q;
  float* scale;
  float* sum;
  long qStride;
  long groupStride;
  int32_t* spikes;
  int32_t* spikeColumn;  // groupStride apart
  float* spikeValue;
};

// A spike as a tile meets it: where its decoded column is, in floats, and times what.
struct Spike {
  int32_t offset;
  float value;
};

// Rows [row, row + rows) go through a panel together. Their spikes are [depth][rows], rows with
// fewer padded by zeros at offset 0: a zero times a finite weight changes no sum but -0, and every
// sum gets a +0 behind its spikes.
struct SpikeTile {
  int row;
  int rows;
  int depth;
  long first;
};

// Tiles [firstTile, lastTile) walk a panel one after another; decoded column i is columns[firstColumn + i].
struct SpikeBlock {
  int firstTile;
  int lastTile;
  int firstColumn;
  int lastColumn;
};

struct SpikeView {
  const SpikeTile* tiles;
  const SpikeBlock* blocks;
  int blockCount;
  const int32_t* columns;
  const Spike* spikes;
  int columnsMost;  // that a block decodes
};

class SpikePlan;

constexpr int kSmallTile = 6;     // rows of a tile in vector registers
constexpr int kGroup = 32;        // columns of a group, rows of a panel
constexpr int kCellBytes = 1280;  // 32 x 32 integers, 32 scales, 32 mins
constexpr int kTile = 64;         // tokens of a KV tile

struct EmbedArgs {
  const uint8_t* table;  // cells [panels][groups]
  int columns;
  const int32_t* ids;
  int count;
  Floats out;
};

struct NormArgs {
  Floats x;  // [rows, columns]
  const float* weight;
  float eps;
  int rows;
  int columns;
};

struct MatmulArgs {
  Quantised x;        // [rows, 32 * groups]
  const uint8_t* w;   // cells [panels][groups]
  const float* bias;  // [columns] or null
  Floats out;         // [rows, columns]
  int rows;
  int columns;  // of out
  int groups;
  bool add;
  SpikePlan* spikes;  // scratch
};

// The row blocks and tiles of a product, see SpikePlan::arrange.
SpikeView arrangeSpikes(SpikePlan& plan, const MatmulArgs& a, int blockRows, int tileRows);

enum Codec { kFp16 = 0, kInt8 = 1 };

struct KvArgs {
  int codec;
  int kvHeads;
  int headsPerGroup;
  int headDim;
  int rotation;      // width of the rotation of the integer codec
  int window;        // 0: all
  long layerOffset;  // bytes from the start of a half page
  long blockBytes;   // of keys, and of values
  float scale;
  const float* cos;  // [positions, half]
  const float* sin;
  long ropeStride;
  int half;  // half of the rotary width, a multiple of 16
  const int32_t* positions;
  const int32_t* rowPages;      // of each row's slice: index in keys and values of tile 0, or where
                                // it would be before the dense segment's first
  const int32_t* rowPicked;     // index of the first page of its picked segment, or -1
  const int32_t* rowFirstTile;  // of its dense segment
  const int64_t* keys;      // addresses of the key halves
  const int64_t* values;
  int rows;
  bool separate;  // each slice walks its pages apart, also those that others read
};

// Rows [from, to) of the batch that lie in one page.
struct AppendRun {
  int from;
  int to;
  uint8_t* keys;
  uint8_t* values;
};

struct AppendArgs {
  KvArgs kv;
  Floats k;
  Floats v;
  const AppendRun* runs;
  int runCount;
};

struct GramArgs;
struct ProjectArgs;
struct PlainArgs;
struct RebuildArgs;

struct AttendArgs {
  KvArgs kv;
  Floats q;
  Floats out;
  Floats state;  // data null: not wanted
  // Of row r and KV head h, r * kvHeads + h: count and ids of the chunks that it reads; null: no
  // picked segment in the batch.
  const int32_t* picks;
  long picksStride;
  int chunkTokens;
};

struct SummariseArgs {
  const int64_t* keys;       // halves of pages
  const int64_t* landmarks;  // of pages
  int pages;
  int codec;
  int blocks;  // layers times KV heads
  int headDim;
  int chunkTokens;
  long keyBytes;  // of a block
  long landmarkBytes;
};

// What a slice picks from; see ChunkView.numbers.
struct SliceChunks {
  int64_t first;  // index in landmarks of its first page, or -1
  int64_t pages;
  int64_t budget;
  int64_t exact;  // address of the row of KV head 0: count and ascending ids
  int64_t exactStride;
};

struct SelectArgs {
  KvArgs kv;
  Floats q;
  int32_t* picks;
  long picksStride;
  const int64_t* landmarks;  // of pages
  long landmarkOffset;       // of the layer
  long landmarkBytes;        // of a block
  int chunkTokens;
  const SliceChunks* slices;
  const int32_t* rowSlice;
};

struct MassArgs {
  KvArgs kv;
  Floats q;
  Floats state;
  Floats mass;
  const int32_t* firstRows;  // of each slice, and the number of rows
  int slices;
};

// The operations, compiled once for each instruction set.
struct Ops {
  void (*embed)(Pool&, const EmbedArgs&);
  void (*gatherRows)(Pool&, Floats x, const int32_t* rows, int count, int columns, Floats out);
  void (*quantize)(Pool&, Floats x, int rows, int columns, Quantised out);
  void (*swiGlu)(Pool&, Floats gateUp, int rows, int columns, Quantised out);
  void (*rmsNorm)(Pool&, const NormArgs&, Quantised out);
  void (*headNorm)(Pool&, const NormArgs&, int headDim);
  void (*argmax)(Pool&, Floats logits, int rows, int columns, int32_t* ids);
  void (*matmul)(Pool&, const MatmulArgs&);
  void (*append)(Pool&, const AppendArgs&);
  void (*attend)(Pool&, const AttendArgs&);
  void (*gram)(Pool&, const GramArgs&);
  void (*project)(Pool&, const ProjectArgs&);
  void (*plainKeys)(Pool&, const PlainArgs&);
  void (*rebuildKeys)(Pool&, const RebuildArgs&);
  void (*summarise)(Pool&, const SummariseArgs&);
  void (*selectChunks)(Pool&, const SelectArgs&);
  void (*attentionMass)(Pool&, const MassArgs&);
  void (*exp)(const float* x, float* y, long n);  // for tests
};

// Scratch that every worker owns; attention needs the most.
constexpr long kScratchBytes = 1L << 20;

}  // namespace shadowbatch
