// The settings and counts of the stand-in driver for Java tests.
#include "driver.h"

#include <jni.h>

extern "C" JNIEXPORT jboolean JNICALL
Java_io_shadowbatch_kernels_cuda_StandIn_set(JNIEnv* env, jclass, jstring key, jstring value) {
  const char* k = env->GetStringUTFChars(key, nullptr);
  const char* v = env->GetStringUTFChars(value, nullptr);
  driver::Call call(driver::Needs::NOTHING);
  bool known = driver::driver().set(k, v);
  env->ReleaseStringUTFChars(key, k);
  env->ReleaseStringUTFChars(value, v);
  return known;
}

extern "C" JNIEXPORT jlong JNICALL
Java_io_shadowbatch_kernels_cuda_StandIn_count(JNIEnv* env, jclass, jstring key) {
  const char* k = env->GetStringUTFChars(key, nullptr);
  driver::Call call(driver::Needs::NOTHING);
  jlong count = (jlong)driver::driver().counts[k];
  env->ReleaseStringUTFChars(key, k);
  return count;
}
