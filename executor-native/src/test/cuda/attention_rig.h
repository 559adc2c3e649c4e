// Pages, work lists and a reference in double precision for tests of attention. The lists are built
// as AttentionWork builds them, from as little code as serves a test.
#pragma once
#include "attention.h"
#include "check.h"

#include <algorithm>
#include <memory>

namespace rig {

using namespace sb::attention;
using check::normal;

struct Shape {
  int d, kvHeads, group;
  int window = 0;
  int rotaryHalf = 8;
  float spread = 1;
  int queryHeads() const { return kvHeads * group; }
  int blockBytes() const { return 128 * d + 192; }
  float scale() const { return 1 / std::sqrt((float)d); }
};

// Rows [first, first + positions.size()) of the batch; picked pages come before the dense ones.
struct Slice {
  int first;
  std::vector<int> positions;
  std::vector<int> pages;
  std::vector<int> picked;  // pages that picks name, or none
  int denseFrom() const { return 64 * (int)picked.size(); }
};

struct Work {
  std::vector<AttendItem> items;
  std::vector<AttendRow> rows;
  std::vector<MergeRow> merges;
  std::vector<Page> pages;
  int parts = 0;
};

class Rig {
 public:
  static constexpr int LAYER = 1, LAYERS = 2, POSITIONS = 2048;

  Rig(Shape shape, unsigned seed) : s(shape), seed(seed) {
    for (int p = 0; p < POSITIONS; p++)
      for (int i = 0; i < s.rotaryHalf; i++) {
        double angle = p * std::pow(10000.0, -(double)i / s.rotaryHalf);
        cos.push_back((float)std::cos(angle));
        sin.push_back((float)std::sin(angle));
      }
  }

  // Pages of halves that are no numbers, each of memory of its own.
  std::vector<int> newPages(int count) {
    std::vector<int> ids;
    size_t bytes = (size_t)s.blockBytes() * s.kvHeads * LAYERS;
    for (int i = 0; i < count; i++) {
      ids.push_back((int)memory.size() / 2);
      for (int half = 0; half < 2; half++) {
        auto* m = (unsigned char*)std::aligned_alloc(64, (bytes + 63) / 64 * 64);
        std::memset(m, 0xff, bytes);
        memory.emplace_back(m, &std::free);
      }
    }
    return ids;
  }

  Page page(int id) const {
    return {(uint64_t)memory[2 * id].get(), (uint64_t)memory[2 * id + 1].get()};
  }

  int64_t layerOffset() const { return (int64_t)LAYER * s.kvHeads * s.blockBytes(); }

  sb::half* block(uint64_t half, int head) const {
    return (sb::half*)(half + layerOffset() + (int64_t)head * s.blockBytes());
  }

  double key(int id, int head, int slot, int i) const {
    return sb::toFloat(block(page(id).keys, head)[i * 64 + slot]);
  }

  double value(int id, int head, int slot, int i) const {
    return sb::toFloat(block(page(id).values, head)[slot * s.d + i]);
  }

  // Numbers in slots of all tokens up to the last position.
  void fill(const std::vector<int>& ids, int tokens) {
    std::mt19937 random(seed++);
    std::normal_distribution<float> normal;
    for (int t = 0; t < tokens; t++)
      for (int h = 0; h < s.kvHeads; h++)
        for (int i = 0; i < s.d; i++) {
          Page p = page(ids[t / 64]);
          block(p.keys, h)[i * 64 + t % 64] = sb::toHalf(s.spread * normal(random));
          block(p.values, h)[t % 64 * s.d + i] = sb::toHalf(normal(random));
        }
  }

  // The rotary turn of a head in double precision.
  std::vector<double> turned(const float* x, int position) const {
    std::vector<double> y(x, x + s.d);
    for (int i = 0; i < s.rotaryHalf; i++) {
      double c = cos[(size_t)position * s.rotaryHalf + i];
      double n = sin[(size_t)position * s.rotaryHalf + i];
      y[i] = x[i] * c - x[i + s.rotaryHalf] * n;
      y[i + s.rotaryHalf] = x[i + s.rotaryHalf] * c + x[i] * n;
    }
    return y;
  }

  Shape s;
  unsigned seed;
  std::vector<float> cos, sin;

