// The part of the bridge for keys of low rank.
#include "fetch.h"
#include "jni_context.h"
#include "lowrank.h"

using namespace shadowbatch;

namespace {

// From {codec, KV heads, head width, rotation width, offset of the layer in a half, bytes of a block,
// cos, sin, their stride, half of the rotary width}.
KeyArgs keyArgs(const int64_t* s) {
  return {static_cast<int>(s[0]), static_cast<int>(s[1]), static_cast<int>(s[2]),
          static_cast<int>(s[3]), s[4],                   s[5],
          at<float>(s[6]),        at<float>(s[7]),        s[8],
          static_cast<int>(s[9])};
}

}  // namespace

SB_JNI(void, gram)(JNIEnv* env, jclass, jlong handle, jlong x, jlong xStride, jint rows,
                   jint columns, jlong mean, jlong out, jlong outStride) {
  onContext(env, handle, [&](Context& c) {
    c.ops.gram(c.pool, {floats(x, xStride), rows, columns, at<float>(mean), floats(out, outStride)});
  });
}

SB_JNI(void, project)(JNIEnv* env, jclass, jlong handle, jlongArray shape, jlongArray pages,
                      jint count) {
  onContext(env, handle, [&](Context& c) {
    Longs s(env, shape);
    Longs p(env, pages);
    c.ops.project(c.pool, {floats(s[0], s[1]), static_cast<int>(s[2]), at<uint16_t>(s[3]),
                           at<float>(s[4]), static_cast<int>(s[5]), static_cast<int>(s[6]), s[7], p,
                           count});
  });
}

SB_JNI(void, plainKeys)(JNIEnv* env, jclass, jlong handle, jlongArray shape, jint firstPosition,
                        jlongArray pages, jint count, jlong out, jlong outStride) {
  onContext(env, handle, [&](Context& c) {
    Longs s(env, shape);
    Longs p(env, pages);
    c.ops.plainKeys(c.pool, {keyArgs(s), firstPosition, p, count, floats(out, outStride)});
  });
}

SB_JNI(void, rebuildKeys)(JNIEnv* env, jclass, jlong handle, jlongArray shape,
                          jlongArray factors, jlongArray addresses, jintArray numbers, jint count) {
  onContext(env, handle, [&](Context& c) {
    Longs s(env, shape);
    Longs f(env, factors);
    Longs a(env, addresses);
    Ints n(env, numbers);
    c.ops.rebuildKeys(c.pool, {keyArgs(s), static_cast<int>(f[0]), static_cast<int>(f[1]), f[2],
                               static_cast<int>(f[3]), a, n, count});
  });
}

SB_JNI(void, fetchChunks)(JNIEnv* env, jclass, jlong handle, jlongArray shape,
                          jlongArray addresses, jintArray numbers, jint count) {
  onContext(env, handle, [&](Context& c) {
    Longs s(env, shape);
    Longs a(env, addresses);
    Ints n(env, numbers);
    fetchChunks(c.pool, {static_cast<int>(s[0]), static_cast<int>(s[1]), s[2], s[3],
                         static_cast<int>(s[4]), a, n, count});
  });
}
