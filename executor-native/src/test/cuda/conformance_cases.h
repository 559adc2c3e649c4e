// What the kernels of conformance.cu must write. Inputs are small whole numbers, so that no order
// of sums changes a bit; roundings are found by search among all numbers of a format.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace conformance {

using Bytes = std::vector<unsigned char>;

struct Case {
  std::string name;
  const char* kernel;
  int threads;
  int sharedBytes;
  Bytes in, expected;
  bool floats;  // any number that is none equals any other
};

// The kernels' parameters.
struct Params {
  const void* in;
  void* out;
};

template <class T>
void append(Bytes& bytes, const T& v) {
  const unsigned char* p = (const unsigned char*)&v;
  bytes.insert(bytes.end(), p, p + sizeof v);
}

template <class T>
Bytes bytes(const std::vector<T>& v) {
  Bytes b;
  for (const T& x : v) append(b, x);
  return b;
}

// Where the first difference is, or -1.
inline long difference(const Case& c, const Bytes& got) {
  if (got.size() != c.expected.size()) return 0;
  for (size_t i = 0; i < got.size(); i += 4) {
    if (!std::memcmp(&got[i], &c.expected[i], 4)) continue;
    float a, b;
    std::memcpy(&a, &got[i], 4);
    std::memcpy(&b, &c.expected[i], 4);
    if (!c.floats || a == a || b == b) return (long)i;
  }
  return -1;
}

// A format of 16 bits with so many bits behind the point.
struct Format {
  int mantissa;
  int bias;

  double value(unsigned v) const {
    int e = (int)(v >> mantissa) & ((1 << (15 - mantissa)) - 1);
    int m = (int)v & ((1 << mantissa) - 1);
    double sign = v >> 15 ? -1 : 1;
    if (e == (1 << (15 - mantissa)) - 1) return m ? NAN : sign * INFINITY;
    if (e == 0) return sign * std::ldexp(m, 1 - bias - mantissa);
    return sign * std::ldexp(m + (1 << mantissa), e - bias - mantissa);
  }

  // The nearest number, of two the even one, by bisection of all that are not negative.
  uint16_t nearest(float x) const {
    if (x != x) return 0x7fff;
    uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    double a = std::fabs((double)x);
    unsigned low = 0, infinite = ((1u << (15 - mantissa)) - 1) << mantissa, high = infinite;
    if (std::isinf(a)) return (uint16_t)(sign | infinite);
    while (high - low > 1) {
      unsigned middle = (low + high) / 2;
      (value(middle) <= a ? low : high) = middle;
    }
    // Infinity stands one step above the largest number.
    double step = value(low) - value(low - (low > 0));
    double above = high == infinite ? value(low) + step : value(high);
    double down = a - value(low), up = above - a;
    bool upwards = up < down || (up == down && (low & 1));
    return (uint16_t)(sign | (upwards ? high : low));
  }
};

constexpr Format BF16{7, 127};
constexpr Format HALF{10, 15};

inline Case product(const char* name, const char* kernel, const Format& format) {
  std::mt19937 random(11);
  auto whole = [&] { return (float)((int)(random() % 17) - 8); };
  std::vector<float> a(32 * 16), b(16 * 16), c(32 * 16), d;
  for (auto* m : {&a, &b, &c}) std::generate(m->begin(), m->end(), whole);
  for (int i = 0; i < 32; i++) {
    for (int j = 0; j < 16; j++) {
      float sum = c[i * 16 + j];
      for (int k = 0; k < 16; k++) sum += a[i * 16 + k] * b[j * 16 + k];
      d.push_back(sum);
    }
  }
  Bytes in;
  for (float x : a) append(in, format.nearest(x));
  for (float x : b) append(in, format.nearest(x));
  for (float x : c) append(in, x);
  return {name, kernel, 32, 0, in, bytes(d), true};
}

inline Case loads(const char* name, const char* kernel, bool transposed) {
  std::vector<uint16_t> in;
  for (int i = 0; i < 8 * 64; i++) in.push_back((uint16_t)(1000 + i));
  std::vector<uint32_t> out;
  for (int l = 0; l < 32; l++) {
    for (int matrix = 0; matrix < 8; matrix++) {
      int first = l / 4 * 8 + l % 4 * 2;
      int second = first + 1;
      if (transposed) {
        first = l % 4 * 2 * 8 + l / 4;
        second = first + 8;
      }
      out.push_back(in[matrix * 64 + first] | (uint32_t)in[matrix * 64 + second] << 16);
    }
  }
  return {name, kernel, 32, 64 * 48, bytes(in), bytes(out), false};
}