 private:
  std::vector<std::unique_ptr<unsigned char, void (*)(void*)>> memory;
};

inline int append(const Rig& rig, Work& w, const std::vector<int>& ids) {
  int at = (int)w.pages.size();
  for (int id : ids) w.pages.push_back(rig.page(id));
  return at;
}

inline int rowsOf(Work& w, const Slice& slice, int part, int each) {
  int at = (int)w.rows.size();
  for (size_t i = 0; i < slice.positions.size(); i++) {
    w.rows.push_back({slice.first + (int)i, slice.positions[i], part, 0});
    if (part != DIRECT) part += each;
  }
  return at;
}

// Items of 64 of the packed rows of token rows [row, row + count) of the table.
inline void itemsOf(
    const Rig& rig, Work& w, int row, int count, int first, int end, int pages, int split) {
  int packed = row * rig.s.group, last = (row + count) * rig.s.group;
  for (; packed < last; packed += 64) {
    w.items.push_back({packed, std::min(64, last - packed), first, end, pages, split, -1, 0});
  }
}

// A slice of many rows: each item walks all its tokens.
inline void prompt(const Rig& rig, Work& w, const Slice& slice) {
  int row = rowsOf(w, slice, DIRECT, 0), pages = append(rig, w, slice.pages);
  int packed = (int)slice.positions.size() * rig.s.group;
  for (int at = 0; at < packed; at += 64) {
    int rows = std::min(64, packed - at);
    int low = slice.positions[at / rig.s.group];
    int high = slice.positions[(at + rows - 1) / rig.s.group];
    int first = rig.s.window ? std::max(0, low - rig.s.window + 1) / 64 * 64 : 0;
    w.items.push_back({row * rig.s.group + at, rows, first, high + 1, pages, 0, -1, 0});
  }
}

// Slices of few rows, the first `shared` splits of which go through the same pages together.
inline void decode(
    const Rig& rig, Work& w, const std::vector<Slice>& slices, int shared, int most, int chunk) {
  std::vector<int> tables;
  int together = 0;
  for (const Slice& slice : slices) {
    int from = slice.denseFrom(), low = slice.positions[0], high = slice.positions.back();
    if (rig.s.window) from = std::max(from, (low - rig.s.window + 1) / 64 * 64);
    int gathered = slice.picked.empty() ? 0 : (most * chunk + 511) / 512;
    int firstSplit = from / 512, splits = gathered + high / 512 + 1 - firstSplit;
    int part = splits == 1 ? DIRECT : w.parts;
    for (size_t i = 0; i < slice.positions.size() && splits > 1; i++, w.parts += splits) {
      w.merges.push_back({slice.first + (int)i, w.parts, splits, 0});
    }
    if (gathered) {
      int picked = append(rig, w, slice.picked), rows = rowsOf(w, slice, part, splits);
      for (size_t i = 0; i < slice.positions.size(); i++)
        for (int g = 0; g < gathered; g++) {
          w.items.push_back(
              {(rows + (int)i) * rig.s.group, rig.s.group, g * 512, g * 512 + 512, picked, g,
               slice.first + (int)i, 0});
        }
    }
    int pages = append(rig, w, slice.pages) - slice.denseFrom() / 64;
    int offset = part == DIRECT ? 0 : gathered - firstSplit;
    tables.push_back(rowsOf(w, slice, part == DIRECT ? part : part + offset, splits));
    together += (int)slice.positions.size();
    for (int split = std::max(firstSplit, shared); split <= high / 512; split++) {
      int first = std::max(from, split * 512), end = std::min(high + 1, split * 512 + 512);
      itemsOf(rig, w, tables.back(), (int)slice.positions.size(), first, end, pages, split);
    }
  }
  // The rows of the slices lie behind one another where none is picked.
  int pages = shared ? append(rig, w, slices[0].pages) : 0;
  for (int split = 0; split < shared; split++) {
    itemsOf(rig, w, tables[0], together, split * 512, split * 512 + 512, pages, split);
  }
}

struct Result {
  std::vector<float> out, state;
};

// Picks I32 [rows * kvHeads, 1 + most] of chunks of `chunk` tokens.
struct Picks {
  std::vector<int> ids;
  int most = 0, chunk = 8;
  const int* row(int row, int head, int kvHeads) const {
    return &ids[((size_t)row * kvHeads + head) * (1 + most)];
  }
};

inline Result run(
    const Rig& rig, const Work& w, const std::vector<float>& q, int rows, const Picks& picks = {}) {
  const Shape& s = rig.s;
  int width = s.queryHeads() * s.d, gap = 4;
  Result r{std::vector<float>((size_t)rows * width, NAN),
           std::vector<float>((size_t)rows * 2 * s.queryHeads(), NAN)};
  std::vector<float> partial((size_t)w.parts * width, NAN);
  std::vector<float> partialState((size_t)w.parts * 2 * s.queryHeads(), NAN);
  AttendParams p{};
  p.q = q.data(), p.out = r.out.data(), p.state = r.state.data();
  p.cos = rig.cos.data(), p.sin = rig.sin.data(), p.pages = w.pages.data();
  p.items = w.items.data(), p.rows = w.rows.data(), p.picks = picks.ids.data();
  p.partial = partial.data(), p.partialState = partialState.data();
  p.layerOffset = rig.layerOffset();
  p.qStride = width + gap, p.outStride = width, p.stateStride = 2 * s.queryHeads();
  p.cosStride = p.sinStride = p.rotaryHalf = s.rotaryHalf, p.picksStride = 1 + picks.most;
  p.group = s.group, p.kvHeads = s.kvHeads, p.blockBytes = s.blockBytes(), p.window = s.window;
  p.chunkTokens = picks.chunk, p.scale = s.scale();
  std::string name = "sb_attend_" + std::to_string(s.d);
  dim3 grid((unsigned)w.items.size(), s.kvHeads);
  check::launch(name.c_str(), grid, dim3(128), attendShared(s.d), p);
  if (w.merges.empty()) return r;
  MergeParams m{partial.data(), partialState.data(), w.merges.data(), r.out.data(),
                    r.state.data(), width, 2 * s.queryHeads(), s.queryHeads(), s.d};
  dim3 merges((unsigned)w.merges.size(), (s.queryHeads() + 3) / 4);
  check::launch("sb_attend_merge", merges, dim3(128), 0, m);
  return r;
}

// Softmax over the picked chunks and then the positions that a row sees.
struct Reference {
  std::vector<double> out, state;

