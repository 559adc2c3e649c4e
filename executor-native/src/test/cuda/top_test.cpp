#include "check.h"

#include <algorithm>

namespace {

constexpr int TOP = 256;

struct Edit {
  int id;
  float minus, saved;
  int unused;
};

struct Query {
  int row, firstEdit, edits;
  float scale;
  double depth, factor;
};

struct Answer {
  unsigned long long mass;
  int count, unused, ids[TOP];
  float logits[TOP];
};

struct Params {
  float* x;
  const Query* queries;
  Edit* edits;
  Answer* answers;
  long long stride;
  int columns;
};
static_assert(sizeof(Params) == 48, "TopLogitsParams");

// Ids of the numbers, the largest first, of equals the lowest.
std::vector<int> ranked(const float* x, int n) {
  std::vector<int> ids;
  for (int i = 0; i < n; i++)
    if (x[i] == x[i]) ids.push_back(i);
  std::stable_sort(ids.begin(), ids.end(), [&](int a, int b) { return x[a] > x[b]; });
  return ids;
}

float changed(float x, const Edit& e, double factor) {
  if (e.minus == INFINITY) return -INFINITY;
  float f = (float)(x > 0 ? x / factor : x * factor);
  return f - e.minus;
}

void compare(const char* what, const Answer& a, const std::vector<float>& x, const Query& q) {
  std::vector<int> want = ranked(x.data(), (int)x.size());
  int n = (int)std::min<size_t>(TOP, want.size());
  EXPECT(want.size() <= TOP ? a.count == n : a.count > TOP, "%s: count %d", what, a.count);
  for (int i = 0; i < n; i++) {
    EXPECT(a.ids[i] == want[i], "%s: rank %d is %d, not %d", what, i, a.ids[i], want[i]);
    EXPECT(a.logits[i] == x[want[i]], "%s: %g, not %g", what, a.logits[i], x[want[i]]);
  }
  if (n == 0 || std::isinf(x[want[0]])) return;  // nothing has a weight
  float top = x[want[0]], floor = (float)(top - q.depth);
  double mass = 0;
  for (int id : want)
    if (x[id] >= floor) mass += std::exp(((double)x[id] - top) * q.scale);
  double got = (double)a.mass / (double)(1ull << 40);
  EXPECT(std::fabs(got - mass) < 5e-7 * mass + x.size() * 0x1p-40, "%s: mass %.9g, not %.9g", what,
         got, mass);
}

float value(std::mt19937& random, int kind) {
  int r = (int)(random() % 1000);
  const float values[] = {(float)(r - 500) / 37, (float)(random() % 100000) / 7919 - 3,
                          r % 4 ? r % 300 - 90.0f : NAN, r % 400 ? NAN : -INFINITY,
                          r % 2 ? -0.0f : r / 1000.0f};
  return values[kind];
}

}  // namespace

TEST(topLogitsAreThoseOfASortAndLeaveTheRowAsItWas) {
  std::mt19937 random(12);
  int kind = 0;
  for (int columns : {1, 2, 255, 256, 257, 257, 1024, 1025, 5000, 5000, 5000, 5000, 5000}) {
    kind = (kind + 1) % 5;
    const int rows = 4, stride = columns + 1;
    std::vector<float> x((size_t)rows * stride, INFINITY);  // what lies behind a row would win
    for (int i = 0; i < rows; i++)
      for (int j = 0; j < columns; j++) x[(size_t)i * stride + j] = value(random, kind);
    const std::vector<float> before = x;
    std::vector<Edit> edits;
    std::vector<Query> queries;
    for (int row : {0, 2, 3}) {
      int many = row == 2 ? 0 : std::min(columns, row == 0 ? 5 : 1500);
      queries.push_back({row, (int)edits.size(), many, row == 0 ? 1.25f : 1, 20.0, 1.3});
      int first = (int)(random() % (unsigned)columns);
      for (int i = 0; i < many; i++) {
        float minus = i % 3 == 0 ? INFINITY : i % 3 == 1 ? 0.75f : -2;
        edits.push_back({(first + i) % columns, minus, NAN, 0});
      }
    }
    std::vector<Answer> answers(queries.size());
    check::launch("sb_top_logits", dim3(3), dim3(1024), 0,
                  Params{x.data(), queries.data(), edits.data(), answers.data(), stride, columns});
    EXPECT(std::memcmp(x.data(), before.data(), 4 * x.size()) == 0, "rows of %d changed", columns);
    for (size_t i = 0; i < queries.size(); i++) {
      const Query& q = queries[i];
      const float* row = &before[(size_t)q.row * stride];
      std::vector<float> want(row, row + columns);
      for (int e = q.firstEdit; e < q.firstEdit + q.edits; e++)
        want[edits[e].id] = changed(want[edits[e].id], edits[e], q.factor);
      std::string what = std::to_string(columns) + " columns, kind " + std::to_string(kind);
      compare(what.c_str(), answers[i], want, q);
    }
  }
}

TEST(topLogitsOfTooManyEqualsAreRefused) {
  std::vector<float> x(5000, 2.5f);
  Query query{0, 0, 0, 1, 40, 1};
  Answer answer;
  Params params{x.data(), &query, nullptr, &answer, 5000, 5000};
  check::launch("sb_top_logits", dim3(1), dim3(1024), 0, params);
  EXPECT(answer.count == -1, "count %d", answer.count);
  EXPECT(answer.mass == 5000ull << 40, "mass %llu", answer.mass);
}
