#include "check.h"

using namespace sb;

namespace {

struct Params {
  const bf16* x;
  const bf16* w;
  const float* bias;
  float* out;
  int n, rows, k, xStride, outStride, add;
};
static_assert(sizeof(Params) == 56, "MatmulParams");

struct Form {
  const char* kernel;
  int tall, wide, threads, shared, most;
};
const Form FORMS[] = {
    {"sb_matmul_16", 16, 32, 64, 8 * 6144, 16},
    {"sb_matmul_64", 64, 64, 128, 6 * 16384, 64},
    {"sb_matmul_128", 128, 128, 128, 3 * 16384, 1 << 30}};

// A product with gaps behind the rows of x and out.
struct Case {
  int n, rows, k;
  std::vector<float> xs, ws, bs, before;
  std::vector<bf16> x, w;
  static constexpr int X_GAP = 8, OUT_GAP = 3;

  // Small integers make every sum exact, whatever its order.
  Case(int n, int rows, int k, bool whole, unsigned seed) : n(n), rows(rows), k(k) {
    xs = check::normal((size_t)n * k, seed);
    ws = check::normal((size_t)rows * k, seed + 1);
    bs = check::normal(rows, seed + 2);
    before = check::normal((size_t)n * rows, seed + 3);
    for (auto* v : {&xs, &ws, &bs, &before})
      for (auto& f : *v) f = whole ? std::rint(2 * f) : toFloat(toBf16(f));
    w.resize(ws.size());
    for (size_t i = 0; i < ws.size(); i++) w[i] = toBf16(ws[i]);
    x.assign((size_t)n * (k + X_GAP), toBf16(NAN));
    for (int i = 0; i < n; i++)
      for (int j = 0; j < k; j++) x[(size_t)i * (k + X_GAP) + j] = toBf16(xs[(size_t)i * k + j]);
  }

  // Rows [from, to) of the product alone.
  std::vector<float> run(const Form& f, bool bias, bool add, int from, int to) const {
    int stride = rows + OUT_GAP, count = to - from;
    std::vector<float> out((size_t)count * stride, NAN);
    for (int i = 0; add && i < count; i++)
      std::memcpy(&out[(size_t)i * stride], &before[(size_t)(from + i) * rows], 4u * rows);
    Params p{x.data() + (size_t)from * (k + X_GAP), w.data(), bias ? bs.data() : nullptr, out.data(),
             count, rows, k, k + X_GAP, stride, add};
    dim3 grid((count + f.tall - 1) / f.tall, (rows + f.wide - 1) / f.wide);
    check::launch(f.kernel, grid, dim3(f.threads), f.shared, p);
    std::vector<float> got;
    for (int i = 0; i < count; i++) {
      const float* row = &out[(size_t)i * stride];
      got.insert(got.end(), row, row + rows);
      for (int j = 0; j < OUT_GAP; j++) EXPECT(std::isnan(row[rows + j]), "row %d: gap written", i);
    }
    return got;
  }

  std::vector<double> expected(bool bias, bool add) const {
    std::vector<double> result;
    for (int i = 0; i < n; i++)
      for (int j = 0; j < rows; j++) {
        double y = bias ? bs[j] : 0;
        if (add) y += before[(size_t)i * rows + j];
        for (int c = 0; c < k; c++) y += (double)xs[(size_t)i * k + c] * ws[(size_t)j * k + c];
        result.push_back(y);
      }
    return result;
  }
};

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), 4 * a.size()) == 0;
}

}  // namespace

TEST(matmulIsExactOnSmallIntegersOverOddSizes) {
  const int ns[] = {1, 7, 16, 17, 64, 65, 129}, rows[] = {1, 8, 31, 64, 130}, ks[] = {16, 80, 608};
  unsigned seed = 1;
  for (auto& f : FORMS)
    for (int n : ns)
      for (int r : rows)
        for (int k : ks) {
          seed++;
          if (n > f.most) continue;
          bool bias = seed % 2, add = seed / 2 % 2;
          Case c(n, r, k, true, seed);
          auto got = c.run(f, bias, add, 0, n);
          auto want = c.expected(bias, add);
          int wrong = 0;
          for (size_t i = 0; i < want.size(); i++) wrong += got[i] != want[i];
          EXPECT(wrong == 0, "%s [%d,%d,%d] bias %d add %d: %d wrong", f.kernel, n, r, k, bias, add,
                 wrong);
        }
}

TEST(matmulIsCloseToTheExactSums) {
  for (auto& f : FORMS) {
    Case c(std::min(f.most, 70), 96, 1024, false, 77);
    double e = check::relativeError(c.run(f, true, true, 0, c.n), c.expected(true, true));
    EXPECT(e < 1e-6, "%s: %g", f.kernel, e);
  }
}

TEST(matmulGivesARowTheSameBitsInEveryFormAndBatch) {
  Case c(140, 72, 336, false, 5);
  auto all = c.run(FORMS[2], true, true, 0, c.n);
  auto part = [&](int from, int to) {
    return std::vector<float>(all.begin() + from * c.rows, all.begin() + to * c.rows);
  };
  const int ends[][2] = {{0, 1}, {15, 16}, {131, 140}, {127, 129}, {3, 19}};
  for (auto& e : ends)
    for (auto& f : FORMS)
      EXPECT(same(c.run(f, true, true, e[0], e[1]), part(e[0], e[1])), "%s, rows [%d,%d)", f.kernel,
             e[0], e[1]);
  EXPECT(same(c.run(FORMS[1], true, true, 76, 140), part(76, 140)), "64 rows");
}

TEST(matmulKeepsInfinitiesAndNanInTheirRowsAndColumns) {
  Case c(20, 40, 32, true, 9);
  for (int j = 0; j < c.k; j++) c.x[3 * (c.k + Case::X_GAP) + j] = toBf16(NAN);
  for (int j = 0; j < c.k; j++) c.w[11 * c.k + j] = toBf16(j == 5 ? INFINITY : 0);
  for (auto& f : FORMS) {
    int n = std::min(f.most, c.n), bad = 0;
    auto got = c.run(f, false, false, 0, n);
    for (int i = 0; i < n; i++)
      for (int j = 0; j < c.rows; j++) bad += std::isfinite(got[i * c.rows + j]) != (i != 3 && j != 11);
    EXPECT(bad == 0, "%s: %d", f.kernel, bad);
  }
}
