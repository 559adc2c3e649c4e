// Tests of the stand-in driver through its own functions: what it must find and refuse.
#include "check.h"

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {
int sbemu_set(const char*, const char*);
uint64_t sbemu_count(const char*);
int cuInit(unsigned);
int cuDevicePrimaryCtxRetain(void**, int);
int cuCtxSetCurrent(void*);
int cuCtxSynchronize();
int cuModuleLoadData(void**, const void*);
int cuModuleGetFunction(void**, void*, const char*);
int cuFuncSetAttribute(void*, int, int);
int cuMemAlloc_v2(char**, size_t);
int cuMemFree_v2(char*);
int cuMemHostAlloc(char**, size_t, unsigned);
int cuMemFreeHost(char*);
int cuMemcpyHtoD_v2(char*, const void*, size_t);
int cuMemcpyDtoH_v2(void*, const char*, size_t);
int cuMemcpyAsync(char*, const char*, size_t, void*);
int cuMemcpyHtoDAsync_v2(char*, const void*, size_t, void*);
int cuMemsetD8_v2(char*, unsigned char, size_t);
int cuMemsetD8Async(char*, unsigned char, size_t, void*);
int cuStreamCreate(void**, unsigned);
int cuStreamDestroy_v2(void*);
int cuStreamSynchronize(void*);
int cuStreamQuery(void*);
int cuStreamWaitEvent(void*, void*, unsigned);
int cuEventCreate(void**, unsigned);
int cuEventRecord(void*, void*);
int cuEventSynchronize(void*);
int cuEventElapsedTime(float*, void*, void*);
int cuEventDestroy_v2(void*);
int cuLaunchKernel(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                   void*, void**, void**);
int cuStreamBeginCapture_v2(void*, int);
int cuStreamEndCapture(void*, void**);
int cuGraphInstantiateWithFlags(void**, void*, unsigned long long);
int cuGraphExecUpdate_v2(void*, void*, void*);
int cuGraphLaunch(void*, void*);
int cuGraphExecDestroy(void*);
int cuGraphDestroy(void*);
}

namespace {

constexpr unsigned NON_BLOCKING = 1;
constexpr size_t COUNT = 32, BYTES = 4 * COUNT;

struct Params {
  const void* in;
  void* out;
};

// A module, two streams and two pieces of device memory.
struct Device {
  void *context, *module, *function;
  void *one, *two;
  char *in, *out;

  Device() {
    cuInit(0);
    cuDevicePrimaryCtxRetain(&context, 0);
    cuCtxSetCurrent(context);
    cuModuleLoadData(&module, "any");
    cuModuleGetFunction(&function, module, "conform_reductions");
    cuStreamCreate(&one, NON_BLOCKING);
    cuStreamCreate(&two, NON_BLOCKING);
    cuMemAlloc_v2(&in, BYTES);
    cuMemAlloc_v2(&out, 4 * BYTES);
  }

  ~Device() {
    cuStreamDestroy_v2(one);
    cuStreamDestroy_v2(two);
    cuMemFree_v2(in);
    cuMemFree_v2(out);
  }

  int launch(void* stream, size_t size = sizeof(Params), unsigned threads = 32,
             unsigned shared = 0, unsigned gridY = 1) {
    Params p{in, out};
    void* extra[] = {(void*)1, &p, (void*)2, &size, nullptr};
    return cuLaunchKernel(function, 1, gridY, 1, threads, 1, 1, shared, stream, nullptr, extra);
  }

  float firstOut() {
    float v = 0;
    cuMemcpyDtoH_v2(&v, out, 4);
    return v;
  }
};

// Whether a process that does this is killed.
template <class F>
bool dies(F f) {
  std::fflush(nullptr);
  pid_t child = fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    std::freopen("/dev/null", "w", stderr);
    f();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status);
}

}  // namespace

TEST(work_waits_until_someone_asks_and_streams_have_no_order) {
  Device d;
  std::vector<float> ones(COUNT, 1);
  // Fills on one stream, reads on the other: with an event always right, without it not always.
  for (bool event : {true, false}) {
    int right = 0;
    for (int i = 0; i < 40; i++) {
      cuMemcpyHtoD_v2(d.in, std::vector<float>(COUNT, 0).data(), BYTES);
      cuMemcpyHtoDAsync_v2(d.in, ones.data(), BYTES, d.one);
      void* e;
      cuEventCreate(&e, 0);
      cuEventRecord(e, d.one);
      if (event) cuStreamWaitEvent(d.two, e, 0);
      EXPECT(d.launch(d.two) == 0, "launch");
      EXPECT(cuStreamSynchronize(d.two) == 0, "two");
      right += d.firstOut() == 32;
      EXPECT(cuStreamSynchronize(d.one) == 0, "one");
      cuEventDestroy_v2(e);
    }
    EXPECT(event ? right == 40 : right < 40, "event %d: %d of 40 right", event, right);
  }
}

