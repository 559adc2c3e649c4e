// Memory, copies and fills of the stand-in driver.
#include "driver.h"

#include <sys/mman.h>

using driver::Place;

namespace {

constexpr size_t PAGE = 4096;

// Zeros over much memory give its pages back instead: caches of keys are seldom filled by tests.
void fill(char* to, unsigned char value, size_t bytes) {
  char* first = (char*)(((uintptr_t)to + PAGE - 1) & ~(PAGE - 1));
  char* last = (char*)((uintptr_t)(to + bytes) & ~(PAGE - 1));
  bool pages = value == 0 && bytes >= (1u << 20);
  if (!pages || madvise(first, (size_t)(last - first), MADV_DONTNEED)) {
    std::memset(to, value, bytes);
    return;
  }
  std::memset(to, 0, (size_t)(first - to));
  std::memset(last, 0, (size_t)(to + bytes - last));
}

bool onDevice(Place p) { return p == Place::DEVICE || p == Place::PINNED; }

enum class Ends { ANY, FROM_HOST, TO_HOST, DEVICE };

bool allowed(Ends ends, Place to, Place from) {
  if (to == Place::OUTSIDE || from == Place::OUTSIDE) return false;
  if (ends == Ends::ANY) return true;
  if (ends != Ends::TO_HOST && !onDevice(to)) return false;
  return ends == Ends::FROM_HOST || onDevice(from);
}

int copyAsync(Ends ends, void* to, const void* from, size_t bytes, void* stream) {
  ENTER(CONTEXT);
  driver::Stream* s = d.stream(stream);
  if (!s) return INVALID_HANDLE;
  Place target = d.memory.place(to, bytes), source = d.memory.place(from, bytes);
  if (!allowed(ends, target, source)) return INVALID_VALUE;
  if (target != Place::DEVICE) d.counts["to host"] += bytes;
  if (target == Place::DEVICE && source != Place::DEVICE) d.counts["to device"] += bytes;
  if (source == Place::PAGEABLE && !s->capture) {
    // The real driver has taken such memory into its own when the call returns; pinned memory is
    // read when the copy runs.
    auto staged = std::make_shared<std::string>((const char*)from, bytes);
    return d.submit(*s, {"copy", [=] { std::memcpy(to, staged->data(), bytes); }, nullptr, 0});
  }
  int r = d.submit(*s, {"copy", [=] { std::memmove(to, from, bytes); }, nullptr, 0});
  if (r || target != Place::PAGEABLE || s->capture) return r;
  return d.drain(*s);
}

int copy(Ends ends, void* to, const void* from, size_t bytes) {
  int r = copyAsync(ends, to, from, bytes, nullptr);
  if (r) return r;
  ENTER(CONTEXT);
  // Between two places of the device the real driver does not wait either.
  bool both = d.memory.place(to, bytes) == Place::DEVICE &&
      d.memory.place(from, bytes) == Place::DEVICE;
  return both ? (int)SUCCESS : d.drain(d.defaultStream);
}

template <class V>
int fillAsync(char* to, V value, size_t count, void* stream) {
  ENTER(CONTEXT);
  if (count == 0) return SUCCESS;
  if ((uintptr_t)to % sizeof(V) || !onDevice(d.memory.place(to, count * sizeof(V)))) {
    return INVALID_VALUE;
  }
  return d.submit(stream, "fill", [=] {
    if (sizeof(V) == 1 || value == 0) return fill(to, (unsigned char)value, count * sizeof(V));
    std::fill((V*)to, (V*)to + count, value);
  });
}

}  // namespace

API cuMemGetInfo_v2(size_t* free, size_t* total) {
  ENTER(CONTEXT);
  *total = d.memory.total;
  *free = d.memory.total - std::min(d.memory.used, d.memory.total);
  return SUCCESS;
}

API cuMemAlloc_v2(char** p, size_t bytes) {
  ENTER(CONTEXT);
  if (d.fault.due("alloc")) return OUT_OF_MEMORY;
  return d.memory.allocateDevice(p, bytes);
}

// Waits for all work, as the real one does.
API cuMemFree_v2(char* p) {
  ENTER(CONTEXT);
  if (!p) return SUCCESS;
  int r = d.drainAll();
  return r ? r : d.memory.freeDevice(p);
}

API cuMemGetAddressRange_v2(char** base, size_t* bytes, char* p) {
  ENTER(CONTEXT);
  return d.memory.range(base, bytes, p);
}

API cuMemHostAlloc(char** p, size_t bytes, unsigned) {
  ENTER(CONTEXT);
  if (d.fault.due("hostalloc")) return OUT_OF_MEMORY;
  return d.memory.allocateHost(p, bytes);
}

API cuMemAllocHost_v2(char** p, size_t bytes) { return cuMemHostAlloc(p, bytes, 0); }

API cuMemFreeHost(char* p) {
  ENTER(CONTEXT);
  if (!p) return SUCCESS;
  int r = d.drainAll();
  return r ? r : d.memory.freeHost(p);
}

API cuMemHostRegister_v2(char* p, size_t bytes, unsigned) {
  ENTER(CONTEXT);
  return d.memory.registerHost(p, bytes);
}

API cuMemHostUnregister(char* p) {
  ENTER(CONTEXT);
  int r = d.drainAll();
  return r ? r : d.memory.unregisterHost(p);
}

API cuMemHostGetDevicePointer_v2(char** device, char* p, unsigned) {
  ENTER(CONTEXT);
  *device = p;
  return d.memory.hostAddress(p) ? SUCCESS : INVALID_VALUE;
}

API cuMemcpy(char* to, const char* from, size_t n) { return copy(Ends::ANY, to, from, n); }

API cuMemcpyHtoD_v2(char* to, const void* from, size_t n) {
  return copy(Ends::FROM_HOST, to, from, n);
}

API cuMemcpyDtoH_v2(void* to, const char* from, size_t n) {
  return copy(Ends::TO_HOST, to, from, n);
}

API cuMemcpyDtoD_v2(char* to, const char* from, size_t n) {
  return copy(Ends::DEVICE, to, from, n);
}

API cuMemcpyAsync(char* to, const char* from, size_t n, void* stream) {
  return copyAsync(Ends::ANY, to, from, n, stream);
}

API cuMemcpyHtoDAsync_v2(char* to, const void* from, size_t n, void* stream) {
  return copyAsync(Ends::FROM_HOST, to, from, n, stream);
}

API cuMemcpyDtoHAsync_v2(void* to, const char* from, size_t n, void* stream) {
  return copyAsync(Ends::TO_HOST, to, from, n, stream);
}

API cuMemcpyDtoDAsync_v2(char* to, const char* from, size_t n, void* stream) {
  return copyAsync(Ends::DEVICE, to, from, n, stream);
}

API cuMemsetD8Async(char* to, unsigned char v, size_t n, void* stream) {
  return fillAsync(to, v, n, stream);
}

API cuMemsetD8_v2(char* to, unsigned char v, size_t n) { return fillAsync(to, v, n, nullptr); }

API cuMemsetD16Async(char* to, unsigned short v, size_t n, void* stream) {
  return fillAsync(to, v, n, stream);
}

API cuMemsetD16_v2(char* to, unsigned short v, size_t n) { return fillAsync(to, v, n, nullptr); }

API cuMemsetD32Async(char* to, unsigned v, size_t n, void* stream) {
  return fillAsync(to, v, n, stream);
}

API cuMemsetD32_v2(char* to, unsigned v, size_t n) { return fillAsync(to, v, n, nullptr); }
