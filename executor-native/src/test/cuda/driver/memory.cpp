// Device and pinned memory of the stand-in driver.
#include "driver.h"

#include <sys/mman.h>

namespace driver {

namespace {

constexpr size_t PAGE = 4096;
// As of the real driver. An allocation ends that close to the page that is not there; what lies
// between is checked.
constexpr size_t ALIGNMENT = 256;

template <class Map>
auto holding(Map& map, const char* p) {
  auto it = map.upper_bound(p);
  return it == map.begin() ? map.end() : --it;
}

Range reserve(size_t bytes, char** p) {
  size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  size_t pages = (rounded + PAGE - 1) / PAGE * PAGE;
  char* at = (char*)mmap(nullptr, pages + PAGE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return {nullptr, 0, 0};
  mprotect(at + pages, PAGE, PROT_NONE);
  std::memset(at, 0xFF, pages);
  *p = at + pages - rounded;
  return {at, pages + PAGE, bytes};
}

// Stops at a write between an allocation's end and its missing page.
template <class Entry>
void checkEnd(const Entry& e) {
  const char* end = e.second.mapped + e.second.mappedBytes - PAGE;
  for (const char* p = e.first + e.second.bytes; p < end; p++) {
    if (*p == (char)0xFF) continue;
    std::fprintf(stderr, "stand-in driver: write %zu bytes into device memory of %zu\n",
                 (size_t)(p - e.first), e.second.bytes);
    std::abort();
  }
}

}  // namespace

Result Memory::allocateDevice(char** p, size_t bytes) {
  if (bytes == 0) return INVALID_VALUE;
  if (bytes > total - std::min(used, total)) return OUT_OF_MEMORY;
  Range r = reserve(bytes, p);
  if (!r.mapped) return OUT_OF_MEMORY;
  device_[*p] = r;
  used += bytes;
  protect(r);
  return SUCCESS;
}

Result Memory::allocateHost(char** p, size_t bytes) {
  if (bytes == 0) return INVALID_VALUE;
  Range r = reserve(bytes, p);
  if (!r.mapped) return OUT_OF_MEMORY;
  host_[*p] = r;
  return SUCCESS;
}

Result Memory::freeDevice(char* p) {
  auto it = device_.find(p);
  if (it == device_.end()) return INVALID_VALUE;
  open();
  checkEnd(*it);
  close();
  munmap(it->second.mapped, it->second.mappedBytes);
  used -= it->second.bytes;
  device_.erase(it);
  return SUCCESS;
}

Result Memory::freeHost(char* p) {
  auto it = host_.find(p);
  if (it == host_.end()) return INVALID_VALUE;
  munmap(it->second.mapped, it->second.mappedBytes);
  host_.erase(it);
  return SUCCESS;
}

Result Memory::registerHost(char* p, size_t bytes) {
  if (bytes == 0 || place(p, bytes) != Place::PAGEABLE) return INVALID_VALUE;
  registered_[p] = bytes;
  return SUCCESS;
}

Result Memory::unregisterHost(char* p) {
  return registered_.erase(p) ? SUCCESS : INVALID_VALUE;
}

Place Memory::place(const void* address, size_t bytes) const {
  const char* p = (const char*)address;
  auto d = holding(device_, p);
  if (d != device_.end() && p < d->first + d->second.bytes) {
    return p + bytes <= d->first + d->second.bytes ? Place::DEVICE : Place::OUTSIDE;
  }
  auto h = holding(host_, p);
  if (h != host_.end() && p < h->first + h->second.bytes) {
    return p + bytes <= h->first + h->second.bytes ? Place::PINNED : Place::OUTSIDE;
  }
  auto r = holding(registered_, p);
  if (r != registered_.end() && p + bytes <= r->first + r->second) return Place::PINNED;
  return Place::PAGEABLE;
}

bool Memory::hostAddress(const char* p) const { return place(p, 1) == Place::PINNED; }

Result Memory::range(char** base, size_t* bytes, char* p) const {
  if (place(p, 1) != Place::DEVICE) return NOT_FOUND;
  auto it = holding(device_, p);
  if (base) *base = (char*)it->first;
  if (bytes) *bytes = it->second.bytes;
  return SUCCESS;
}

void Memory::protect(const Range& r) const {
  int access = opened_ || alwaysOpen_ ? PROT_READ | PROT_WRITE : PROT_NONE;
  if (mprotect(r.mapped, r.mappedBytes - PAGE, access)) {
    std::perror("stand-in driver: mprotect");
    std::abort();
  }
}

void Memory::open() {
  if (opened_++ || alwaysOpen_) return;
  for (auto& e : device_) protect(e.second);
}

void Memory::close() {
  if (opened_ == 1) {
    for (auto& e : device_) checkEnd(e);
  }
  if (--opened_ || alwaysOpen_) return;
  for (auto& e : device_) protect(e.second);
}

void Memory::leaveOpen(bool always) {
  alwaysOpen_ = always;
  for (auto& e : device_) protect(e.second);
}

}  // namespace driver
