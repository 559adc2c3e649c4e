// Streams, events and graphs of the stand-in driver.
#include "driver.h"

#include <chrono>

using driver::Event;
using driver::Graph;
using driver::Stream;
using driver::Work;

namespace {

uint64_t now() {
  auto t = std::chrono::steady_clock::now().time_since_epoch();
  return (uint64_t)std::chrono::duration_cast<std::chrono::nanoseconds>(t).count();
}

std::shared_ptr<Event> event(void* handle) {
  auto& events = driver::driver().events;
  auto it = events.find(handle);
  return it == events.end() ? nullptr : it->second;
}

std::shared_ptr<Graph> graph(
    const std::map<void*, std::shared_ptr<Graph>>& graphs, void* handle) {
  auto it = graphs.find(handle);
  return it == graphs.end() ? nullptr : it->second;
}

}  // namespace

API cuStreamCreateWithPriority(void** stream, unsigned flags, int priority) {
  ENTER(CONTEXT);
  if (flags > 1) return INVALID_VALUE;
  auto s = std::make_unique<Stream>();
  s->blocking = flags == 0;
  s->priority = priority;
  *stream = s.get();
  d.streams[*stream] = std::move(s);
  return SUCCESS;
}

API cuStreamCreate(void** stream, unsigned flags) {
  return cuStreamCreateWithPriority(stream, flags, 0);
}

API cuStreamGetPriority(void* stream, int* priority) {
  ENTER(CONTEXT);
  Stream* s = d.stream(stream);
  if (!s) return INVALID_HANDLE;
  *priority = s->priority;
  return SUCCESS;
}

// Its work still runs.
API cuStreamDestroy_v2(void* stream) {
  ENTER(CONTEXT);
  if (!stream || !d.stream(stream)) return INVALID_HANDLE;
  int r = d.drain(*d.stream(stream));
  d.streams.erase(stream);
  return r;
}

API cuStreamSynchronize(void* stream) {
  ENTER(CONTEXT);
  Stream* s = d.stream(stream);
  return s ? d.drain(*s) : INVALID_HANDLE;
}

// Work goes on between two questions, as it would on a device.
API cuStreamQuery(void* stream) {
  ENTER(CONTEXT);
  Stream* s = d.stream(stream);
  if (!s) return INVALID_HANDLE;
  if (s->capture) return STREAM_CAPTURE_UNSUPPORTED;
  if (s->queue.empty()) return SUCCESS;
  d.progress();
  return d.sticky ? (int)d.sticky : (int)NOT_READY;
}

API cuStreamWaitEvent(void* stream, void* handle, unsigned) {
  ENTER(CONTEXT);
  Stream* s = d.stream(stream);
  auto e = event(handle);
  if (!s || !e) return INVALID_HANDLE;
  // An event of a captured stream takes the one that waits into the capture.
  if (auto captured = e->capture.lock()) {
    s->capture = captured;
    return SUCCESS;
  }
  if (s->capture) return STREAM_CAPTURE_UNSUPPORTED;
  return d.submit(*s, {"wait", nullptr, e, e->recorded});
}

API cuLaunchHostFunc(void* stream, void (*f)(void*), void* data) {
  ENTER(CONTEXT);
  return d.submit(stream, "host", [=] { f(data); });
}

API cuEventCreate(void** handle, unsigned flags) {
  ENTER(CONTEXT);
  auto e = std::make_shared<Event>();
  e->timed = !(flags & 2);
  *handle = e.get();
  d.events[*handle] = e;
  return SUCCESS;
}

API cuEventDestroy_v2(void* handle) {
  ENTER(CONTEXT);
  return d.events.erase(handle) ? SUCCESS : INVALID_HANDLE;
}

API cuEventRecord(void* handle, void* stream) {
  ENTER(CONTEXT);
  Stream* s = d.stream(stream);
  auto e = event(handle);
  if (!s || !e) return INVALID_HANDLE;
  e->capture = s->capture;
  if (s->capture) return SUCCESS;
  uint64_t number = ++e->recorded;
  return d.submit(*s, {"record", [=] {
    e->done = std::max(e->done, number);
    e->nanos = now();
  }, nullptr, 0});
}

