// Attention against a reference in double precision, over pages whose unwritten slots are no
// numbers.
#include "attention_rig.h"

using namespace rig;

static std::vector<int> positions(int from, int count) {
  std::vector<int> p(count);
  for (int i = 0; i < count; i++) p[i] = from + i;
  return p;
}

static Slice sequence(Rig& rig, int first, int before, int count) {
  Slice slice{first, positions(before, count), rig.newPages((before + count + 63) / 64), {}};
  rig.fill(slice.pages, before + count);
  return slice;
}

static void promptCase(Shape shape, int before, int count) {
  Rig rig(shape, 11);
  std::vector<Slice> slices{sequence(rig, 0, before, count)};
  auto q = queries(rig, count);
  Work w;
  prompt(rig, w, slices[0]);
  expectClose(rig, slices, q, run(rig, w, q, count));
}

TEST(promptsOfAllWidthsOverExistingPages) {
  promptCase({16, 2, 2}, 70, 40);
  promptCase({32, 1, 7}, 0, 20);
  promptCase({64, 1, 3, 0, 32}, 64, 30);
  promptCase({96, 1, 4, 0, 48}, 50, 17);
  promptCase({128, 1, 1, 0, 16}, 100, 70);
  promptCase({256, 1, 8, 0, 128}, 30, 9);
}

TEST(promptsWithWindows) {
  for (int window : {1, 5, 64, 65, 100}) promptCase({32, 1, 2, window, 16}, 150, 40);
}

TEST(promptsOfLargeScores) {
  for (float spread : {0.f, 30.f}) promptCase({32, 1, 2, 0, 16, spread}, 30, 70);
}

TEST(decodesOfOneTokenAtEdgesOfPagesAndSplits) {
  for (int group : {1, 2, 3, 4, 7, 8}) {
    Rig rig({16, 2, group}, 21);
    std::vector<Slice> slices;
    for (int at : {0, 63, 64, 511, 512, 1100}) {
      slices.push_back(sequence(rig, (int)slices.size(), at, 1));
    }
    auto q = queries(rig, (int)slices.size());
    Work w;
    decode(rig, w, slices, 0, 0, 8);
    expectClose(rig, slices, q, run(rig, w, q, (int)slices.size()));
  }
}

TEST(decodesOfAllWidthsAndSeveralRows) {
  for (int d : {16, 32, 64, 96, 128, 256}) {
    Rig rig({d, 1, 3, 0, 8}, 31);
    std::vector<Slice> slices{sequence(rig, 0, 507, 10), sequence(rig, 10, 20, 2)};
    auto q = queries(rig, 12);
    Work w;
    decode(rig, w, slices, 0, 0, 8);
    expectClose(rig, slices, q, run(rig, w, q, 12));
  }
}

TEST(decodesWithWindows) {
  for (int window : {1, 65, 500, 513}) {
    Rig rig({32, 1, 4, window}, 41);
    std::vector<Slice> slices{sequence(rig, 0, 1010, 4), sequence(rig, 4, 30, 1)};
    auto q = queries(rig, 5);
    Work w;
    decode(rig, w, slices, 0, 0, 8);
    expectClose(rig, slices, q, run(rig, w, q, 5));
  }
}

// Nine sequences of 8 heads are 72 packed rows: more than one item of the shared part.
static std::vector<Slice> sharing(Rig& rig) {
  std::vector<int> prefix = rig.newPages(16);
  rig.fill(prefix, 1024);
  std::vector<Slice> slices;
  for (int i = 0, row = 0; i < 9; i++) {
    int count = i == 4 ? 3 : 1, before = 1024 + 70 * i;
    Slice slice{row, positions(before, count), prefix, {}};
    std::vector<int> own = rig.newPages((before - 1024 + count + 63) / 64);
    rig.fill(own, before - 1024 + count);
    slice.pages.insert(slice.pages.end(), own.begin(), own.end());
    slices.push_back(slice);
    row += count;
  }
  return slices;
}

TEST(sharedPrefixesHaveTheBitsOfSeparateOnes) {
  Rig rig({32, 1, 8, 0, 16}, 51);
  auto slices = sharing(rig);
  auto q = queries(rig, 11);
  Work together, apart;
  decode(rig, together, slices, 2, 0, 8);
  decode(rig, apart, slices, 0, 0, 8);
  Result a = run(rig, together, q, 11), b = run(rig, apart, q, 11);
  expectClose(rig, slices, q, a);
  EXPECT(sameBits(a.out, b.out) && sameBits(a.state, b.state), "shared and separate differ");
  EXPECT(together.items.size() < apart.items.size(), "nothing was shared");
}

TEST(aRowHasTheBitsItHasAlone) {
  Rig rig({64, 2, 3, 0, 32}, 61);
  Slice slice = sequence(rig, 0, 30, 50);
  auto q = queries(rig, 50);
  Work all;
  prompt(rig, all, slice);
  Result a = run(rig, all, q, 50);
  for (int row : {0, 1, 21, 49}) {
    Slice one{0, {slice.positions[row]}, slice.pages, {}};
    Work alone;
    prompt(rig, alone, one);
    int width = rig.s.queryHeads() * 64;
    std::vector<float> x(q.begin() + row * (width + 4), q.begin() + (row + 1) * (width + 4));
    Result b = run(rig, alone, x, 1);
    std::vector<float> among(a.out.begin() + row * width, a.out.begin() + (row + 1) * width);
    EXPECT(sameBits(b.out, among), "row %d", row);
  }
}

static void pickedCase(int d, int group, int chunk, int counts) {
  Rig rig({d, 2, group, 0, 8}, 71);
  int perPage = 64 / chunk, rows = 3;
  Slice few = sequence(rig, 0, 0, 0), none = sequence(rig, 2, 300, 1);
  few.picked = rig.newPages(16);
  rig.fill(few.picked, 1024);
  few.pages = rig.newPages(2);
  rig.fill(few.pages, 70);
  few.positions = {1024 + 66, 1024 + 69};
  std::mt19937 random(5);
  Picks picks{{}, counts, chunk};
  for (int row = 0; row < rows * rig.s.kvHeads; row++) {
    std::vector<int> ids(16 * perPage);
    for (size_t i = 0; i < ids.size(); i++) ids[i] = (int)i;
    std::shuffle(ids.begin(), ids.end(), random);
    int count = row == 0 ? 0 : row == 1 ? counts : 1 + (int)(random() % counts);
    std::sort(ids.begin(), ids.begin() + count);
    picks.ids.push_back(count);
    for (int i = 0; i < counts; i++) picks.ids.push_back(i < count ? ids[i] : -1);
  }
  auto q = queries(rig, rows);
  Work w;
  decode(rig, w, {few, none}, 0, counts, chunk);
  expectClose(rig, {few, none}, q, run(rig, w, q, rows, picks), picks);
}

TEST(pickedChunksOfAllSizes) {
  for (int chunk : {4, 8, 16}) {
    pickedCase(16, 2, chunk, 5);
    pickedCase(64, 4, chunk, 600 / chunk);
  }
  pickedCase(96, 3, 8, 20);
  pickedCase(256, 2, 4, 40);
  pickedCase(256, 2, 8, 9);
}