inline Case copies() {
  Bytes in(768), out(768);
  for (size_t i = 0; i < in.size(); i++) {
    in[i] = (unsigned char)(i * 7 + 1);
    size_t lane = i < 512 ? i / 16 : (i - 512) / 8;
    out[i] = lane % 3 ? in[i] : 0;
  }
  return {"copies and zeros in their place", "conform_copies", 32, 768, in, out, false};
}

// In the order of the shuffles: large and small numbers show another order.
inline Case reductions() {
  std::vector<float> x(32), out(128);
  std::mt19937 random(5);
  for (float& v : x) v = std::ldexp((float)(random() % 4096) - 2048, (int)(random() % 30));
  std::vector<float> sum = x, quad = x;
  for (int d : {16, 8, 4, 2, 1}) {
    std::vector<float> before = sum;
    for (int l = 0; l < 32; l++) sum[l] = before[l] + before[l ^ d];
  }
  for (int l = 0; l < 32; l++) {
    int q = l / 4 * 4;
    out[l] = sum[l];
    out[32 + l] = *std::max_element(x.begin(), x.end());
    out[64 + l] = (x[l] + x[l ^ 1]) + (x[l ^ 2] + x[l ^ 3]);
    out[96 + l] = *std::max_element(x.begin() + q, x.begin() + q + 4);
  }
  return {"sums and largest", "conform_reductions", 32, 0, bytes(x), bytes(out), true};
}

// Halfway numbers of both formats and their neighbours, ends of ranges, what is no number, others.
inline std::vector<float> hardNumbers() {
  std::vector<float> x{0.f, -0.f, INFINITY, -INFINITY, NAN, 3.4e38f, -3.4e38f, 65504.f, 65519.9f,
                       65520.f, 65536.f, 1e-45f, 5.9e-8f, 2.98e-8f, 2.9802322e-8f, 6.1e-5f};
  std::mt19937 random(3);
  while (x.size() < 1024) {
    const Format& f = x.size() % 2 ? BF16 : HALF;
    unsigned v = random() & 0x7fff;
    double low = f.value(v), high = f.value(v + 1);
    if (!std::isfinite(low) || !std::isfinite(high)) continue;
    float middle = (float)((low + high) / 2 * (random() % 2 ? 1 : -1));
    for (float y : {middle, std::nextafterf(middle, 0), std::nextafterf(middle, INFINITY)}) {
      if (x.size() < 1024) x.push_back(y);
    }
  }
  return x;
}

inline Case narrow() {
  std::vector<float> x = hardNumbers();
  std::vector<uint16_t> out;
  for (int packed = 0; packed < 2; packed++) {
    for (const Format& f : {BF16, HALF}) {
      for (float v : x) out.push_back(f.nearest(v));
    }
  }
  return {"floats to 16 bits", "conform_narrow", 128, 0, bytes(x), bytes(out), false};
}

inline Case widen() {
  std::vector<float> out;
  for (const Format& f : {BF16, HALF}) {
    for (unsigned v = 0; v < 65536; v++) out.push_back((float)f.value(v));
  }
  return {"16 bits to floats", "conform_widen", 128, 0, Bytes(4), bytes(out), true};
}

inline Case warp() {
  std::vector<int> x(32), out(224);
  std::mt19937 random(9);
  for (int& v : x) v = (int)(random() % 1000);
  unsigned odd = 0;
  for (int l = 0; l < 32; l++) odd |= (unsigned)(x[l] & 1) << l;
  for (int l = 0; l < 32; l++) {
    out[l] = x[l / 8 * 8 + 3];
    out[32 + l] = x[l ^ 5];
    out[64 + l] = l % 16 < 13 ? x[l + 3] : x[l];
    out[96 + l] = l < 2 ? x[l] : x[l - 2];
    out[128 + l] = (int)odd;
    out[160 + l] = __builtin_popcount(odd);
    out[192 + l] = x[31 - l];
  }
  return {"shuffles, votes, static memory", "conform_warp", 32, 0, bytes(x), bytes(out), false};
}

inline std::vector<Case> cases() {
  return {product("product of bfloat16", "conform_mma_bf16", BF16),
          product("product of halves", "conform_mma_half", HALF),
          loads("matrix loads", "conform_load_matrices", false),
          loads("transposed matrix loads", "conform_load_transposed", true),
          copies(),
          reductions(),
          narrow(),
          widen(),
          warp()};
}

}  // namespace conformance
