// The bridge to the Java class io.shadowbatch.kernels.cuda.GpuNative.
#include <string>
#include <vector>

#include "gpu_blas.h"
#include "gpu_launch.h"
#include "gpu_nvrtc.h"
#include "io_shadowbatch_kernels_cuda_GpuNative.h"
#include "jni_context.h"

#define SB_GPU(type, name) \
  extern "C" JNIEXPORT type JNICALL Java_io_shadowbatch_kernels_cuda_GpuNative_##name

using namespace shadowbatch;

namespace {

std::string text(JNIEnv* env, jstring s) {
  const char* chars = env->GetStringUTFChars(s, nullptr);
  if (chars == nullptr) throw std::bad_alloc();
  std::string copy(chars);
  env->ReleaseStringUTFChars(s, chars);
  return copy;
}

std::vector<std::string> texts(JNIEnv* env, jobjectArray array) {
  std::vector<std::string> result;
  for (jsize i = 0; i < env->GetArrayLength(array); i++) {
    auto s = static_cast<jstring>(env->GetObjectArrayElement(array, i));
    result.push_back(text(env, s));
    env->DeleteLocalRef(s);
  }
  return result;
}

jstring orNull(JNIEnv* env, const std::string& s) {
  return s.empty() ? nullptr : env->NewStringUTF(s.c_str());
}

void put(JNIEnv* env, jobjectArray array, const std::string& s) {
  env->SetObjectArrayElement(array, 0, env->NewStringUTF(s.c_str()));
}

ProductShape productShape(const int64_t* s) {
  return {static_cast<int>(s[0]), static_cast<int>(s[1]),  static_cast<int>(s[2]),
          s[3] != 0,              s[4] != 0,               s[5],
          s[6],                   s[7],                    s[8],
          s[9],                   s[10],                   static_cast<int>(s[11]),
          static_cast<uint64_t>(s[12]), static_cast<int>(s[13])};
}

}  // namespace

SB_GPU(jstring, openDriver)(JNIEnv* env, jclass, jstring library) {
  jstring why = nullptr;
  guard(env, [&] { why = orNull(env, openDriver(text(env, library))); });
  return why;
}

SB_GPU(jint, enter)(JNIEnv*, jclass, jlong context) { return enterContext(at<void>(context)); }

SB_GPU(jint, launch)(JNIEnv*, jclass, jlong context, jlong function, jint gridX, jint gridY,
                     jint gridZ, jint threads, jint sharedBytes, jlong stream, jlong params,
                     jlong paramBytes) {
  return launch({at<void>(context), at<void>(function), static_cast<unsigned>(gridX),
                 static_cast<unsigned>(gridY), static_cast<unsigned>(gridZ),
                 static_cast<unsigned>(threads), static_cast<unsigned>(sharedBytes),
                 at<void>(stream), at<void>(params), static_cast<size_t>(paramBytes)});
}

SB_GPU(jint, copy)(JNIEnv*, jclass, jlong context, jlong to, jlong from, jlong bytes,
                   jlong stream) {
  return copyAsync(at<void>(context), to, from, bytes, at<void>(stream));
}

SB_GPU(jint, query)(JNIEnv*, jclass, jlong context, jlong stream) {
  return queryStream(at<void>(context), at<void>(stream));
}

SB_GPU(jlong, parameterBytes)(JNIEnv*, jclass, jlong function) {
  return parameterBytes(at<void>(function));
}

SB_GPU(jlong, address)(JNIEnv* env, jclass, jobject direct) {
  return reinterpret_cast<jlong>(env->GetDirectBufferAddress(direct));
}

SB_GPU(jobject, view)(JNIEnv* env, jclass, jlong address, jlong bytes) {
  return env->NewDirectByteBuffer(at<void>(address), bytes);
}

SB_GPU(jstring, openCompiler)(JNIEnv* env, jclass, jobjectArray libraries) {
  jstring why = nullptr;
  guard(env, [&] { why = orNull(env, openCompiler(texts(env, libraries))); });
  return why;
}

SB_GPU(jint, compilerVersion)(JNIEnv*, jclass) { return compilerVersion(); }

SB_GPU(jbyteArray, compile)(JNIEnv* env, jclass, jstring name, jstring source,
                            jobjectArray headers, jobjectArray options, jobjectArray log) {
  jbyteArray result = nullptr;
  guard(env, [&] {
    auto strings = texts(env, headers);
    size_t count = strings.size() / 2;
    std::vector<Source> sources;
    for (size_t i = 0; i < count; i++) sources.push_back({strings[count + i], strings[i]});
    auto compiled = compile({text(env, name), text(env, source)}, sources, texts(env, options));
    put(env, log, compiled.log);
    if (compiled.cubin.empty()) return;
    auto size = static_cast<jsize>(compiled.cubin.size());
    result = env->NewByteArray(size);
    if (result == nullptr) return;
    env->SetByteArrayRegion(result, 0, size, reinterpret_cast<jbyte*>(compiled.cubin.data()));
  });
  return result;
}

SB_GPU(jlong, openBlas)(JNIEnv* env, jclass, jobjectArray libraries, jobjectArray error) {
  Blas* blas = nullptr;
  guard(env, [&] {
    std::string why;
    blas = openBlas(texts(env, libraries), why);
    if (blas == nullptr) put(env, error, why);
  });
  return reinterpret_cast<jlong>(blas);
}

SB_GPU(jstring, describeBlas)(JNIEnv* env, jclass, jlong blas) {
  jstring result = nullptr;
  guard(env, [&] { result = orNull(env, describeBlas(at<Blas>(blas))); });
  return result;
}

SB_GPU(void, closeBlas)(JNIEnv*, jclass, jlong blas) { closeBlas(at<Blas>(blas)); }

SB_GPU(jlong, plan)(JNIEnv* env, jclass, jlong blas, jlongArray shape, jintArray found,
                    jobjectArray error) {
  Product* product = nullptr;
  guard(env, [&] {
    Longs s(env, shape);
    Ints f(env, found, 0);
    std::string why;
    int count = 0;
    product = planProduct(at<Blas>(blas), productShape(s), count, why);
    *static_cast<int32_t*>(f) = count;
    if (product == nullptr) put(env, error, why);
  });
  return reinterpret_cast<jlong>(product);
}

SB_GPU(void, pick)(JNIEnv*, jclass, jlong plan, jint candidate) {
  pickCandidate(at<Product>(plan), candidate);
}

SB_GPU(jint, multiply)(JNIEnv* env, jclass, jlong context, jlong plan, jlongArray addresses,
                       jfloat alpha, jfloat beta, jlong stream) {
  int status = enterContext(at<void>(context));
  if (status != 0) return status;
  guard(env, [&] {
    Longs a(env, addresses);
    auto u = [&](int i) { return static_cast<uint64_t>(a[i]); };
    status = multiply(at<Product>(plan), {u(0), u(1), u(2), u(3), u(4), u(5), alpha, beta},
                      at<void>(stream));
  });
  return status;
}

SB_GPU(void, closePlan)(JNIEnv*, jclass, jlong plan) { closeProduct(at<Product>(plan)); }
