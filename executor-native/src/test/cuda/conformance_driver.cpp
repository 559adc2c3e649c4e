// The wrappers of device.h on whatever libcuda.so.1 is there: a GPU, or the stand-in.
//
//   nvcc -std=c++17 -I ../../main/cuda -arch=sm_90 -cubin -o conformance.cubin conformance.cu
//   g++ -std=c++17 conformance_driver.cpp -ldl -o conformance && ./conformance conformance.cubin
#include "conformance_cases.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace {

void* library;

template <class... A>
void call(const char* name, A... arguments) {
  auto f = (int (*)(A...))dlsym(library, name);
  int r = f ? f(arguments...) : -1;
  if (r == 0) return;
  std::printf("%s: error %d\n", name, r);
  std::exit(2);
}

// Bytes as the kernel left them.
conformance::Bytes run(void* module, const conformance::Case& c) {
  void* function;
  call("cuModuleGetFunction", &function, module, c.kernel);
  char *in, *out;
  conformance::Bytes got(c.expected.size(), 0xFF);
  call("cuMemAlloc_v2", &in, c.in.size());
  call("cuMemAlloc_v2", &out, got.size());
  call("cuMemcpyHtoD_v2", in, (const void*)c.in.data(), c.in.size());
  call("cuMemcpyHtoD_v2", out, (const void*)got.data(), got.size());
  conformance::Params p{in, out};
  void* params[] = {&p};
  call("cuLaunchKernel", function, 1u, 1u, 1u, (unsigned)c.threads, 1u, 1u,
       (unsigned)c.sharedBytes, (void*)nullptr, (void**)params, (void**)nullptr);
  call("cuMemcpyDtoH_v2", (void*)got.data(), (const char*)out, got.size());
  call("cuMemFree_v2", in);
  call("cuMemFree_v2", out);
  return got;
}

}  // namespace

int main(int argc, char** argv) {
  std::ifstream file(argc > 1 ? argv[1] : "", std::ios::binary);
  std::string image((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  library = dlopen("libcuda.so.1", RTLD_NOW);
  if (!library || image.empty()) {
    std::printf("%s\nusage: conformance MODULE\n", library ? "no such file" : dlerror());
    return 2;
  }
  int device;
  void *context, *module;
  char name[100];
  call("cuInit", 0u);
  call("cuDeviceGet", &device, 0);
  call("cuDeviceGetName", name, 100, device);
  call("cuDevicePrimaryCtxRetain", &context, device);
  call("cuCtxSetCurrent", context);
  call("cuModuleLoadData", &module, (const void*)image.data());
  int failed = 0;
  for (const auto& c : conformance::cases()) {
    long at = conformance::difference(c, run(module, c));
    failed += at >= 0;
    std::printf("%s %s", at < 0 ? "ok  " : "FAIL", c.name.c_str());
    std::printf(at < 0 ? "\n" : ": first difference at byte %ld\n", at);
  }
  std::printf("%d of %zu failed on %s\n", failed, conformance::cases().size(), name);
  return failed > 0;
}
