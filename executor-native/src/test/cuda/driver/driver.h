// A stand-in for libcuda.so.1: the driver functions that the engine calls, over host memory and the
// emulator, so that the real bindings and all Java code run without a GPU. What it is strict about,
// beyond right results:
//
//   streams   lazy queues: work runs when something waits or asks, streams in random order, so that
//             a missing event wait or a host buffer used again too early shows
//   memory    starts as NaN bits, ends at a page that is not there, and is not readable by the host
//             while no work runs (SBEMU_OPEN_MEMORY=1 leaves it open)
//   contexts  a thread without a current context is refused, as by the real driver
//   launches  limits of an H200; parameters must have the size that the kernel reads
//
// SBEMU_DEVICES=N pretends that there are N devices, of which a process uses one;
// SBEMU_DEVICE_MB=N is the device's memory; SBEMU_FAIL=alloc:N|hostalloc:N lets the N-th of these
// fail with OUT_OF_MEMORY, launch:N lets the N-th launch fail with error 700, which sticks.
// Settings can be changed by sbemu_set(key, value), with the names above less SBEMU_.
// sbemu_count(key) counts what was queued since the start: "launch", a kernel's name, "copy", "fill",
// "record", "graph", and the bytes of copies, "to host" and "to device".
#pragma once
#include "../emulator.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

// The numbers of cuda.h.
enum Result {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  INVALID_DEVICE = 101,
  INVALID_CONTEXT = 201,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  NOT_READY = 600,
  ILLEGAL_ADDRESS = 700,
  STREAM_CAPTURE_UNSUPPORTED = 900,
  STREAM_CAPTURE_INVALIDATED = 901,
  GRAPH_EXEC_UPDATE_FAILURE = 910,
  UNKNOWN = 999,
};

#define API extern "C" __attribute__((visibility("default"))) int

namespace driver {

constexpr int SHARED_MAX = 227 << 10;

struct Graph;

struct Event {
  uint64_t recorded = 0, done = 0;  // numbers of records asked for and run
  uint64_t nanos = 0;               // of the last one run
  bool timed = true;
  std::weak_ptr<Graph> capture;
};

// A piece of work; or, where an event is named, a wait until its record of that number has run.
struct Work {
  std::string kind;  // what it does, to compare graphs
  std::function<void()> run;
  std::shared_ptr<Event> waitFor;
  uint64_t record = 0;
};

struct Graph {
  std::vector<Work> nodes;
};

struct Stream {
  std::deque<Work> queue;
  bool blocking = true;  // ordered with the default stream
  int priority = 0;
  std::shared_ptr<Graph> capture;
  bool captureOrigin = false;
};

struct Function {
  sbemu::Kernel* kernel;
  int sharedMax = 48 << 10;
};

struct Range {
  char* mapped;  // with the page behind it
  size_t mappedBytes;
  size_t bytes;
};

// Where memory lies, as copies see it.
enum class Place { DEVICE, PINNED, PAGEABLE, OUTSIDE };

class Memory {
 public:
  Result allocateDevice(char** p, size_t bytes);
  Result allocateHost(char** p, size_t bytes);
  Result freeDevice(char* p);
  Result freeHost(char* p);
  Result registerHost(char* p, size_t bytes);
  Result unregisterHost(char* p);
  // OUTSIDE: partly in an allocation and partly not.
  Place place(const void* p, size_t bytes) const;
  bool hostAddress(const char* p) const;
  Result range(char** base, size_t* bytes, char* p) const;
  // Work in between may touch the device's memory.
  void open();
  void close();
  // Whether the host may read it at all times.
  void leaveOpen(bool always);
  size_t total = 1024u << 20;
  size_t used = 0;

 private:
  std::map<const char*, Range> device_, host_;
  std::map<const char*, size_t> registered_;
  int opened_ = 0;
  bool alwaysOpen_ = false;

  void protect(const Range& r) const;
};

// Counts down to a failure that a test asked for.
struct Fault {
  std::string kind;
  long left = 0;

  bool due(const char* what) { return kind == what && --left == 0; }
};

struct Driver {
  std::recursive_mutex mutex;
  bool initialised = false;
  int retained = 0;
  Memory memory;
  Fault fault;
  Result sticky = SUCCESS;
  Stream defaultStream;
  std::map<void*, std::unique_ptr<Stream>> streams;
  std::map<void*, std::shared_ptr<Event>> events;
  std::map<void*, std::shared_ptr<Graph>> graphs, executables;
  std::map<std::string, std::unique_ptr<Function>> functions;
  std::map<std::string, uint64_t> counts;
  std::mt19937 random{20};
  bool lazy = true;
  int devices = 1;  // all are one and the same

  Driver();
  bool set(const std::string& key, const std::string& value);
  // A handle's stream, the default one for null; nullptr if there is none.
  Stream* stream(void* handle);
  Result submit(Stream& s, Work w);
  Result submit(void* stream, const char* kind, std::function<void()> run);
  // Runs work of random streams until the condition holds.
  Result until(const std::function<bool()>& done);
  Result drain(Stream& s);
  Result drainAll();
  // A bounded piece of work, for who polls.
  void progress();
  Function* function(const void* handle);
  std::vector<Stream*> all();

 private:
  bool step();
  bool step(Stream& s);
};

Driver& driver();

// Of this thread.
extern thread_local void* currentContext;
extern char primaryContext;

enum class Needs { NOTHING, INIT, CONTEXT };

// Holds the driver for the length of a call, and says why it cannot be made.
struct Call {
  std::lock_guard<std::recursive_mutex> lock;
  Result error;

  explicit Call(Needs needs) : lock(driver().mutex), error(check(needs)) {}

 private:
  static Result check(Needs needs) {
    if (needs == Needs::NOTHING) return SUCCESS;
    if (!driver().initialised) return NOT_INITIALIZED;
    if (needs == Needs::INIT) return SUCCESS;
    if (!currentContext) return INVALID_CONTEXT;
    return driver().sticky;
  }
};

#define ENTER(needs)                      \
  driver::Call call(driver::Needs::needs); \
  if (call.error) return call.error;      \
  driver::Driver& d = driver::driver();   \
  (void)d

}  // namespace driver
