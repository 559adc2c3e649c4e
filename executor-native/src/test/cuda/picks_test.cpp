// The choice of chunks against sums in double precision: a pick is right if no chunk that was left
// out has a score larger by more than rounding, and of equal scores the lowest ids are taken.
#include "check.h"

#include <algorithm>

namespace {

struct PickingRow {
  int64_t row, position, firstPage, pages, budget;
  const int* exact;
  int64_t exactStride, unused;
};

struct ChunkScoresParams {
  const float *q, *cos, *sin;
  const PickingRow* rows;
  const uint8_t* const* landmarks;
  float* z;
  int64_t qStride, zStride, landmarkOffset;
  int landmarkBytes, ropeStride, half, headDim, group, chunkTokens;
  float scale;
  int unused;
};

struct PickChunksParams {
  const PickingRow* rows;
  float* z;
  int* ids;
  int64_t zStride, idStride;
  int group, chunksPerPage, most, unused;
};

struct Setup {
  int d, kvHeads, group, tokens;
  float spread;
};

// Rows with prompts of their own, layer 1 of 2.
struct Rig {
  Setup s;
  int perPage, landmarkBytes, half, longest = 0;
  std::vector<std::vector<uint8_t>> pages;
  std::vector<const uint8_t*> addresses;
  std::vector<PickingRow> rows;
  std::vector<std::vector<int>> exact;
  std::vector<float> q, cos, sin, z;
  std::vector<int> ids;
  int most = 0, exactStride = 6;

  Rig(Setup s, std::vector<int> pagesOfRow, int budget, unsigned seed) : s(s) {
    std::mt19937 random(seed);
    perPage = 64 / s.tokens;
    half = s.d / 32 * 16;
    landmarkBytes = (2 * s.d * perPage + 4 * perPage + 63) / 64 * 64;
    for (size_t r = 0; r < pagesOfRow.size(); r++) addRow(r, pagesOfRow[r], budget, random);
    for (auto& page : pages) addresses.push_back(page.data());
    for (size_t r = 0; r < rows.size(); r++) rows[r].exact = exact[r].data();
    q = check::normal(rows.size() * s.kvHeads * s.group * s.d, seed + 1);
    for (int p = 0; p < 64; p++) {
      for (int i = 0; i < half; i++) {
        cos.push_back(std::cos(p * std::pow(1e4, -1.0 * i / half)));
        sin.push_back(std::sin(p * std::pow(1e4, -1.0 * i / half)));
      }
    }
    longest = (longest + 63) / 64 * 64;
    z.assign(rows.size() * s.kvHeads * s.group * longest, NAN);
    ids.assign(rows.size() * s.kvHeads * (1 + most), -7);
  }

  void addRow(int r, int count, int budget, std::mt19937& random) {
    rows.push_back({r, 5 + 7 * r, static_cast<int64_t>(pages.size()), count, budget, nullptr,
                    exactStride, 0});
    const int n = count * perPage;
    for (int i = 0; i < count; i++) {
      std::vector<uint8_t> page(2 * s.kvHeads * landmarkBytes);
      auto x = check::normal(page.size() / 2, random(), s.spread);
      for (size_t j = 0; j < x.size(); j++) {
        uint16_t h = sb::toHalf(x[j]).bits;
        std::memcpy(&page[2 * j], &h, 2);
      }
      pages.push_back(page);
    }
    exact.emplace_back(s.kvHeads * exactStride);
    for (int h = 0; h < s.kvHeads; h++) {
      std::vector<int> some = {0, static_cast<int>(random() % n), static_cast<int>(random() % n)};
      std::sort(some.begin(), some.end());
      some.erase(std::unique(some.begin(), some.end()), some.end());
      exact[r][h * exactStride] = some.size();
      std::copy(some.begin(), some.end(), exact[r].begin() + h * exactStride + 1);
    }
    longest = std::max(longest, n);
    most = std::max(most, std::min(n, budget + 3));
  }

