#include "gpu_nvrtc.h"

#include <dirent.h>

#include <mutex>

#include "shared_library.h"

namespace shadowbatch {

namespace {

using Program = void*;

struct Compiler {
  SharedLibrary library;
  int (*version)(int*, int*);
  int (*create)(Program*, const char*, const char*, int, const char* const*, const char* const*);
  int (*destroy)(Program*);
  int (*compile)(Program, int, const char* const*);
  int (*logSize)(Program, size_t*);
  int (*log)(Program, char*);
  int (*cubinSize)(Program, size_t*);
  int (*cubin)(Program, char*);
  const char* (*errorString)(int);
  bool ready = false;
};

Compiler compiler;
std::mutex opening;

// NVRTC opens its part for built-in functions by a bare name, which the loader does not know when
// the compiler itself came from a folder out of its places, as from a Python package. Once loaded
// the part is found by that name.
void openBuiltins(const std::string& library) {
  size_t slash = library.rfind('/');
  if (slash == std::string::npos) return;
  std::string folder = library.substr(0, slash + 1);
  DIR* entries = opendir(folder.c_str());
  if (entries == nullptr) return;
  while (const dirent* entry = readdir(entries)) {
    std::string name = entry->d_name;
    if (name.rfind("libnvrtc-builtins.so", 0) == 0) {
      dlopen((folder + name).c_str(), RTLD_LAZY | RTLD_LOCAL);
    }
  }
  closedir(entries);
}

std::vector<const char*> pointers(const std::vector<std::string>& strings) {
  std::vector<const char*> p;
  for (const auto& s : strings) p.push_back(s.c_str());
  return p;
}

std::string logOf(Program program) {
  size_t size = 0;
  if (compiler.logSize(program, &size) != 0 || size <= 1) return "";
  std::string log(size, '\0');
  if (compiler.log(program, log.data()) != 0) return "";
  log.resize(size - 1);
  return log;
}

void take(Program program, Compiled& result) {
  size_t size = 0;
  int error = compiler.cubinSize(program, &size);
  if (error == 0 && size > 0) {
    result.cubin.resize(size);
    error = compiler.cubin(program, result.cubin.data());
  }
  if (error == 0 && size > 0) return;
  result.cubin.clear();
  result.log += error == 0 ? "no machine code for this architecture" : compiler.errorString(error);
}

}  // namespace

std::string openCompiler(const std::vector<std::string>& libraries) {
  std::lock_guard<std::mutex> lock(opening);
  Compiler& c = compiler;
  if (c.ready) return "";
  SharedLibrary l;
  l.open(libraries, RTLD_LAZY | RTLD_LOCAL);
  if (!l.isOpen()) return l.why();
  bool all = l.find("nvrtcVersion", c.version) && l.find("nvrtcCreateProgram", c.create) &&
             l.find("nvrtcDestroyProgram", c.destroy) && l.find("nvrtcCompileProgram", c.compile) &&
             l.find("nvrtcGetProgramLogSize", c.logSize) && l.find("nvrtcGetProgramLog", c.log) &&
             l.find("nvrtcGetCUBINSize", c.cubinSize) && l.find("nvrtcGetCUBIN", c.cubin) &&
             l.find("nvrtcGetErrorString", c.errorString);
  if (!all) {
    std::string why = l.why();
    l.close();
    return why;
  }
  openBuiltins(l.name());
  c.library = l;
  c.ready = true;
  return "";
}

int compilerVersion() {
  int major = 0;
  int minor = 0;
  if (!compiler.ready || compiler.version(&major, &minor) != 0) return 0;
  return 1000 * major + 10 * minor;
}

Compiled compile(const Source& source, const std::vector<Source>& headers,
                 const std::vector<std::string>& options) {
  std::vector<std::string> texts;
  std::vector<std::string> names;
  for (const auto& h : headers) {
    texts.push_back(h.text);
    names.push_back(h.name);
  }
  Compiled result;
  Program program = nullptr;
  int error = compiler.create(&program, source.text.c_str(), source.name.c_str(),
                              static_cast<int>(headers.size()), pointers(texts).data(),
                              pointers(names).data());
  if (error != 0) {
    result.log = compiler.errorString(error);
    return result;
  }
  error = compiler.compile(program, static_cast<int>(options.size()), pointers(options).data());
  result.log = logOf(program);
  if (error == 0) {
    take(program, result);
  } else if (result.log.empty()) {
    result.log = compiler.errorString(error);
  }
  compiler.destroy(&program);
  return result;
}

}  // namespace shadowbatch
