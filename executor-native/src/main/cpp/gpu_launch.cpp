#include "gpu_launch.h"

#include <mutex>

#include "shared_library.h"

namespace shadowbatch {

namespace {

// Marks of cuLaunchKernel's `extra` (cuda.h).
void* const kEnd = nullptr;
void* const kBuffer = reinterpret_cast<void*>(1);
void* const kSize = reinterpret_cast<void*>(2);

struct Driver {
  SharedLibrary library;
  int (*setCurrent)(void*);
  int (*launch)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*,
                void**, void**);
  int (*copy)(uint64_t, uint64_t, size_t, void*);
  int (*query)(void*);
  int (*parameter)(void*, size_t, size_t*, size_t*);  // since 12.4, else null
  bool ready = false;
};

Driver driver;
std::mutex opening;

}  // namespace

std::string openDriver(const std::string& library) {
  std::lock_guard<std::mutex> lock(opening);
  Driver& d = driver;
  if (d.ready) return "";
  SharedLibrary l;
  // Global, so that JCuda's library finds its driver here whatever file it came from.
  l.open({library}, RTLD_NOW | RTLD_GLOBAL);
  if (!l.isOpen()) return l.why();
  bool all = l.find("cuCtxSetCurrent", d.setCurrent) && l.find("cuLaunchKernel", d.launch) &&
             l.find("cuMemcpyAsync", d.copy) && l.find("cuStreamQuery", d.query);
  if (!all) return l.why();
  if (!l.find("cuFuncGetParamInfo", d.parameter)) d.parameter = nullptr;
  d.library = l;
  d.ready = true;
  return "";
}

int enterContext(void* context) { return driver.setCurrent(context); }

int launch(const Launch& l) {
  int entered = driver.setCurrent(l.context);
  if (entered != 0) return entered;
  size_t bytes = l.paramBytes;
  void* extra[] = {kBuffer, l.params, kSize, &bytes, kEnd};
  return driver.launch(l.function, l.gridX, l.gridY, l.gridZ, l.threads, 1, 1, l.sharedBytes,
                       l.stream, nullptr, extra);
}

int copyAsync(void* context, uint64_t to, uint64_t from, size_t bytes, void* stream) {
  int entered = driver.setCurrent(context);
  return entered != 0 ? entered : driver.copy(to, from, bytes, stream);
}

int queryStream(void* context, void* stream) {
  int entered = driver.setCurrent(context);
  return entered != 0 ? entered : driver.query(stream);
}

long parameterBytes(void* function) {
  if (driver.parameter == nullptr) return -1;
  size_t end = 0;
  size_t offset;
  size_t size;
  for (size_t i = 0; driver.parameter(function, i, &offset, &size) == 0; i++) end = offset + size;
  return static_cast<long>(end);
}

}  // namespace shadowbatch
