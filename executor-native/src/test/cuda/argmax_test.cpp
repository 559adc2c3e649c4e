#include "check.h"

namespace {

struct Params {
  const float* x;
  int* ids;
  long long stride;
  int columns;
};
static_assert(sizeof(Params) == 32, "ArgmaxParams");

int expected(const float* x, int n) {
  int best = -1;
  for (int j = 0; j < n; j++)
    if (best < 0 ? x[j] >= -INFINITY : x[j] > x[best]) best = j;
  return best;
}

}  // namespace

TEST(argmaxTakesTheLowestOfEqualsAndSkipsNan) {
  std::mt19937 random(11);
  for (int columns : {1, 2, 31, 1024, 1025, 5000, 8193})
    for (int kind = 0; kind < 6; kind++) {
      const int n = 3, stride = columns + 1;
      std::vector<float> x((size_t)n * stride, INFINITY);  // what lies behind a row would win
      for (int i = 0; i < n; i++)
        for (int j = 0; j < columns; j++) {
          int r = random() % 1000;
          const float values[] = {r - 500.0f, r % 3 - 9.0f, r % 4 ? r % 5 - 9.0f : NAN,
                                  NAN,        r % 2 ? NAN : -INFINITY, r % 2 ? 0.0f : -0.0f};
          x[(size_t)i * stride + j] = values[kind];
        }
      int ids[n] = {-7, -7, -7};
      check::launch("sb_argmax", dim3(n), dim3(1024), 0, Params{x.data(), ids, stride, columns});
      for (int i = 0; i < n; i++) {
        int want = expected(&x[(size_t)i * stride], columns);
        EXPECT(ids[i] == want, "[%d] kind %d row %d: %d, not %d", columns, kind, i, ids[i], want);
      }
    }
}
