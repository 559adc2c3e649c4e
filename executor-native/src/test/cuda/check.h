// The little that tests of kernels need: named tests, launches by name, errors against a reference.
#pragma once
#include "device.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace check {

struct Test {
  const char* name;
  void (*run)();
  Test* next;
};

inline Test*& tests() {
  static Test* head = nullptr;
  return head;
}

inline int& failures() {
  static int count = 0;
  return count;
}

struct Register {
  Test test;
  Register(const char* name, void (*run)()) : test{name, run, tests()} { tests() = &test; }
};

// Runs a kernel to its end.
template <class Params>
void launch(const char* kernel, dim3 grid, dim3 block, size_t shared, const Params& params) {
  for (auto* k = sbemu::kernels(); k; k = k->next) {
    if (std::strcmp(k->name, kernel) != 0) continue;
    Params copy = params;
    void* arguments[] = {&copy};
    k->run(grid, block, shared, arguments);
    return;
  }
  std::fprintf(stderr, "no kernel %s\n", kernel);
  std::exit(2);
}

// ||got - expected|| / ||expected||, infinite if anything is not a number.
inline double relativeError(const std::vector<float>& got, const std::vector<double>& expected) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); i++) {
    double d = got[i] - expected[i];
    error += d * d;
    norm += expected[i] * expected[i];
  }
  double r = std::sqrt(error / (norm > 0 ? norm : 1));
  return r == r ? r : INFINITY;
}

inline std::vector<float> normal(size_t n, unsigned seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> d;
  std::vector<float> v(n);
  for (auto& x : v) x = scale * d(random);
  return v;
}

}  // namespace check

#define TEST(name)                                         \
  static void name();                                      \
  static check::Register register_##name(#name, &name);    \
  static void name()

#define EXPECT(condition, ...)                                       \
  do {                                                               \
    if (!(condition)) {                                              \
      check::failures()++;                                           \
      std::printf("%s:%d: %s: ", __FILE__, __LINE__, #condition);    \
      std::printf(__VA_ARGS__);                                      \
      std::printf("\n");                                             \
    }                                                                \
  } while (0)
