// Two bugs on purpose, which the sanitizers must find: else they would not find others either.
#include <jni.h>

#define SB_PLANTED(name) \
  extern "C" JNIEXPORT jint JNICALL Java_io_shadowbatch_kernels_cpu_Planted_##name

SB_PLANTED(read)(JNIEnv*, jclass, jlong address, jint index) {
  return reinterpret_cast<const signed char*>(address)[index];
}

SB_PLANTED(sum)(JNIEnv*, jclass, jint a, jint b) { return a + b; }