TEST(the_default_stream_does_not_wait_for_streams_that_do_not_block) {
  Device d;
  int early = 0;
  for (int i = 0; i < 40; i++) {
    cuMemsetD8Async(d.out, 0, BYTES, d.one);
    cuStreamSynchronize(d.one);
    cuMemsetD8Async(d.out, 1, BYTES, d.one);
    early += d.firstOut() == 0;
    cuStreamSynchronize(d.one);
  }
  EXPECT(early > 0, "%d", early);
}

TEST(pinned_memory_is_read_when_the_copy_runs_and_other_memory_at_the_call) {
  Device d;
  float *pinned, plain[COUNT], got[COUNT];
  cuMemHostAlloc((char**)&pinned, BYTES, 0);
  for (bool other : {true, false}) {
    float* from = other ? plain : pinned;
    std::fill(from, from + COUNT, 1.f);
    cuMemcpyHtoDAsync_v2(d.in, from, BYTES, d.one);
    std::fill(from, from + COUNT, 2.f);
    cuStreamSynchronize(d.one);
    cuMemcpyDtoH_v2(got, d.in, BYTES);
    EXPECT(got[0] == (other ? 1 : 2), "%d: %f", other, got[0]);
  }
  EXPECT(cuMemFreeHost((char*)pinned) == 0, "free");
}

TEST(polling_a_stream_runs_its_work) {
  Device d;
  for (int i = 0; i < 1000; i++) cuMemsetD8Async(d.out, 1, BYTES, d.one);
  int polls = 1;
  while (cuStreamQuery(d.one) == 600 && polls < 1000000) polls++;
  EXPECT(polls > 1 && polls < 1000000, "%d", polls);
}

TEST(the_host_cannot_read_device_memory) {
  Device d;
  cuMemsetD8_v2(d.out, 7, BYTES);
  cuCtxSynchronize();
  auto read = [&] { (void)*(volatile char*)d.out; };
  EXPECT(dies(read), "read");
  sbemu_set("OPEN_MEMORY", "1");
  EXPECT(!dies(read) && *d.out == 7, "open");
  sbemu_set("OPEN_MEMORY", "0");
  EXPECT(dies(read), "closed again");
}

TEST(kernels_that_leave_their_memory_are_stopped) {
  Device d;
  char* small;
  cuMemAlloc_v2(&small, BYTES);  // the kernel writes four times as much
  d.out = small;
  EXPECT(dies([&] { d.launch(d.one); cuCtxSynchronize(); }), "written past the end");
}

TEST(copies_that_leave_their_memory_are_refused) {
  Device d;
  float v[2 * COUNT];
  EXPECT(cuMemcpyHtoD_v2(d.in, v, BYTES + 4) == 1, "past the end");
  EXPECT(cuMemcpyHtoD_v2((char*)v, v + 1, 4) == 1, "to the host");
  EXPECT(cuMemcpyAsync(d.out, d.in, BYTES, d.one) == 0, "within the device");
  EXPECT(cuMemFree_v2(d.in + 4) == 1, "not the start");
}

TEST(launches_are_checked) {
  Device d;
  EXPECT(d.launch(d.one) == 0, "right");
  EXPECT(d.launch(d.one, 8) == 1, "less than the struct");
  EXPECT(d.launch(d.one, 24) == 1, "more than the struct");
  EXPECT(d.launch(d.one, 16, 1025) == 1, "threads");
  EXPECT(d.launch(d.one, 16, 32, 0, 65536) == 1, "grid");
  EXPECT(d.launch(d.one, 16, 32, 49 << 10) == 1, "shared memory not asked for");
  EXPECT(cuFuncSetAttribute(d.function, 8, 228 << 10) == 1, "more shared memory than there is");
  EXPECT(cuFuncSetAttribute(d.function, 8, 49 << 10) == 0, "asked for");
  EXPECT(d.launch(d.one, 16, 32, 49 << 10) == 0, "shared memory asked for");
  void* f;
  EXPECT(cuModuleGetFunction(&f, d.module, "none") == 500, "name");
}

