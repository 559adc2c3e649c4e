// Elementwise operations and norms.
#include "check.h"

using namespace sb;

namespace {

struct Embed {
  const bf16* table;
  const int* ids;
  float* out;
  int columns, outStride;
};
struct Quantize {
  const float* x;
  bf16* out;
  int columns, xStride, outStride;
};
struct SwiGlu {
  const float* gateUp;
  bf16* out;
  int width, stride, outStride;
};
struct Gather {
  const float* x;
  const int* rows;
  float* out;
  int columns, xStride, outStride;
};
struct RmsNorm {
  const float *x, *weight;
  bf16* out;
  int columns, xStride, outStride;
  float eps;
};
struct HeadNorm {
  float* x;
  const float* weight;
  int n, heads, headDim, stride;
  float eps;
};
static_assert(sizeof(Embed) == 32 && sizeof(Quantize) == 32 && sizeof(SwiGlu) == 32, "elementwise");
static_assert(sizeof(Gather) == 40 && sizeof(RmsNorm) == 40 && sizeof(HeadNorm) == 40, "norms");

// Rows with gaps of NaN behind them, 16-byte aligned as the kernels want them.
template <class T>
struct Rows {
  int n, columns, stride;
  T* data;

  Rows(int n, int columns, int gap) : n(n), columns(columns), stride(columns + gap) {
    size_t bytes = (size_t)n * stride * sizeof(T);
    data = (T*)std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    std::memset(data, 0xff, bytes);  // NaN in both types
  }
  Rows(int n, int columns, int gap, unsigned seed, float scale) : Rows(n, columns, gap) {
    auto v = check::normal((size_t)n * columns, seed, scale);
    for (int i = 0; i < n; i++) std::memcpy(row(i), &v[(size_t)i * columns], 4u * columns);
  }
  Rows(const Rows&) = delete;
  ~Rows() { std::free(data); }
  T* row(int i) const { return data + (size_t)i * stride; }
  bool gapsUntouched() const {
    for (int i = 0; i < n; i++)
      for (int j = columns; j < stride; j++)
        for (size_t b = 0; b < sizeof(T); b++)
          if (((unsigned char*)(row(i) + j))[b] != 0xff) return false;
    return true;
  }
};

// Within half a step of bf16 of the exact value, and the two more float roundings' share.
bool rounded(bf16 got, double exact) {
  return std::fabs(toFloat(got) - exact) <= std::fabs(exact) * (1 / 256.0 + 1e-6) + 1e-40;
}

double meanSquare(const float* x, int n) {
  double s = 0;
  for (int i = 0; i < n; i++) s += (double)x[i] * x[i];
  return s / n;
}

}  // namespace

TEST(embedWidensRowsOfTheTable) {
  for (int d : {16, 48, 1024, 1040}) {
    const int rows = 9, n = 5, ids[n] = {8, 0, 3, 3, 7};
    Rows<bf16> table(rows, d, 0);
    for (int i = 0; i < rows * d; i++) table.data[i] = {(uint16_t)(i * 7919)};
    Rows<float> out(n, d, 4);
    check::launch("sb_embed", dim3(n), dim3(128), 0, Embed{table.data, ids, out.data, d, d + 4});
    int wrong = 0;
    for (int i = 0; i < n; i++)
      for (int j = 0; j < d; j++)
        wrong += __float_as_uint(out.row(i)[j]) != (uint32_t)table.row(ids[i])[j].bits << 16;
    EXPECT(wrong == 0 && out.gapsUntouched(), "d %d: %d", d, wrong);
  }
}

TEST(quantizeRoundsToNearestEven) {
  for (int d : {16, 2048, 2064, 4112}) {
    const int n = 3;
    Rows<float> x(n, d, 4, d, 3);
    const float edges[] = {1.00390625f, 1.01171875f, -1.00390625f, 0, -0.0f, 1e-40f, INFINITY, 3.4e38f};
    std::memcpy(x.row(1) + d - 8, edges, sizeof edges);
    Rows<bf16> out(n, d, 8);
    check::launch("sb_quantize", dim3(n, (d + 2047) / 2048), dim3(256), 0,
                  Quantize{x.data, out.data, d, d + 4, d + 8});
    int wrong = 0;
    for (int i = 0; i < n; i++)
      for (int j = 0; j < d; j++) {
        uint32_t v = __float_as_uint(x.row(i)[j]), low = v & 0xffff;
        uint32_t up = low > 0x8000 || (low == 0x8000 && (v >> 16 & 1));
        wrong += out.row(i)[j].bits != (v >> 16) + up;
      }
    EXPECT(wrong == 0 && out.gapsUntouched(), "d %d: %d", d, wrong);
  }
}

