// The bridge to the Java class io.shadowbatch.kernels.cpu.Native, and the only file that knows JNI.
// Arguments were checked in Java (Shapes).
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>
#include <vector>

#include "args.h"
#include "io_shadowbatch_kernels_cpu_Native.h"
#include "isa.h"
#include "peak.h"
#include "spikes.h"

using namespace shadowbatch;

namespace {

// What a handle points to. Calls on one handle are serialised.
struct Context {
  Context(int isa, int threads) : ops(opsOf(isa)), pool(threads, kScratchBytes) {}
  const Ops& ops;
  Pool pool;
  std::mutex mutex;
  std::vector<AppendRun> runs;
  std::vector<int32_t> rowPages;
  SpikePlan spikes;
};

void throwJava(JNIEnv* env, const char* type, const char* message) {
  if (env->ExceptionCheck()) return;
  jclass c = env->FindClass(type);
  if (c != nullptr) env->ThrowNew(c, message);
}

// Runs body and turns what it throws into a Java exception.
template <class Body>
void guard(JNIEnv* env, Body body) noexcept {
  try {
    body();
  } catch (const std::bad_alloc&) {
    throwJava(env, "java/lang/OutOfMemoryError", "native memory of the CPU kernels");
  } catch (const std::invalid_argument& e) {
    throwJava(env, "java/lang/IllegalArgumentException", e.what());
  } catch (const std::exception& e) {
    throwJava(env, "java/lang/IllegalStateException", e.what());
  } catch (...) {
    throwJava(env, "java/lang/IllegalStateException", "unknown native error");
  }
}

// guard, with the context's lock held.
template <class Body>
void onContext(JNIEnv* env, jlong handle, Body body) noexcept {
  guard(env, [&] {
    auto& c = *reinterpret_cast<Context*>(handle);
    std::lock_guard<std::mutex> lock(c.mutex);
    body(c);
  });
}

// The elements of a Java array, copied back if they were written.
class Ints {
 public:
  Ints(JNIEnv* env, jintArray array, int release = JNI_ABORT)
      : env_(env), array_(array), release_(release), p_(env->GetIntArrayElements(array, nullptr)) {
    if (p_ == nullptr) throw std::bad_alloc();
  }
  ~Ints() { env_->ReleaseIntArrayElements(array_, p_, release_); }
  Ints(const Ints&) = delete;
  operator int32_t*() const { return reinterpret_cast<int32_t*>(p_); }

 private:
  JNIEnv* env_;
  jintArray array_;
  int release_;
  jint* p_;
};

class Longs {
 public:
  Longs(JNIEnv* env, jlongArray array)
      : env_(env), array_(array), p_(env->GetLongArrayElements(array, nullptr)) {
    if (p_ == nullptr) throw std::bad_alloc();
  }
  ~Longs() { env_->ReleaseLongArrayElements(array_, p_, JNI_ABORT); }
  Longs(const Longs&) = delete;
  operator const int64_t*() const { return reinterpret_cast<const int64_t*>(p_); }

 private:
  JNIEnv* env_;
  jlongArray array_;
  jlong* p_;
};

template <class T>
T* at(int64_t address) {
  return reinterpret_cast<T*>(address);
}

Floats floats(int64_t address, int64_t stride) { return {at<float>(address), stride}; }

// From {q, scale, sum, qStride, groupStride, spikes, spikeColumn, spikeValue}.
Quantised quantised(const int64_t* a) {
  return {at<int8_t>(a[0]), at<float>(a[1]),   at<float>(a[2]),   a[3],
          a[4],             at<int32_t>(a[5]), at<int32_t>(a[6]), at<float>(a[7])};
}

// The arrays of append and attend, held while the operation runs.
struct Step {
  Longs shape;  // see Native.append
  Ints positions;
  Ints firstRows;  // of each slice, and the number of rows
  Longs pages;
  Ints firstPages;
  KvArgs kv;