API cuEventSynchronize(void* handle) {
  ENTER(CONTEXT);
  auto e = event(handle);
  if (!e) return INVALID_HANDLE;
  uint64_t number = e->recorded;
  return d.until([&] { return e->done >= number; });
}

API cuEventQuery(void* handle) {
  ENTER(CONTEXT);
  auto e = event(handle);
  if (!e) return INVALID_HANDLE;
  if (e->done >= e->recorded) return SUCCESS;
  d.progress();
  return d.sticky ? (int)d.sticky : (int)NOT_READY;
}

API cuEventElapsedTime(float* ms, void* from, void* to) {
  ENTER(CONTEXT);
  auto a = event(from), b = event(to);
  if (!a || !b || !a->timed || !b->timed || !a->recorded || !b->recorded) return INVALID_HANDLE;
  if (a->done < a->recorded || b->done < b->recorded) return NOT_READY;
  *ms = (float)((double)(int64_t)(b->nanos - a->nanos) * 1e-6);
  return SUCCESS;
}

API cuStreamBeginCapture_v2(void* stream, int) {
  ENTER(CONTEXT);
  Stream* s = d.stream(stream);
  if (!s) return INVALID_HANDLE;
  if (!stream || s->capture) return STREAM_CAPTURE_UNSUPPORTED;
  s->capture = std::make_shared<Graph>();
  s->captureOrigin = true;
  return SUCCESS;
}

API cuStreamIsCapturing(void* stream, int* status) {
  ENTER(CONTEXT);
  Stream* s = d.stream(stream);
  if (!s) return INVALID_HANDLE;
  *status = s->capture ? 1 : 0;
  return SUCCESS;
}

API cuStreamEndCapture(void* stream, void** handle) {
  ENTER(CONTEXT);
  Stream* s = d.stream(stream);
  if (!s) return INVALID_HANDLE;
  if (!s->capture || !s->captureOrigin) return STREAM_CAPTURE_INVALIDATED;
  std::shared_ptr<Graph> g = s->capture;
  for (Stream* other : d.all()) {
    if (other->capture == g) other->capture = nullptr;
  }
  s->captureOrigin = false;
  *handle = g.get();
  d.graphs[*handle] = g;
  return SUCCESS;
}

API cuGraphInstantiateWithFlags(void** executable, void* handle, unsigned long long) {
  ENTER(CONTEXT);
  auto g = graph(d.graphs, handle);
  if (!g) return INVALID_VALUE;
  auto x = std::make_shared<Graph>(*g);
  *executable = x.get();
  d.executables[*executable] = x;
  return SUCCESS;
}

// Another graph of the same nodes in the place of an executable's.
API cuGraphExecUpdate_v2(void* executable, void* handle, void* info) {
  ENTER(CONTEXT);
  auto x = graph(d.executables, executable), g = graph(d.graphs, handle);
  if (!x || !g) return INVALID_VALUE;
  bool same = x->nodes.size() == g->nodes.size();
  for (size_t i = 0; same && i < g->nodes.size(); i++) {
    same = x->nodes[i].kind == g->nodes[i].kind;
  }
  // Its first word is the reason: 0 none, 2 another shape.
  if (info) {
    std::memset(info, 0, 24);
    *(int*)info = same ? 0 : 2;
  }
  if (!same) return GRAPH_EXEC_UPDATE_FAILURE;
  x->nodes = g->nodes;
  return SUCCESS;
}

API cuGraphLaunch(void* executable, void* stream) {
  ENTER(CONTEXT);
  auto x = graph(d.executables, executable);
  Stream* s = d.stream(stream);
  if (!x || !s) return INVALID_HANDLE;
  d.counts["graph"]++;
  for (const Work& node : x->nodes) {
    if (int r = d.submit(*s, node)) return r;
  }
  return SUCCESS;
}

API cuGraphDestroy(void* handle) {
  ENTER(CONTEXT);
  return d.graphs.erase(handle) ? SUCCESS : INVALID_VALUE;
}

API cuGraphExecDestroy(void* handle) {
  ENTER(CONTEXT);
  return d.executables.erase(handle) ? SUCCESS : INVALID_VALUE;
}
