// What the bridge's functions share: the context behind a handle, Java's arrays and exceptions.
#pragma once
#include <cstdint>
#include <mutex>
#include <new>
#include <stdexcept>
#include <vector>

#include "args.h"
#include "io_shadowbatch_kernels_cpu_Native.h"
#include "isa.h"
#include "spikes.h"

#define SB_JNI(type, name) \
  extern "C" JNIEXPORT type JNICALL Java_io_shadowbatch_kernels_cpu_Native_##name

namespace shadowbatch {

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

inline void throwJava(JNIEnv* env, const char* type, const char* message) {
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
  const int64_t& operator[](long i) const { return reinterpret_cast<const int64_t*>(p_)[i]; }
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

inline Floats floats(int64_t address, int64_t stride) { return {at<float>(address), stride}; }

}  // namespace shadowbatch
