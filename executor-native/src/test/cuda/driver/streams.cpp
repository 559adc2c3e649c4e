// Queues of the stand-in driver, its settings and its state.
#include "driver.h"

namespace driver {

thread_local void* currentContext = nullptr;
char primaryContext;

Driver& driver() {
  // Never destroyed: threads of the process may still call when it ends.
  static Driver& d = *new Driver;
  return d;
}

Driver::Driver() {
  for (const char* key : {"DEVICES", "DEVICE_MB", "OPEN_MEMORY", "FAIL", "STREAMS"}) {
    const char* value = std::getenv((std::string("SBEMU_") + key).c_str());
    if (value && !set(key, value)) {
      std::fprintf(stderr, "stand-in driver: SBEMU_%s=%s: see driver.h\n", key, value);
      std::exit(2);
    }
  }
}

bool Driver::set(const std::string& key, const std::string& value) {
  if (key == "DEVICES") {
    devices = std::atoi(value.c_str());
    return devices >= 1 && devices <= 16;
  } else if (key == "DEVICE_MB") {
    memory.total = (size_t)std::strtoull(value.c_str(), nullptr, 10) << 20;
  } else if (key == "OPEN_MEMORY") {
    memory.leaveOpen(value == "1");
  } else if (key == "FAIL") {
    size_t colon = value.find(':');
    fault = {value.substr(0, colon), 0};
    sticky = SUCCESS;
    if (value.empty()) return true;
    if (colon == std::string::npos) return false;
    fault.left = std::atol(value.c_str() + colon + 1);
    static const std::set<std::string> kinds{"alloc", "hostalloc", "launch"};
    return fault.left > 0 && kinds.count(fault.kind) == 1;
  } else if (key == "STREAMS") {
    lazy = value == "lazy";
    return lazy || value == "eager";
  } else {
    return sbemu::settings().set(key, value);
  }
  return true;
}

std::vector<Stream*> Driver::all() {
  std::vector<Stream*> list{&defaultStream};
  for (auto& e : streams) list.push_back(e.second.get());
  return list;
}

Stream* Driver::stream(void* handle) {
  if (!handle) return &defaultStream;
  auto it = streams.find(handle);
  return it == streams.end() ? nullptr : it->second.get();
}

namespace {

// Lets one stream wait for all that lies in another.
void order(Stream& first, Stream& then) {
  if (&first == &then || first.queue.empty()) return;
  auto event = std::make_shared<Event>();
  first.queue.push_back({"", [event] { event->done = 1; }, nullptr, 0});
  then.queue.push_back({"", nullptr, event, 1});
}

}  // namespace

Result Driver::submit(Stream& s, Work w) {
  if (s.capture) {
    s.capture->nodes.push_back(std::move(w));
    return SUCCESS;
  }
  // The default stream is ordered with all that are not told otherwise.
  if (&s == &defaultStream) {
    for (Stream* other : all()) {
      if (other->blocking) order(*other, s);
    }
  } else if (s.blocking) {
    order(defaultStream, s);
  }
  counts[w.kind]++;
  s.queue.push_back(std::move(w));
  return lazy ? SUCCESS : drain(s);
}

Result Driver::submit(void* handle, const char* kind, std::function<void()> run) {
  Stream* s = stream(handle);
  return s ? submit(*s, {kind, std::move(run), nullptr, 0}) : INVALID_HANDLE;
}

bool Driver::step(Stream& s) {
  if (s.queue.empty()) return false;
  Work& front = s.queue.front();
  if (front.waitFor && front.waitFor->done < front.record) return false;
  std::function<void()> run = std::move(front.run);
  s.queue.pop_front();
  // After an error that sticks nothing computes, but waits end.
  if (run) run();
  return true;
}

bool Driver::step() {
  std::vector<Stream*> list = all();
  size_t from = random() % list.size();
  for (size_t i = 0; i < list.size(); i++) {
    if (step(*list[(from + i) % list.size()])) return true;
  }
  return false;
}

Result Driver::until(const std::function<bool()>& done) {
  memory.open();
  bool moving = true;
  while (moving && !done()) moving = step();
  memory.close();
  return moving ? sticky : UNKNOWN;
}

Result Driver::drain(Stream& s) {
  if (s.capture) return STREAM_CAPTURE_UNSUPPORTED;
  return until([&s] { return s.queue.empty(); });
}

Result Driver::drainAll() {
  return until([this] {
    for (Stream* s : all()) {
      if (!s->queue.empty()) return false;
    }
    return true;
  });
}

void Driver::progress() {
  int left = 1 + int(random() % 256);
  until([&left] { return left-- == 0; });
}

}  // namespace driver

extern "C" __attribute__((visibility("default"))) uint64_t sbemu_count(const char* key) {
  driver::Call call(driver::Needs::NOTHING);
  return driver::driver().counts[key];
}

// 0, or 1: no such setting.
API sbemu_set(const char* key, const char* value) {
  driver::Call call(driver::Needs::NOTHING);
  return driver::driver().set(key, value) ? SUCCESS : INVALID_VALUE;
}
