// The bridge to the Java class io.shadowbatch.kernels.cpu.Native, most of what knows JNI.
// Arguments were checked in Java (Shapes).
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>
#include <vector>

#include "jni_context.h"
#include "peak.h"

using namespace shadowbatch;

namespace {

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
  Longs keys;
  Longs values;
  int slices;
  KvArgs kv;

  Step(JNIEnv* env, jlongArray shapeArray, jfloat scale, jintArray positionArray,
       jintArray firstRowArray, jlongArray keyArray, jlongArray valueArray,
       jintArray slicePageArray, Context& c)
      : shape(env, shapeArray),
        positions(env, positionArray),
        firstRows(env, firstRowArray),
        keys(env, keyArray),
        values(env, valueArray),
        slices(static_cast<int>(shape[12])) {
    const int64_t* s = shape;
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
    kv.keys = keys;
    kv.values = values;
    kv.rows = firstRows[slices];
    if (slicePageArray == nullptr) return;
    Ints slicePages(env, slicePageArray);  // three numbers for each, see KvView.slicePages
    c.rowPages.resize(3 * kv.rows);
    int32_t* rowPages = c.rowPages.data();
    for (int i = 0; i < slices; i++) {
      for (int row = firstRows[i]; row < firstRows[i + 1]; row++) {
        for (int j = 0; j < 3; j++) rowPages[j * kv.rows + row] = slicePages[3 * i + j];
      }
    }
    kv.rowPages = rowPages;
    kv.rowPicked = rowPages + kv.rows;
    kv.rowFirstTile = rowPages + 2 * kv.rows;
  }
};

// Splits the rows where slice or page changes.
void findRuns(const Step& step, std::vector<AppendRun>& runs) {
  runs.clear();
  const KvArgs& kv = step.kv;
  for (int row = 0; row < kv.rows; row++) {
    const int page = kv.rowPages[row] + kv.positions[row] / kTile;
    auto* keys = at<uint8_t>(kv.keys[page]);
    if (!runs.empty() && runs.back().keys == keys) {
      runs.back().to = row + 1;
    } else {
      runs.push_back({row, row + 1, keys, at<uint8_t>(kv.values[page])});
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
                     jfloat scale, jintArray positions, jintArray firstRows, jlongArray keys,
                     jlongArray values, jintArray slicePages) {
  onContext(env, handle, [&](Context& c) {
    Longs t(env, tensors);
    Step step(env, shape, scale, positions, firstRows, keys, values, slicePages, c);
    findRuns(step, c.runs);
    c.ops.append(c.pool, {step.kv, floats(t[0], t[1]), floats(t[2], t[3]), c.runs.data(),
                          static_cast<int>(c.runs.size())});
  });
}

SB_JNI(void, attend)(JNIEnv* env, jclass, jlong handle, jlongArray tensors, jlongArray shape,
                     jfloat scale, jintArray positions, jintArray firstRows, jlongArray keys,
                     jlongArray values, jintArray slicePages) {
  onContext(env, handle, [&](Context& c) {
    Longs t(env, tensors);
    Step step(env, shape, scale, positions, firstRows, keys, values, slicePages, c);
    c.ops.attend(c.pool, {step.kv, floats(t[0], t[1]), floats(t[2], t[3]), floats(t[4], t[5]),
                          at<int32_t>(t[6]), static_cast<long>(t[7]), static_cast<int>(t[8])});
  });
}

SB_JNI(void, attentionMass)(JNIEnv* env, jclass, jlong handle, jlongArray tensors, jlongArray shape,
                            jfloat scale, jintArray positions, jintArray firstRows,
                            jlongArray keys, jlongArray values, jintArray slicePages) {
  onContext(env, handle, [&](Context& c) {
    Longs t(env, tensors);
    Step step(env, shape, scale, positions, firstRows, keys, values, slicePages, c);
    c.ops.attentionMass(c.pool, {step.kv, floats(t[0], t[1]), floats(t[2], t[3]),
                                 floats(t[4], t[5]), step.firstRows, step.slices});
  });
}

SB_JNI(void, summarise)(JNIEnv* env, jclass, jlong handle, jlongArray keys, jlongArray landmarks,
                        jint pages, jlongArray shape) {
  onContext(env, handle, [&](Context& c) {
    Longs k(env, keys), l(env, landmarks), s(env, shape);
    c.ops.summarise(c.pool, {k, l, pages, static_cast<int>(s[0]), static_cast<int>(s[1]),
                             static_cast<int>(s[2]), static_cast<int>(s[3]),
                             static_cast<long>(s[4]), static_cast<long>(s[5])});
  });
}

SB_JNI(void, selectChunks)(JNIEnv* env, jclass, jlong handle, jlongArray tensors, jlongArray shape,
                           jfloat scale, jintArray positions, jintArray firstRows,
                           jlongArray landmarks, jlongArray slices) {
  onContext(env, handle, [&](Context& c) {
    Longs t(env, tensors), numbers(env, slices);
    Step step(env, shape, scale, positions, firstRows, landmarks, landmarks, nullptr, c);
    c.rowPages.resize(step.kv.rows);
    for (int i = 0; i < step.slices; i++) {
      for (int row = step.firstRows[i]; row < step.firstRows[i + 1]; row++) c.rowPages[row] = i;
    }
    const auto* of = reinterpret_cast<const SliceChunks*>(static_cast<const int64_t*>(numbers));
    c.ops.selectChunks(c.pool, {step.kv, floats(t[0], t[1]), at<int32_t>(t[2]),
                                static_cast<long>(t[3]), step.keys, static_cast<long>(t[4]),
                                static_cast<long>(t[5]), static_cast<int>(t[6]), of,
                                c.rowPages.data()});
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
