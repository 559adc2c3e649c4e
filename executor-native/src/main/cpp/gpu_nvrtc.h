// CUDA C++ to machine code at run time, by whatever NVRTC is there.
#pragma once
#include <string>
#include <vector>

namespace shadowbatch {

struct Source {
  std::string name;
  std::string text;
};

struct Compiled {
  std::vector<char> cubin;  // empty if it failed
  std::string log;
};

// Opens the compiler at the first call that can. Empty, or why it could not be.
std::string openCompiler(const std::vector<std::string>& libraries);

// 1000 * major + 10 * minor; 0 if it is not open.
int compilerVersion();

Compiled compile(const Source& source, const std::vector<Source>& headers,
                 const std::vector<std::string>& options);

}  // namespace shadowbatch
