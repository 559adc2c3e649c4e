// What the lanes of a warp do together. The last lane to come does it for all, over pointers to
// what each brought. Only barriers and __syncwarp order memory for the race detector: shuffles do not.
#pragma once
#include "launch.h"

namespace sbemu {

constexpr uint32_t ALL_LANES = 0xffffffffu;

SBEMU_QUIET inline void checkMeeting(Warp& w, uint32_t mask, Collective op) {
  for (uint32_t m = mask; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    if (w.mask[l] != mask || w.op[l] != op) die("lanes met at different warp collectives");
  }
}

SBEMU_QUIET inline void collect(
    uint32_t mask, const void* in, void* out, Collective op, const char* where) {
  Fiber& f = self();
  Block& b = *f.block;
  Warp& w = b.warp[f.warp];
  int lane = f.lane;
  uint32_t me = 1u << lane;
  f.where = where;
  if (!(mask & me)) die("a lane outside its own mask called a warp collective");
  if (mask & ~w.live) die("a warp collective names a lane that has exited");
  w.in[lane] = in;
  w.out[lane] = out;
  w.mask[lane] = mask;
  w.op[lane] = op;
  w.arrived |= me;
  if ((w.arrived & mask) != mask) {
    f.state = State::AT_COLLECTIVE;
    w.ready &= ~me;
    yield(b, f);
    f.state = State::READY;
    return;
  }
  checkMeeting(w, mask, op);
  op(w, mask);
  w.arrived &= ~mask;
  w.ready |= mask;
  // At random others may go first.
  if (b.order == Order::RANDOM) yield(b, f);
}

template <class V>
struct Shuffle {
  V value;
  int from;
};

template <class V>
SBEMU_QUIET void shuffleOp(Warp& w, uint32_t mask) {
  for (uint32_t m = mask; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    int from = ((const Shuffle<V>*)w.in[l])->from;
    if (!(mask >> from & 1)) die("shuffle from a lane that is not in the mask");
    *(V*)w.out[l] = ((const Shuffle<V>*)w.in[from])->value;
  }
}

template <class V>
inline V shuffle(const char* where, uint32_t mask, V v, int from) {
  Shuffle<V> s{v, from};
  V out;
  collect(mask, &s, &out, &shuffleOp<V>, where);
  return out;
}

// Width: a power of two; lanes shuffle within groups of so many.
template <class V>
inline V shuffleIndex(const char* where, uint32_t mask, V v, int lane, int width = 32) {
  return shuffle(where, mask, v, (self().lane & -width) | (lane & (width - 1)));
}

// A partner out of the group is the lane itself.
template <class V>
inline V shuffleXor(const char* where, uint32_t mask, V v, int x, int width = 32) {
  int to = self().lane ^ x;
  return shuffle(where, mask, v, to < (self().lane & -width) + width ? to : self().lane);
}

template <class V>
inline V shuffleDown(const char* where, uint32_t mask, V v, unsigned delta, int width = 32) {
  int at = self().lane & (width - 1);
  return shuffle(where, mask, v, self().lane + (at + (int)delta < width ? (int)delta : 0));
}

template <class V>
inline V shuffleUp(const char* where, uint32_t mask, V v, unsigned delta, int width = 32) {
  int at = self().lane & (width - 1);
  return shuffle(where, mask, v, self().lane - (at >= (int)delta ? (int)delta : 0));
}

SBEMU_QUIET inline void ballotOp(Warp& w, uint32_t mask) {
  uint32_t votes = 0;
  for (uint32_t m = mask; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    if (*(const bool*)w.in[l]) votes |= 1u << l;
  }
  for (uint32_t m = mask; m; m &= m - 1) *(uint32_t*)w.out[__builtin_ctz(m)] = votes;
}

inline uint32_t ballot(const char* where, uint32_t mask, bool vote) {
  uint32_t votes;
  collect(mask, &vote, &votes, &ballotOp, where);
  return votes;
}

SBEMU_QUIET inline void meetOp(Warp&, uint32_t) {}

SBEMU_QUIET inline char* warpAddress() {
  Fiber& f = self();
  Warp& w = f.block->warp[f.warp];
  return &w.synced[w.generation[f.lane]++ & 1];
}

// __syncwarp.
inline void meet(const char* where, uint32_t mask = ALL_LANES) {
  SBEMU_TSAN(char* address = warpAddress(); __tsan_release(address);)
  collect(mask, nullptr, nullptr, &meetOp, where);
  SBEMU_TSAN(__tsan_acquire(address);)
}

}  // namespace sbemu

#define SBEMU_TEXT_OF(x) #x
#define SBEMU_TEXT(x) SBEMU_TEXT_OF(x)
#define SBEMU_HERE __FILE__ ":" SBEMU_TEXT(__LINE__)

#define __syncthreads() ((void)sbemu::barrier(false, SBEMU_HERE))
#define __syncthreads_count(p) sbemu::barrier((p) != 0, SBEMU_HERE)
#define __syncthreads_or(p) (sbemu::barrier((p) != 0, SBEMU_HERE) > 0)
#define __syncthreads_and(p) (sbemu::barrier((p) == 0, SBEMU_HERE) == 0)
#define __syncwarp(...) sbemu::meet(SBEMU_HERE, ##__VA_ARGS__)
#define __shfl_sync(...) sbemu::shuffleIndex(SBEMU_HERE, __VA_ARGS__)
#define __shfl_xor_sync(...) sbemu::shuffleXor(SBEMU_HERE, __VA_ARGS__)
#define __shfl_down_sync(...) sbemu::shuffleDown(SBEMU_HERE, __VA_ARGS__)
#define __shfl_up_sync(...) sbemu::shuffleUp(SBEMU_HERE, __VA_ARGS__)
#define __ballot_sync(m, p) sbemu::ballot(SBEMU_HERE, m, (p) != 0)
#define __any_sync(m, p) (sbemu::ballot(SBEMU_HERE, m, (p) != 0) != 0)
#define __all_sync(m, p) (sbemu::ballot(SBEMU_HERE, m, (p) == 0) == 0)
