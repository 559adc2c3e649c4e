// Modules and launches of the stand-in driver. Whatever bytes a module is loaded from, its kernels
// are those that this library was built with.
#include "driver.h"

using driver::Function;

namespace {

char builtIn;

// CU_LAUNCH_PARAM_END, _BUFFER_POINTER and _BUFFER_SIZE.
enum Extra : uintptr_t { END = 0, BUFFER = 1, SIZE = 2 };

// The bytes of the one struct that a kernel takes; false where they are not given as it reads them.
bool parameters(const sbemu::Kernel& k, void** params, void** extra, std::string* bytes) {
  if ((params != nullptr) == (extra != nullptr)) return false;
  if (params) {
    bytes->assign((const char*)params[0], k.paramBytes);
    return true;
  }
  const char* buffer = nullptr;
  size_t size = 0;
  for (; (uintptr_t)*extra != END; extra += 2) {
    if ((uintptr_t)extra[0] == BUFFER) {
      buffer = (const char*)extra[1];
    } else if ((uintptr_t)extra[0] == SIZE) {
      size = *(const size_t*)extra[1];
    } else {
      return false;
    }
  }
  if (size != k.paramBytes) {
    std::fprintf(stderr, "stand-in driver: %s reads %zu bytes of parameters, got %zu\n", k.name,
                 k.paramBytes, size);
  }
  if (!buffer || size != k.paramBytes) return false;
  bytes->assign(buffer, size);
  return true;
}

bool withinLimits(dim3 grid, dim3 threads) {
  if (!grid.x || !grid.y || !grid.z || !threads.x || !threads.y || !threads.z) return false;
  if (grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535) return false;
  if (threads.x > 1024 || threads.y > 1024 || threads.z > 64) return false;
  return threads.x * threads.y * threads.z <= sbemu::THREADS_MAX;
}

}  // namespace

namespace driver {

Function* Driver::function(const void* handle) {
  for (auto& e : functions) {
    if (e.second.get() == handle) return e.second.get();
  }
  return nullptr;
}

}  // namespace driver

API cuModuleLoadData(void** module, const void* image) {
  ENTER(CONTEXT);
  *module = &builtIn;
  return image ? SUCCESS : INVALID_VALUE;
}

API cuModuleLoadDataEx(void** module, const void* image, unsigned, void*, void*) {
  return cuModuleLoadData(module, image);
}

API cuModuleLoadFatBinary(void** module, const void* image) {
  return cuModuleLoadData(module, image);
}

API cuModuleUnload(void* module) {
  ENTER(CONTEXT);
  return module == &builtIn ? SUCCESS : INVALID_HANDLE;
}

API cuModuleGetFunction(void** f, void* module, const char* name) {
  ENTER(CONTEXT);
  if (module != &builtIn) return INVALID_HANDLE;
  sbemu::Kernel* k = sbemu::find(name);
  if (!k) return NOT_FOUND;
  auto& held = d.functions[name];
  if (!held) held.reset(new Function{k});
  *f = held.get();
  return SUCCESS;
}

API cuModuleGetGlobal_v2(char**, size_t*, void*, const char*) {
  ENTER(CONTEXT);
  return NOT_FOUND;
}

// 8: dynamic shared bytes that may be asked for; 9: how much of the cache is shared memory.
API cuFuncSetAttribute(void* f, int attribute, int value) {
  ENTER(CONTEXT);
  Function* function = d.function(f);
  if (!function) return INVALID_HANDLE;
  if (attribute == 9) return SUCCESS;
  if (attribute != 8 || value < 0 || value > driver::SHARED_MAX) return INVALID_VALUE;
  function->sharedMax = value;
  return SUCCESS;
}

API cuFuncGetAttribute(int* value, int attribute, void* f) {
  ENTER(CONTEXT);
  Function* function = d.function(f);
  if (!function) return INVALID_HANDLE;
  switch (attribute) {
    case 0: *value = (int)sbemu::THREADS_MAX; break;
    case 4: *value = 64; break;  // registers
    case 8: *value = function->sharedMax; break;
    case 5:
    case 6: *value = 90; break;  // PTX and binary versions
    default: *value = 0;
  }
  return SUCCESS;
}

API cuFuncGetParamInfo(void* f, size_t index, size_t* offset, size_t* bytes) {
  ENTER(CONTEXT);
  Function* function = d.function(f);
  if (!function) return INVALID_HANDLE;
  if (index > 0) return INVALID_VALUE;
  *offset = 0;
  if (bytes) *bytes = function->kernel->paramBytes;
  return SUCCESS;
}

API cuFuncSetCacheConfig(void* f, int) {
  ENTER(CONTEXT);
  return d.function(f) ? SUCCESS : INVALID_HANDLE;
}

API cuLaunchKernel(void* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned bz, unsigned sharedBytes, void* stream, void** params, void** extra) {
  ENTER(CONTEXT);
  Function* function = d.function(f);
  if (!function || !d.stream(stream)) return INVALID_HANDLE;
  dim3 grid(gx, gy, gz), threads(bx, by, bz);
  std::string bytes;
  if (!withinLimits(grid, threads) || sharedBytes > (unsigned)function->sharedMax ||
      !parameters(*function->kernel, params, extra, &bytes)) {
    return INVALID_VALUE;
  }
  sbemu::Kernel* kernel = function->kernel;
  bool fails = d.fault.due("launch");
  d.counts["launch"]++;
  return d.submit(stream, kernel->name, [=, &d] {
    if (fails) d.sticky = ILLEGAL_ADDRESS;
    // Nothing computes after an error that sticks.
    if (d.sticky) return;
    // Aligned as the kernel's struct is.
    std::vector<uint64_t> aligned((bytes.size() + 7) / 8);
    std::memcpy(aligned.data(), bytes.data(), bytes.size());
    void* arguments[] = {aligned.data()};
    kernel->run(grid, threads, sharedBytes, arguments);
  });
}