  Step(JNIEnv* env, jlongArray shapeArray, jfloat scale, jintArray positionArray,
       jintArray firstRowArray, jlongArray pageArray, jintArray firstPageArray, Context& c)
      : shape(env, shapeArray),
        positions(env, positionArray),
        firstRows(env, firstRowArray),
        pages(env, pageArray),
        firstPages(env, firstPageArray) {
    const int64_t* s = shape;
    const int slices = static_cast<int>(s[12]);
    kv.codec = static_cast<int>(s[0]);
    kv.kvHeads = static_cast<int>(s[1]);
    kv.headsPerGroup = static_cast<int>(s[2]);
    kv.headDim = static_cast<int>(s[3]);
    kv.rotation = static_cast<int>(s[4]);
    kv.window = static_cast<int>(s[5]);
    kv.half = static_cast<int>(s[6]);
    kv.layerOffset = s[7];
    kv.blockBytes = s[8];
    kv.cos = at<float>(s[9]);
    kv.sin = at<float>(s[10]);
    kv.ropeStride = s[11];
    kv.separate = s[13] != 0;
    kv.scale = scale;
    kv.positions = positions;
    kv.pages = pages;
    kv.rows = firstRows[slices];
    c.rowPages.resize(kv.rows);
    for (int i = 0; i < slices; i++) {
      for (int row = firstRows[i]; row < firstRows[i + 1]; row++) c.rowPages[row] = firstPages[i];
    }
    kv.rowPages = c.rowPages.data();
  }
};

// Splits the rows where slice or page changes.
void findRuns(const Step& step, std::vector<AppendRun>& runs) {
  runs.clear();
  const KvArgs& kv = step.kv;
  for (int row = 0; row < kv.rows; row++) {
    const int page = kv.rowPages[row] + kv.positions[row] / kTile;
    auto* address = at<uint8_t>(kv.pages[page]);
    if (!runs.empty() && runs.back().page == address) {
      runs.back().to = row + 1;
    } else {
      runs.push_back({row, row + 1, address});
    }
  }
}

// From here on memory is mapped, in huge pages where the system has them.
constexpr long kMapBytes = 4L << 20;

void* allocate(long bytes) {
  if (bytes >= kMapBytes) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    madvise(p, bytes, MADV_HUGEPAGE);
#endif
    return p;
  }
  const long rounded = bytes <= 0 ? 64 : (bytes + 63) / 64 * 64;
  void* p = std::aligned_alloc(64, rounded);
  if (p == nullptr) throw std::bad_alloc();
  std::memset(p, 0, rounded);
  return p;
}

}  // namespace

#define SB_JNI(type, name) \
  extern "C" JNIEXPORT type JNICALL Java_io_shadowbatch_kernels_cpu_Native_##name

SB_JNI(jint, supported)(JNIEnv*, jclass) {
  int mask = 0;
  for (int isa = 0; isa < kIsaCount; isa++) mask |= supported(isa) << isa;
  return mask;
}

SB_JNI(jlong, open)(JNIEnv* env, jclass, jint isa, jint threads) {
  jlong handle = 0;
  guard(env, [&] { handle = reinterpret_cast<jlong>(new Context(isa, threads)); });
  return handle;
}

SB_JNI(void, close)(JNIEnv* env, jclass, jlong handle) {
  guard(env, [&] { delete reinterpret_cast<Context*>(handle); });
}

SB_JNI(jlong, allocate)(JNIEnv* env, jclass, jlong bytes) {
  jlong address = 0;
  guard(env, [&] { address = reinterpret_cast<jlong>(allocate(bytes)); });
  return address;
}

SB_JNI(void, release)(JNIEnv*, jclass, jlong address, jlong bytes) {
  if (bytes >= kMapBytes) {
    munmap(at<void>(address), bytes);
  } else {
    std::free(at<void>(address));
  }
}

SB_JNI(jobject, view)(JNIEnv* env, jclass, jlong address, jlong bytes) {
  return env->NewDirectByteBuffer(at<void>(address), bytes);
}

SB_JNI(jlong, address)(JNIEnv* env, jclass, jobject buffer) {
  return reinterpret_cast<jlong>(env->GetDirectBufferAddress(buffer));
}

SB_JNI(void, embed)(JNIEnv* env, jclass, jlong handle, jlong table, jint columns, jintArray ids,
                    jint count, jlong out, jlong outStride) {
  onContext(env, handle, [&](Context& c) {
    Ints rows(env, ids);
    c.ops.embed(c.pool, {at<uint8_t>(table), columns, rows, count, floats(out, outStride)});
  });
}