TEST(a_thread_without_a_context_is_refused) {
  Device d;
  int result = 0;
  std::thread([&] { result = cuCtxSynchronize(); }).join();
  EXPECT(result == 201, "%d", result);
}

TEST(memory_runs_out_where_the_device_is_small) {
  Device d;
  char *a, *b;
  sbemu_set("DEVICE_MB", "4");
  EXPECT(cuMemAlloc_v2(&a, 3 << 20) == 0, "3 of 4");
  EXPECT(cuMemAlloc_v2(&b, 2 << 20) == 2, "5 of 4");
  EXPECT(cuMemFree_v2(a) == 0, "free");
  EXPECT(cuMemAlloc_v2(&b, 2 << 20) == 0, "2 of 4");
  cuMemFree_v2(b);
  sbemu_set("DEVICE_MB", "1024");
}

TEST(failures_come_when_asked_for) {
  Device d;
  char *a, *b;
  sbemu_set("FAIL", "alloc:2");
  EXPECT(cuMemAlloc_v2(&a, 16) == 0 && cuMemAlloc_v2(&b, 16) == 2, "second");
  EXPECT(cuMemAlloc_v2(&b, 16) == 0, "third");
  sbemu_set("FAIL", "launch:2");
  EXPECT(d.launch(d.one) == 0 && cuStreamSynchronize(d.one) == 0, "first");
  EXPECT(d.launch(d.one) == 0 && cuStreamSynchronize(d.one) == 700, "at the end of the second");
  EXPECT(d.launch(d.one) == 700 && cuMemFree_v2(a) == 700, "it sticks");
  EXPECT(sbemu_set("FAIL", "") == 0 && cuMemFree_v2(a) == 0 && cuMemFree_v2(b) == 0, "cleared");
  EXPECT(sbemu_set("FAIL", "sync:1") == 1 && sbemu_set("COLOUR", "red") == 1, "unknown");
  sbemu_set("FAIL", "");
}

TEST(what_is_queued_is_counted) {
  Device d;
  uint64_t launches = sbemu_count("launch"), copied = sbemu_count("to host");
  uint64_t sent = sbemu_count("to device");
  EXPECT(d.launch(d.one) == 0 && cuStreamSynchronize(d.one) == 0, "launch");
  float x[4] = {};
  EXPECT(cuMemcpyDtoH_v2(x, d.out, sizeof x) == 0 && cuMemcpyHtoD_v2(d.out, x, 8) == 0, "copy");
  EXPECT(sbemu_count("launch") == launches + 1, "one launch");
  EXPECT(sbemu_count("to host") == copied + sizeof x, "bytes to the host");
  EXPECT(sbemu_count("to device") == sent + 8, "bytes to the device");
}

TEST(events_tell_time_and_graphs_run_again) {
  Device d;
  void *from, *to, *graph, *other, *run;
  cuEventCreate(&from, 0);
  cuEventCreate(&to, 0);
  cuStreamBeginCapture_v2(d.one, 0);
  cuMemsetD8Async(d.out, 9, 4 * BYTES, d.one);
  EXPECT(cuStreamSynchronize(d.one) == 900, "while it captures");
  cuStreamEndCapture(d.one, &graph);
  cuGraphInstantiateWithFlags(&run, graph, 0);
  for (int i = 0; i < 2; i++) {
    cuMemsetD8Async(d.out, 1, 4 * BYTES, d.one);
    cuEventRecord(from, d.one);
    EXPECT(cuGraphLaunch(run, d.one) == 0, "launch");
    cuEventRecord(to, d.one);
    cuEventSynchronize(to);
    float ms = -1;
    EXPECT(cuEventElapsedTime(&ms, from, to) == 0 && ms >= 0 && ms < 10000, "%f", ms);
    int nines = 0x09090909;
    EXPECT(d.firstOut() == sbemu::bits<float>(nines), "run %d", i);
  }
  cuStreamBeginCapture_v2(d.one, 0);
  d.launch(d.one);
  cuStreamEndCapture(d.one, &other);
  EXPECT(cuGraphExecUpdate_v2(run, other, nullptr) == 910, "another shape");
  EXPECT(cuGraphExecUpdate_v2(run, graph, nullptr) == 0, "the same");
  EXPECT(cuGraphExecDestroy(run) == 0 && cuGraphDestroy(graph) == 0 && cuGraphDestroy(other) == 0,
         "destroy");
}
