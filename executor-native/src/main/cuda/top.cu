// The largest logits of rows, in order, and the weight of all: what a choice among tokens needs.
#include "device.h"

namespace sb::top {

constexpr int THREADS = 1024;
constexpr int TOP = 256;          // as TopLogits.MOST
constexpr float UNIT = 1ull << 40;  // of a weight, as TopLogits.UNIT

// A row's changed token; saved is the kernel's own.
struct Edit {
  int id;
  float minus;  // infinite: the token is forbidden
  float saved;
  int unused;
};
static_assert(sizeof(Edit) == 16, "Edit");

struct Query {
  int row;
  int firstEdit;
  int edits;
  float scale;
  double depth;
  double factor;  // divides positive and multiplies other logits of edited tokens
};
static_assert(sizeof(Query) == 32, "Query");

struct Answer {
  unsigned long long mass;
  int count;  // of numbers in the row, if at most TOP; -1 if too many tied
  int unused;
  int ids[TOP];
  float logits[TOP];
};
static_assert(sizeof(Answer) == 16 + 8 * TOP, "Answer");

struct TopLogitsParams {
  float* x;  // [n, columns], any alignment; as before when the kernel ends
  const Query* queries;
  Edit* edits;
  Answer* answers;
  long long stride;
  int columns;
};
static_assert(sizeof(TopLogitsParams) == 48, "TopLogitsParams");

// Rises with the number; 0 for what is none. Zeros of both signs are equal.
static __device__ __forceinline__ uint32_t rising(float x) {
  uint32_t bits = __float_as_uint(x + 0.f);
  if (x != x) return 0;
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static __device__ __forceinline__ float number(uint32_t key) {
  return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

// As ReferenceMath.exp.
static __device__ __forceinline__ float exponential(float x) {
  x = fminf(fmaxf(x, -87.f), 87.f);
  float n = rintf(x * 1.44269504f);
  float r = fmaf(n, -0.693147182f, x);
  r = fmaf(n, 1.90465421e-9f, r);
  float p = 8.3125206e-3f;
  p = fmaf(p, r, 4.1890156e-2f);
  p = fmaf(p, r, 0.16667114f);
  p = fmaf(p, r, 0.49999231f);
  p = fmaf(p, r, 1.f);
  p = fmaf(p, r, 1.f);
  return p * __int_as_float((static_cast<int>(n) + 127) << 23);
}

template <class F>
static __device__ __forceinline__ void eachLogit(const float* x, int columns, F f) {
  int c = threadIdx.x;
  for (; c + 3 * THREADS < columns; c += 4 * THREADS) {
    float v[4];
#pragma unroll
    for (int i = 0; i < 4; i++) v[i] = x[c + i * THREADS];
#pragma unroll
    for (int i = 0; i < 4; i++) f(c + i * THREADS, v[i]);
  }
  for (; c < columns; c += THREADS) f(c, x[c]);
}

// Falling; bitonic (Batcher 1968). Starts and ends with a barrier.
static __device__ __forceinline__ void sort(uint64_t (&keys)[THREADS]) {
  const int i = threadIdx.x;
  __syncthreads();
  for (int size = 2; size <= THREADS; size *= 2)
    for (int d = size / 2; d; d /= 2) {
      const int j = i ^ d;
      if (j > i) {
        uint64_t a = keys[i], b = keys[j];
        if ((a < b) == ((i & size) == 0)) {
          keys[i] = b;
          keys[j] = a;
        }
      }
      __syncthreads();
    }
}

static __device__ __forceinline__ void change(float* x, Edit& e, double factor) {
  const float old = x[e.id];
  const double logit = old;
  e.saved = old;
  float changed = static_cast<float>(logit > 0 ? logit / factor : logit * factor) - e.minus;
  x[e.id] = e.minus == SB_INF ? -SB_INF : changed;
}

// Sum of all threads, in thread 0. Whole numbers: the order does not matter.
static __device__ __forceinline__ unsigned long long total(unsigned long long sum,
                                                           unsigned long long (&parts)[32]) {
  for (int d = 16; d; d /= 2) sum += __shfl_xor_sync(sb::ALL, sum, d);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0)
    for (int w = 1; w < 32; w++) sum += parts[w];
  return sum;
}

// One block a query, no two of one row. The (TOP + 1)-th largest of the threads' own largest is a
// floor that at least TOP + 1 logits reach, and few more: about 300 where logits lie at random.
// These are sorted; a row of which more than THREADS reach it, by ties, has no answer.
// Bytes: 8 columns read of each row (the second half from L2), 2 KiB written to the host.
// n = 256, columns = 128256: 131 MB from memory, twice from L2; prediction for an H200: 100 us.
extern "C" __global__ void __launch_bounds__(THREADS)
    sb_top_logits(const __grid_constant__ TopLogitsParams p) {
  __shared__ uint64_t keys[THREADS];
  __shared__ unsigned long long parts[32];
  __shared__ int count;
  const int t = threadIdx.x;
  const Query query = p.queries[blockIdx.x];
  Answer& answer = p.answers[blockIdx.x];
  float* x = p.x + query.row * p.stride;
  for (int i = t; i < query.edits; i += THREADS)
    change(x, p.edits[query.firstEdit + i], query.factor);
  if (t == 0) count = 0;
  __syncthreads();
  uint32_t largest = 0;
  eachLogit(x, p.columns, [&](int, float v) { largest = max(largest, rising(v)); });
  keys[t] = largest;
  sort(keys);
  const uint32_t top = static_cast<uint32_t>(keys[0]);
  const uint32_t least = max(static_cast<uint32_t>(keys[TOP]), 1u);
  __syncthreads();
  keys[t] = 0;
  __syncthreads();
  const float best = number(top);
  const float floor = static_cast<float>(best - query.depth);
  unsigned long long mass = 0;
  eachLogit(x, p.columns, [&](int c, float v) {
    const uint32_t key = rising(v);
    if (v >= floor) {
      const float weight = exponential((v - best) * query.scale);
      mass += static_cast<unsigned long long>(weight * UNIT);
    }
    if (key < least) return;
    const int at = atomicAdd(&count, 1);
    if (at < THREADS) keys[at] = static_cast<uint64_t>(key) << 32 | ~static_cast<uint32_t>(c);
  });
  mass = total(mass, parts);
  sort(keys);
  if (t < min(count, TOP)) {
    const int id = static_cast<int>(~static_cast<uint32_t>(keys[t]));
    answer.ids[t] = id;
    answer.logits[t] = x[id];
  }
  if (t == 0) {
    answer.mass = mass;
    answer.count = count > THREADS ? -1 : count;
  }
  __syncthreads();
  for (int i = t; i < query.edits; i += THREADS) {
    const Edit& e = p.edits[query.firstEdit + i];
    x[e.id] = e.saved;
  }
}
SB_EXPORT(sb_top_logits)

}  // namespace sb::top
