// Devices, contexts and errors of the stand-in driver.
#include "driver.h"

using driver::currentContext;
using driver::primaryContext;

namespace {

struct Attribute {
  int number, value;
};

// Of an H200 (CUdevice_attribute of cuda.h).
const Attribute ATTRIBUTES[] = {
    {1, 1024},         // threads of a block
    {2, 1024},         // in x
    {3, 1024},         // in y
    {4, 64},           // in z
    {5, 2147483647},   // blocks of a grid in x
    {6, 65535},        // in y
    {7, 65535},        // in z
    {8, 48 << 10},     // shared bytes of a block, not asked for
    {9, 64 << 10},     // constant bytes
    {10, 32},          // lanes of a warp
    {12, 65536},       // registers of a block
    {13, 1980000},     // clock, kHz
    {16, 132},         // multiprocessors
    {18, 0},           // is integrated
    {19, 1},           // maps host memory
    {20, 0},           // compute mode
    {31, 1},           // kernels at the same time
    {32, 1},           // corrects errors of memory
    {33, 0},           // bus
    {34, 0},           // device on the bus
    {36, 3201000},     // memory clock, kHz
    {37, 6144},        // bits of the memory bus
    {38, 60 << 20},    // bytes of the second-level cache
    {39, 2048},        // threads of a multiprocessor
    {40, 3},           // copy engines
    {41, 1},           // one address space with the host
    {75, 9},           // compute capability, major
    {76, 0},           // minor
    {78, 1},           // streams have priorities
    {81, 233472},      // shared bytes of a multiprocessor
    {82, 65536},       // registers of a multiprocessor
    {83, 1},           // managed memory
    {95, 1},           // cooperative launches
    {97, driver::SHARED_MAX},  // shared bytes of a block, if asked for
    {106, 32},         // blocks of a multiprocessor
    {111, 1024},       // shared bytes that each block loses
};

struct Name {
  int code;
  const char *name, *text;
};

const Name NAMES[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
    {GRAPH_EXEC_UPDATE_FAILURE, "CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE",
     "the graph update was not performed because it included changes which violated constraints"},
    {UNKNOWN, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

bool exists(int device) { return device >= 0 && device < driver::driver().devices; }

const Name* named(int code) {
  for (const Name& n : NAMES) {
    if (n.code == code) return &n;
  }
  return nullptr;
}

}  // namespace

API cuInit(unsigned flags) {
  driver::Call call(driver::Needs::NOTHING);
  if (flags) return INVALID_VALUE;
  driver::driver().initialised = true;
  return SUCCESS;
}

API cuDriverGetVersion(int* v) {
  *v = 13000;
  return SUCCESS;
}

API cuGetErrorName(int code, const char** s) {
  const Name* n = named(code);
  *s = n ? n->name : nullptr;
  return n ? SUCCESS : INVALID_VALUE;
}

API cuGetErrorString(int code, const char** s) {
  const Name* n = named(code);
  *s = n ? n->text : nullptr;
  return n ? SUCCESS : INVALID_VALUE;
}

API cuDeviceGetCount(int* n) {
  ENTER(INIT);
  *n = d.devices;
  return SUCCESS;
}

API cuDeviceGet(int* device, int ordinal) {
  ENTER(INIT);
  *device = ordinal;
  return exists(ordinal) ? SUCCESS : INVALID_DEVICE;
}

API cuDeviceGetName(char* name, int n, int device) {
  ENTER(INIT);
  std::snprintf(name, (size_t)n, "ShadowBatch stand-in");
  return exists(device) ? SUCCESS : INVALID_DEVICE;
}

API cuDeviceGetUuid_v2(char* uuid, int device) {
  ENTER(INIT);
  std::memset(uuid, 0x5b, 16);
  return exists(device) ? SUCCESS : INVALID_DEVICE;
}

API cuDeviceGetUuid(char* uuid, int device) { return cuDeviceGetUuid_v2(uuid, device); }

API cuDeviceGetPCIBusId(char* id, int n, int device) {
  ENTER(INIT);
  std::snprintf(id, (size_t)n, "0000:00:00.0");
  return exists(device) ? SUCCESS : INVALID_DEVICE;
}

API cuDeviceTotalMem_v2(size_t* bytes, int device) {
  ENTER(INIT);
  *bytes = d.memory.total;
  return exists(device) ? SUCCESS : INVALID_DEVICE;
}

API cuDeviceGetAttribute(int* value, int attribute, int device) {
  ENTER(INIT);
  if (!exists(device)) return INVALID_DEVICE;
  for (const Attribute& a : ATTRIBUTES) {
    if (a.number != attribute) continue;
    *value = a.value;
    return SUCCESS;
  }
  std::fprintf(stderr, "stand-in driver: device attribute %d is not in its table\n", attribute);
  return INVALID_VALUE;
}

API cuDevicePrimaryCtxRetain(void** context, int device) {
  ENTER(INIT);
  if (!exists(device)) return INVALID_DEVICE;
  d.retained++;
  *context = &primaryContext;
  return SUCCESS;
}

API cuDevicePrimaryCtxRelease_v2(int device) {
  ENTER(INIT);
  if (!exists(device)) return INVALID_DEVICE;
  if (d.retained == 0) return INVALID_CONTEXT;
  d.retained--;
  return SUCCESS;
}

API cuDevicePrimaryCtxGetState(int, unsigned* flags, int* active) {
  ENTER(INIT);
  *flags = 0;
  *active = d.retained > 0;
  return SUCCESS;
}

API cuDevicePrimaryCtxSetFlags_v2(int, unsigned) {
  ENTER(INIT);
  return SUCCESS;
}

API cuCtxSetCurrent(void* context) {
  ENTER(INIT);
  if (context && (context != &primaryContext || d.retained == 0)) return INVALID_CONTEXT;
  currentContext = context;
  return SUCCESS;
}

API cuCtxPushCurrent_v2(void* context) { return cuCtxSetCurrent(context); }

API cuCtxPopCurrent_v2(void** context) {
  ENTER(INIT);
  if (!currentContext) return INVALID_CONTEXT;
  if (context) *context = currentContext;
  currentContext = nullptr;
  return SUCCESS;
}

API cuCtxGetCurrent(void** context) {
  ENTER(INIT);
  *context = currentContext;
  return SUCCESS;
}

API cuCtxGetDevice(int* device) {
  ENTER(CONTEXT);
  *device = 0;
  return SUCCESS;
}

API cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  ENTER(CONTEXT);
  if (least) *least = 0;
  if (greatest) *greatest = -5;
  return SUCCESS;
}

API cuCtxSetLimit(int, size_t) {
  ENTER(CONTEXT);
  return SUCCESS;
}

API cuCtxSynchronize() {
  ENTER(CONTEXT);
  return d.drainAll();
}