  void run() {
    const int64_t offset = static_cast<int64_t>(s.kvHeads) * landmarkBytes;
    ChunkScoresParams score = {q.data(),      cos.data(),       sin.data(),
                               rows.data(),   addresses.data(), z.data(),
                               static_cast<int64_t>(s.kvHeads) * s.group * s.d,
                               longest,       offset,           landmarkBytes,
                               half,          half,             s.d,
                               s.group,       s.tokens,         static_cast<float>(1 / std::sqrt(s.d)),
                               0};
    check::launch("sb_chunk_scores", dim3((longest + 255) / 256, s.kvHeads, rows.size()), dim3(128),
                  16 * s.d, score);
    PickChunksParams pick = {rows.data(), z.data(), ids.data(), longest, 1 + most,
                             s.group,     perPage,  most,       0};
    check::launch("sb_pick_chunks", dim3(1, s.kvHeads, rows.size()), dim3(512), 1224, pick);
  }

  double landmark(const PickingRow& row, int head, int chunk, int i) const {
    const uint8_t* page = pages[row.firstPage + chunk / perPage].data();
    sb::half h;
    std::memcpy(&h, page + (s.kvHeads + head) * landmarkBytes + 2 * (i * perPage + chunk % perPage),
                2);
    return sb::toFloat(h);
  }

  std::vector<double> scores(int r, int head, const std::vector<bool>& isExact) const {
    const int n = isExact.size();
    std::vector<double> best(n, -INFINITY), x(s.d), z(n);
    for (int j = 0; j < s.group; j++) {
      const float* raw = &q[(static_cast<size_t>(r * s.kvHeads + head) * s.group + j) * s.d];
      for (int i = 0; i < s.d; i++) x[i] = raw[i];
      for (int i = 0; i < half; i++) {
        double c = cos[rows[r].position * half + i], t = sin[rows[r].position * half + i];
        x[i] = raw[i] * c - raw[i + half] * t;
        x[i + half] = raw[i + half] * c + raw[i] * t;
      }
      double top = -1e30, sum = 0;
      for (int c = 0; c < n; c++) {
        z[c] = 0;
        for (int i = 0; i < s.d; i++) z[c] += landmark(rows[r], head, c, i) * x[i];
        z[c] /= std::sqrt(s.d);
        if (!isExact[c]) top = std::max(top, z[c]);
      }
      for (int c = 0; c < n; c++) sum += isExact[c] ? 0 : std::exp(z[c] - top);
      double lse = s.group == 1 ? 0 : top + std::log(sum);
      for (int c = 0; c < n; c++) best[c] = std::max(best[c], z[c] - lse);
    }
    return best;
  }

  void expectRow(int r, int head) const {
    const int n = rows[r].pages * perPage;
    const int* table = &exact[r][head * exactStride];
    const int* got = &ids[(r * s.kvHeads + head) * (1 + most)];
    std::vector<bool> isExact(n), picked(n);
    for (int i = 0; i < table[0]; i++) isExact[table[1 + i]] = true;
    const int expected = std::min<int64_t>(n, table[0] + rows[r].budget);
    EXPECT(got[0] == expected, "row %d head %d: %d picks, not %d", r, head, got[0], expected);
    for (int i = 1, before = -1; i <= std::min(got[0], most); before = got[i++]) {
      EXPECT(got[i] > before && got[i] < n, "row %d: id %d behind %d of %d", r, got[i], before, n);
      if (got[i] < 0 || got[i] >= n) return;
      picked[got[i]] = true;
    }
    auto score = scores(r, head, isExact);
    double least = INFINITY, most = -INFINITY;
    for (int c = 0; c < n; c++) {
      EXPECT(!isExact[c] || picked[c], "row %d head %d: exact chunk %d is missing", r, head, c);
      if (isExact[c]) continue;
      if (picked[c]) least = std::min(least, score[c]);
      if (!picked[c]) most = std::max(most, score[c]);
    }
    EXPECT(!(most > least + 1e-5 * std::max(1.0, std::fabs(most))),
           "row %d head %d: %g left out, %g picked", r, head, most, least);
  }

