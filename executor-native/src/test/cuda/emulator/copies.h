// Asynchronous copies to shared memory. On the device they land at any time between the call and
// the wait: here as late as can be, which shows a missing wait, or at once, which shows a buffer
// that someone still reads.
#pragma once
#include "collectives.h"

namespace sbemu {

inline void land(const Copy& c) {
  uint32_t* to = (uint32_t*)c.to;
  const uint32_t* from = (const uint32_t*)c.from;
  for (int i = 0; i < c.size / 4; i++) to[i] = i < c.bytes / 4 ? from[i] : 0;
}

inline void copyAsync(void* to, const void* from, int bytes, int size) {
  uintptr_t ends = (uintptr_t)to | (uintptr_t)from;
  if (ends & uintptr_t(size - 1)) die("misaligned asynchronous copy");
  Fiber& f = self();
  Copy c{to, from, bytes, size, f.group};
  if (f.block->lateCopies) {
    f.copies.push_back(c);
  } else {
    land(c);
  }
}

inline void commitCopies() { self().group++; }

// Waits until at most so many groups of this thread are on their way.
inline void waitCopies(int keep) {
  Fiber& f = self();
  std::vector<Copy>& copies = f.copies;
  size_t done = 0;
  while (done < copies.size() && copies[done].group < f.group - keep) land(copies[done++]);
  copies.erase(copies.begin(), copies.begin() + (long)done);
}

}  // namespace sbemu