SB_JNI(void, gatherRows)(JNIEnv* env, jclass, jlong handle, jlong x, jlong xStride, jintArray rows,
                         jint count, jint columns, jlong out, jlong outStride) {
  onContext(env, handle, [&](Context& c) {
    Ints from(env, rows);
    c.ops.gatherRows(c.pool, floats(x, xStride), from, count, columns, floats(out, outStride));
  });
}

SB_JNI(void, quantize)(JNIEnv* env, jclass, jlong handle, jlong x, jlong xStride, jint rows,
                       jint columns, jlongArray out) {
  onContext(env, handle, [&](Context& c) {
    Longs o(env, out);
    c.ops.quantize(c.pool, floats(x, xStride), rows, columns, quantised(o));
  });
}

SB_JNI(void, swiGlu)(JNIEnv* env, jclass, jlong handle, jlong x, jlong xStride, jint rows,
                     jint columns, jlongArray out) {
  onContext(env, handle, [&](Context& c) {
    Longs o(env, out);
    c.ops.swiGlu(c.pool, floats(x, xStride), rows, columns, quantised(o));
  });
}

SB_JNI(void, rmsNorm)(JNIEnv* env, jclass, jlong handle, jlong x, jlong xStride, jint rows,
                      jint columns, jlong weight, jfloat eps, jlongArray out) {
  onContext(env, handle, [&](Context& c) {
    Longs o(env, out);
    c.ops.rmsNorm(c.pool, {floats(x, xStride), at<float>(weight), eps, rows, columns},
                  quantised(o));
  });
}

SB_JNI(void, headNorm)(JNIEnv* env, jclass, jlong handle, jlong x, jlong xStride, jint rows,
                       jint columns, jlong weight, jfloat eps, jint headDim) {
  onContext(env, handle, [&](Context& c) {
    c.ops.headNorm(c.pool, {floats(x, xStride), at<float>(weight), eps, rows, columns}, headDim);
  });
}

SB_JNI(void, argmax)(JNIEnv* env, jclass, jlong handle, jlong x, jlong xStride, jint rows,
                     jint columns, jintArray ids) {
  onContext(env, handle, [&](Context& c) {
    Ints out(env, ids, 0);
    c.ops.argmax(c.pool, floats(x, xStride), rows, columns, out);
  });
}

SB_JNI(void, matmul)(JNIEnv* env, jclass, jlong handle, jlongArray x, jlong w, jlong bias,
                     jlong out, jlong outStride, jint rows, jint columns, jint groups, jint store) {
  onContext(env, handle, [&](Context& c) {
    Longs a(env, x);
    c.ops.matmul(c.pool, {quantised(a), at<uint8_t>(w), at<float>(bias), floats(out, outStride),
                          rows, columns, groups, store != 0, &c.spikes});
  });
}

SB_JNI(void, append)(JNIEnv* env, jclass, jlong handle, jlongArray tensors, jlongArray shape,
                     jfloat scale, jintArray positions, jintArray firstRows, jlongArray pages,
                     jintArray firstPages) {
  onContext(env, handle, [&](Context& c) {
    Longs t(env, tensors);
    Step step(env, shape, scale, positions, firstRows, pages, firstPages, c);
    findRuns(step, c.runs);
    c.ops.append(c.pool, {step.kv, floats(t[0], t[1]), floats(t[2], t[3]), c.runs.data(),
                          static_cast<int>(c.runs.size())});
  });
}

SB_JNI(void, attend)(JNIEnv* env, jclass, jlong handle, jlongArray tensors, jlongArray shape,
                     jfloat scale, jintArray positions, jintArray firstRows, jlongArray pages,
                     jintArray firstPages) {
  onContext(env, handle, [&](Context& c) {
    Longs t(env, tensors);
    Step step(env, shape, scale, positions, firstRows, pages, firstPages, c);
    c.ops.attend(c.pool, {step.kv, floats(t[0], t[1]), floats(t[2], t[3]), floats(t[4], t[5])});
  });
}

SB_JNI(void, exp)(JNIEnv* env, jclass, jint isa, jlong x, jlong y, jlong n) {
  guard(env, [&] { opsOf(isa).exp(at<float>(x), at<float>(y), n); });
}

SB_JNI(jdouble, peak)(JNIEnv* env, jclass, jint what) {
  double rate = 0;
  guard(env, [&] { rate = measurePeak(what); });
  return rate;
}

SB_JNI(jdouble, threadSeconds)(JNIEnv*, jclass) { return threadSeconds(); }
