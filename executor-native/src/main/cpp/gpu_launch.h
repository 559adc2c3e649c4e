// Calls of the CUDA driver that are made many times a step. Results are its CUresult.
#pragma once
#include <cstdint>
#include <string>

namespace shadowbatch {

struct Launch {
  void* context;
  void* function;
  unsigned gridX, gridY, gridZ, threads, sharedBytes;
  void* stream;
  void* params;
  size_t paramBytes;
};

// Opens the driver at the first call. Empty, or why it could not be.
std::string openDriver(const std::string& library);

int enterContext(void* context);
int launch(const Launch& l);
int copyAsync(void* context, uint64_t to, uint64_t from, size_t bytes, void* stream);
int queryStream(void* context, void* stream);

// Bytes of a kernel's parameters, or -1 if this driver cannot tell.
long parameterBytes(void* function);

}  // namespace shadowbatch