TEST(swiGluGatesTheSecondHalfByTheFirst) {
  for (int f : {32, 2048, 2080}) {
    const int n = 3;
    Rows<float> x(n, 2 * f, 4, f, 4);
    x.row(1)[0] = 100;
    x.row(1)[1] = -100;
    Rows<bf16> out(n, f, 8);
    check::launch("sb_swiglu", dim3(n, (f + 2047) / 2048), dim3(256), 0,
                  SwiGlu{x.data, out.data, f, 2 * f + 4, f + 8});
    int wrong = 0;
    for (int i = 0; i < n; i++)
      for (int j = 0; j < f; j++) {
        double g = x.row(i)[j];
        wrong += !rounded(out.row(i)[j], g / (1 + std::exp(-g)) * x.row(i)[f + j]);
      }
    EXPECT(wrong == 0 && out.gapsUntouched(), "f %d: %d", f, wrong);
  }
}

TEST(gatherCopiesRowsOfAnyWidth) {
  for (int d : {1, 3, 300}) {
    const int n = 4, rows[n] = {6, 0, 6, 2};
    Rows<float> x(7, d, 1, d, 1), out(n, d, 3);
    check::launch("sb_gather", dim3(n), dim3(256), 0,
                  Gather{x.data, rows, out.data, d, d + 1, d + 3});
    for (int i = 0; i < n; i++)
      EXPECT(std::memcmp(out.row(i), x.row(rows[i]), 4u * d) == 0, "d %d row %d", d, i);
    EXPECT(out.gapsUntouched(), "d %d", d);
  }
}

TEST(rmsNormIsTheNormOfEachRow) {
  for (int d : {16, 48, 576, 1024, 4112})
    for (float scale : {1e-3f, 1.0f, 1e15f}) {
      const int n = 3;
      const float eps = 1e-5f;
      Rows<float> x(n, d, 4, d, scale), w(1, d, 0, 3, 1);
      for (int j = 0; j < d; j++) x.row(2)[j] = 0;
      Rows<bf16> out(n, d, 8);
      check::launch("sb_rms_norm", dim3(n), dim3(256), 0,
                    RmsNorm{x.data, w.data, out.data, d, d + 4, d + 8, eps});
      int wrong = 0;
      for (int i = 0; i < n; i++) {
        double r = 1 / std::sqrt(meanSquare(x.row(i), d) + eps);
        for (int j = 0; j < d; j++) wrong += !rounded(out.row(i)[j], x.row(i)[j] * r * w.data[j]);
      }
      EXPECT(wrong == 0 && out.gapsUntouched(), "d %d scale %g: %d", d, scale, wrong);
    }
}

TEST(headNormIsTheNormOfEachHead) {
  for (int d : {16, 80, 128, 256})
    for (int heads : {1, 3, 7}) {
      const int n = 5;
      const float eps = 1e-6f;
      Rows<float> x(n, heads * d, 4, d, 2), before(n, heads * d, 4, d, 2), w(1, d, 0, 3, 1);
      check::launch("sb_head_norm", dim3((n * heads + 7) / 8), dim3(256), 0,
                    HeadNorm{x.data, w.data, n, heads, d, heads * d + 4, eps});
      std::vector<float> got;
      std::vector<double> want;
      for (int i = 0; i < n; i++)
        for (int h = 0; h < heads; h++) {
          const float* head = before.row(i) + h * d;
          double r = 1 / std::sqrt(meanSquare(head, d) + eps);
          got.insert(got.end(), x.row(i) + h * d, x.row(i) + h * d + d);
          for (int j = 0; j < d; j++) want.push_back(head[j] * r * w.data[j]);
        }
      double e = check::relativeError(got, want);
      EXPECT(e < 2e-7 && x.gapsUntouched(), "d %d heads %d: %g", d, heads, e);
    }
}
