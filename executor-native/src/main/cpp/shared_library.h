// A library found at run time: what is built here has no undefined symbol of CUDA, so that it loads
// where there is none.
#pragma once
#include <dlfcn.h>

#include <string>
#include <vector>

namespace shadowbatch {

class SharedLibrary {
 public:
  // The first of the names that can be opened; else none, and why() tells of each.
  void open(const std::vector<std::string>& names, int flags) {
    for (const auto& name : names) {
      handle_ = dlopen(name.c_str(), flags);
      if (handle_ != nullptr) {
        name_ = name;
        return;
      }
      const char* error = dlerror();
      why_ += (why_.empty() ? "" : "; ") + std::string(error == nullptr ? name : error);
    }
  }

  // Sets the function of that name; false and why() if there is none.
  template <class F>
  bool find(const char* symbol, F& function) {
    function = reinterpret_cast<F>(dlsym(handle_, symbol));
    if (function != nullptr) return true;
    why_ = name_ + " has no function " + symbol;
    return false;
  }

  bool isOpen() const { return handle_ != nullptr; }
  const std::string& name() const { return name_; }
  const std::string& why() const { return why_; }

  void close() {
    if (handle_ != nullptr) dlclose(handle_);
    handle_ = nullptr;
  }

 private:
  void* handle_ = nullptr;
  std::string name_;
  std::string why_;
};

}  // namespace shadowbatch