  void expect() const {
    for (size_t r = 0; r < rows.size(); r++) {
      for (int h = 0; h < s.kvHeads; h++) expectRow(r, h);
    }
  }
};

void compare(Setup s, std::vector<int> pages, int budget, unsigned seed) {
  Rig rig(s, pages, budget, seed);
  rig.run();
  rig.expect();
}

}  // namespace

TEST(picksAreTheChunksOfTheLargestScores) {
  for (int tokens : {4, 8, 16}) {
    for (int group : {1, 3, 4, 7}) compare({64, 2, group, tokens, 1}, {5, 1, 12}, 9, group + tokens);
  }
  for (int d : {16, 32, 96, 256}) compare({d, 1, 2, 8, 1}, {3, 9}, 5, d);
}

TEST(budgetsFromNothingToMoreThanThereIs) {
  for (int budget : {0, 1, 13, 70, 1000}) compare({32, 1, 3, 8, 2}, {9, 2}, budget, 3 + budget);
}

TEST(manyChunksAndALargeBudget) { compare({32, 1, 4, 4, 1}, {150}, 1024, 11); }

TEST(ofEqualScoresTheLowestIdsAreTaken) {
  for (int tokens : {4, 8}) {
    Rig rig({32, 1, 3, tokens, 0}, {40}, 100, 2);
    rig.run();
    rig.expect();
    std::vector<int> first;
    const int* got = rig.ids.data();
    for (int c = 0, free = 100; static_cast<int>(first.size()) < got[0]; c++) {
      bool exact = std::count(&rig.exact[0][1], &rig.exact[0][1] + rig.exact[0][0], c) > 0;
      if (exact || free-- > 0) first.push_back(c);
    }
    EXPECT(std::equal(first.begin(), first.end(), got + 1), "%d tokens", tokens);
  }
}

TEST(whatIsNotANumberIsPickedLast) {
  Rig rig({32, 1, 2, 8, 1}, {6}, 20, 4);
  for (int c = 0; c < 24; c++) {  // landmarks of even chunks of the first pages
    uint16_t nan = 0x7e00;
    if (c % 2 == 0) {
      uint8_t* page = rig.pages[c / 8].data() + rig.landmarkBytes;
      std::memcpy(page + 2 * (3 * 8 + c % 8), &nan, 2);
    }
  }
  rig.run();
  const int* got = rig.ids.data();
  for (int i = 1; i <= got[0]; i++) {
    bool exact = std::count(&rig.exact[0][1], &rig.exact[0][1] + rig.exact[0][0], got[i]) > 0;
    EXPECT(exact || got[i] >= 24 || got[i] % 2 == 1, "chunk %d is picked", got[i]);
  }
  for (auto& x : rig.q) x = NAN;  // then all are equal
  rig.run();
  EXPECT(got[0] == 20 + rig.exact[0][0], "%d picks", got[0]);
}

TEST(aRowsPicksDoNotDependOnTheOthers) {
  Rig all({64, 2, 3, 8, 1}, {5, 3, 8}, 7, 21);
  all.run();
  for (int r = 0; r < 3; r++) {
    Rig one({64, 2, 3, 8, 1}, {5, 3, 8}, 7, 21);
    one.rows = {one.rows[r]};
    one.run();
    int columns = 2 * (1 + all.most);
    for (int h = 0; h < 2; h++) {
      const int* a = &all.ids[r * columns + h * (1 + all.most)];
      const int* b = &one.ids[r * columns + h * (1 + all.most)];
      EXPECT(std::equal(a, a + a[0] + 1, b), "row %d head %d", r, h);
    }
  }
}
