// What the sanitizers must be told about threads that are fibers.
#pragma once

// For the emulator's own functions: the race detector sees what kernels do only.
#define SBEMU_QUIET __attribute__((no_sanitize_thread, noinline))

#if defined(__SANITIZE_THREAD__)
extern "C" {
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void* __tsan_get_current_fiber();
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#define SBEMU_TSAN(...) __VA_ARGS__
#else
#define SBEMU_TSAN(...)
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define SBEMU_ASAN(...) __VA_ARGS__
#else
#define SBEMU_ASAN(...)
#endif