  void add(const Rig& rig, const Slice& slice, const std::vector<float>& q, const Picks& picks) {
    const Shape& s = rig.s;
    for (size_t i = 0; i < slice.positions.size(); i++)
      for (int head = 0; head < s.queryHeads(); head++) {
        int row = slice.first + (int)i, at = slice.positions[i], h = head / s.group;
        auto x = rig.turned(&q[(size_t)row * (s.queryHeads() * s.d + 4) + head * s.d], at);
        std::vector<std::pair<int, int>> tokens;  // page, slot
        if (!slice.picked.empty()) {
          const int* ids = picks.row(row, h, s.kvHeads);
          for (int c = 0; c < ids[0] * picks.chunk; c++) {
            int token = ids[1 + c / picks.chunk] * picks.chunk + c % picks.chunk;
            tokens.push_back({slice.picked[token / 64], token % 64});
          }
        }
        int low = std::max(slice.denseFrom(), s.window ? at - s.window + 1 : 0);
        for (int t = low; t <= at; t++) {
          tokens.push_back({slice.pages[(t - slice.denseFrom()) / 64], t % 64});
        }
        attend(rig, x, h, tokens);
      }
  }

 private:
  void attend(const Rig& rig, const std::vector<double>& x, int h,
              const std::vector<std::pair<int, int>>& tokens) {
    std::vector<double> scores, o(rig.s.d);
    double top = -INFINITY, sum = 0;
    for (auto [page, slot] : tokens) {
      double z = 0;
      for (int i = 0; i < rig.s.d; i++) z += x[i] * rig.key(page, h, slot, i);
      scores.push_back(z * rig.s.scale());
      top = std::max(top, scores.back());
    }
    for (size_t t = 0; t < tokens.size(); t++) {
      double w = std::exp(scores[t] - top);
      sum += w;
      for (int i = 0; i < rig.s.d; i++) {
        o[i] += w * rig.value(tokens[t].first, h, tokens[t].second, i);
      }
    }
    for (double v : o) out.push_back(v / sum);
    state.push_back(top);
    state.push_back(sum);
  }
};

inline std::vector<float> queries(Rig& rig, int rows) {
  return normal((size_t)rows * (rig.s.queryHeads() * rig.s.d + 4), rig.seed++);
}

inline void expectClose(
    const Rig& rig, const std::vector<Slice>& slices, const std::vector<float>& q, const Result& r,
    const Picks& picks = {}, double bound = 1.5e-3) {
  Reference reference;
  for (const Slice& slice : slices) reference.add(rig, slice, q, picks);
  double error = check::relativeError(r.out, reference.out);
  EXPECT(error < bound, "d %d, group %d: error %g", rig.s.d, rig.s.group, error);
  double state = check::relativeError(r.state, reference.state);
  EXPECT(state < bound, "d %d, group %d: error of state %g", rig.s.d, rig.s.group, state);
}

inline bool sameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), 4 * a.size()) == 0;
}

}  // namespace rig
