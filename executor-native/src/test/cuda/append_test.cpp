// Storing keys and values, and the mass of attention.
#include "attention_rig.h"

using namespace rig;

static void appendCase(Shape shape, const std::vector<int>& positions) {
  Rig rig(shape, 81);
  int rows = (int)positions.size(), width = shape.kvHeads * shape.d;
  auto k = normal((size_t)rows * (width + 3), 82), v = normal((size_t)rows * (width + 5), 83);
  v[0] = 1e30f;
  k[shape.d - 1] = -1e30f;
  std::vector<AppendRow> to;
  auto pages = rig.newPages(rows);
  for (int i = 0; i < rows; i++) {
    to.push_back({rig.page(pages[positions[i] / 64]), positions[i], 0});
  }
  AppendParams p{k.data(), v.data(), rig.cos.data(), rig.sin.data(), to.data(),
                     rig.layerOffset(), width + 3, width + 5, shape.rotaryHalf, shape.rotaryHalf,
                     shape.rotaryHalf, shape.d, shape.blockBytes(), rows};
  check::launch("sb_append", dim3((rows + 31) / 32, shape.kvHeads), dim3(256),
                64 * (shape.d + 2), p);
  int wrong = 0;
  for (int i = 0; i < rows; i++)
    for (int h = 0; h < shape.kvHeads; h++) {
      auto key = rig.turned(&k[(size_t)i * (width + 3) + h * shape.d], positions[i]);
      int page = pages[positions[i] / 64], slot = positions[i] % 64;
      for (int c = 0; c < shape.d; c++) {
        double e = std::max(-65504., std::min(65504., key[c]));
        // A product may round to the half beside that of the double: two units of the last place.
        wrong += !(std::fabs(rig.key(page, h, slot, c) - e) <= std::fabs(e) * 0x1p-10 + 1e-6);
        float x = v[(size_t)i * (width + 5) + h * shape.d + c];
        x = std::max(-65504.f, std::min(65504.f, x));
        wrong += rig.value(page, h, slot, c) != sb::toFloat(sb::toHalf(x));
      }
    }
  EXPECT(wrong == 0, "d %d: %d of %d numbers", shape.d, wrong, 2 * rows * width);
  // Nothing else was written: the other layer, and the slot after the last.
  Page page = rig.page(pages[positions[0] / 64]);
  EXPECT(((uint16_t*)page.keys)[0] == 0xffff && ((uint16_t*)page.values)[0] == 0xffff, "layer 0");
}

TEST(keysAreTurnedAndStoredByDimension) {
  appendCase({16, 2, 1}, {0});
  appendCase({64, 2, 1, 0, 32}, {63, 64, 65, 190, 191, 192});
  appendCase({96, 1, 1, 0, 16}, {5, 77});
  std::vector<int> many(100);
  for (int i = 0; i < 100; i++) many[i] = 30 + i;
  appendCase({128, 1, 1, 0, 64}, many);
  appendCase({256, 1, 1, 0, 128}, many);
}

TEST(massIsTheSumOfWeights) {
  for (int window : {0, 50}) {
    Rig rig({32, 2, 3, window, 16}, 91);
    std::vector<Slice> slices{{0, {100, 101, 130}, rig.newPages(3), {}},
                              {3, {10}, rig.newPages(1), {}}};
    rig.fill(slices[0].pages, 131);
    rig.fill(slices[1].pages, 11);
    auto q = queries(rig, 4);
    Work w;
    decode(rig, w, slices, 0, 0, 8);
    Result r = run(rig, w, q, 4);
    std::vector<int> positions{100, 101, 130, 10};
    std::vector<MassSlice> table{{0, 3, 0, 0}, {3, 1, 3, 0}};
    std::vector<float> mass(4 * 140, 1);
    int width = rig.s.queryHeads() * 32;
    MassParams p{q.data(), r.state.data(), mass.data(), rig.cos.data(), rig.sin.data(),
                     w.pages.data(), table.data(), positions.data(), rig.layerOffset(),
                     width + 4, 2 * rig.s.queryHeads(), 140, 16, 16, 16, 3, 2, 32,
                     rig.s.blockBytes(), window, rig.s.scale()};
    check::launch("sb_attention_mass", dim3(3, 2, 2), dim3(64), 4 * 32, p);
    std::vector<double> expected(mass.size(), 1);
    for (int s = 0; s < 2; s++)
      for (size_t i = 0; i < slices[s].positions.size(); i++)
        for (int head = 0; head < 6; head++) {
          int row = slices[s].first + (int)i, at = slices[s].positions[i];
          auto x = rig.turned(&q[(size_t)row * (width + 4) + head * 32], at);
          std::vector<double> e(at + 1);
          double sum = 0;
          for (int t = window ? std::max(0, at - window + 1) : 0; t <= at; t++) {
            double z = 0;
            for (int c = 0; c < 32; c++) {
              z += x[c] * rig.key(slices[s].pages[t / 64], head / 3, t % 64, c);
            }
            sum += e[t] = std::exp(z * rig.s.scale());
          }
          for (int t = 0; t <= at; t++) expected[(s * 2 + head / 3) * 140 + t] += e[t] / sum;
        }
    double error = check::relativeError(mass, expected);
    EXPECT(error < 1e-3, "window %d: error %g", window, error);
  }
}
