#include "gpu_blas.h"

#include <memory>

#include "shared_library.h"

namespace shadowbatch {

namespace {

using Handle = void*;

struct Algorithm {
  uint64_t data[8];
};

// cublasLtMatmulHeuristicResult_t
struct Candidate {
  Algorithm algorithm;
  size_t workspaceBytes;
  int state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(Candidate) == 96, "cublasLtMatmulHeuristicResult_t");

// Of cublasComputeType_t, cudaDataType, cublasLtMatmulDescAttributes_t and
// cublasLtMatmulPreferenceAttributes_t.
enum { kFloatSums = 68, kFloat = 0 };
enum { kTransposeA = 3, kTransposeB = 4, kEpilogue = 7, kBias = 8, kBiasType = 26 };
enum { kWorkspaceMax = 1, kEpilogueBias = 4, kCandidatesMax = 32 };

}  // namespace

class Blas {
 public:
  SharedLibrary library;
  Handle handle = nullptr;
  int (*create)(Handle*);
  int (*destroy)(Handle);
  size_t (*version)();
  int (*matmul)(Handle, Handle, const void*, const void*, Handle, const void*, Handle, const void*,
                const void*, Handle, void*, Handle, const Algorithm*, void*, size_t, void*);
  int (*descCreate)(Handle*, int, int);
  int (*descDestroy)(Handle);
  int (*descSet)(Handle, int, const void*, size_t);
  int (*layoutCreate)(Handle*, int, uint64_t, uint64_t, int64_t);
  int (*layoutDestroy)(Handle);
  int (*prefCreate)(Handle*);
  int (*prefDestroy)(Handle);
  int (*prefSet)(Handle, int, const void*, size_t);
  int (*heuristic)(Handle, Handle, Handle, Handle, Handle, Handle, Handle, int, Candidate*, int*);

  ~Blas() {
    if (handle != nullptr) destroy(handle);
    library.close();
  }

  bool bind() {
    auto& l = library;
    return l.find("cublasLtCreate", create) && l.find("cublasLtDestroy", destroy) &&
           l.find("cublasLtGetVersion", version) && l.find("cublasLtMatmul", matmul) &&
           l.find("cublasLtMatmulDescCreate", descCreate) &&
           l.find("cublasLtMatmulDescDestroy", descDestroy) &&
           l.find("cublasLtMatmulDescSetAttribute", descSet) &&
           l.find("cublasLtMatrixLayoutCreate", layoutCreate) &&
           l.find("cublasLtMatrixLayoutDestroy", layoutDestroy) &&
           l.find("cublasLtMatmulPreferenceCreate", prefCreate) &&
           l.find("cublasLtMatmulPreferenceDestroy", prefDestroy) &&
           l.find("cublasLtMatmulPreferenceSetAttribute", prefSet) &&
           l.find("cublasLtMatmulAlgoGetHeuristic", heuristic);
  }
};

class Product {
 public:
  explicit Product(Blas& blas) : blas_(blas) {}

  ~Product() {
    if (preference_ != nullptr) blas_.prefDestroy(preference_);
    for (Handle layout : {a_, b_, d_}) {
      if (layout != nullptr) blas_.layoutDestroy(layout);
    }
    if (desc_ != nullptr) blas_.descDestroy(desc_);
  }

  // A cublasStatus; 0 is well.
  int plan(const ProductShape& s) {
    int error = describe(s);
    if (error == 0) error = layouts(s);
    if (error == 0) error = blas_.prefCreate(&preference_);
    if (error == 0) {
      error = blas_.prefSet(preference_, kWorkspaceMax, &s.workspaceBytes, sizeof s.workspaceBytes);
    }
    if (error != 0) return error;
    int wanted = s.candidates < kCandidatesMax ? s.candidates : kCandidatesMax;
    return blas_.heuristic(blas_.handle, desc_, a_, b_, d_, d_, preference_, wanted, candidates_,
                           &found_);
  }

  int found() const { return found_; }

  void pick(int candidate) {
    if (candidate >= 0 && candidate < found_) picked_ = candidate;
  }

  int run(const ProductOperands& o, void* stream) {
    if (o.bias != 0) {
      int error = blas_.descSet(desc_, kBias, &o.bias, sizeof o.bias);
      if (error != 0) return error;
    }
    auto at = [](uint64_t address) { return reinterpret_cast<void*>(address); };
    return blas_.matmul(blas_.handle, desc_, &o.alpha, at(o.a), a_, at(o.b), b_, &o.beta, at(o.d),
                        d_, at(o.d), d_, &candidates_[picked_].algorithm, at(o.workspace),
                        o.workspaceBytes, stream);
  }

 private:
  int set(int attribute, int32_t value) {
    return blas_.descSet(desc_, attribute, &value, sizeof value);
  }

  int describe(const ProductShape& s) {
    int error = blas_.descCreate(&desc_, kFloatSums, kFloat);
    if (error == 0) error = set(kTransposeA, s.transposeA);
    if (error == 0) error = set(kTransposeB, s.transposeB);
    if (error == 0) error = set(kEpilogue, s.epilogue);
    if (error == 0 && (s.epilogue & kEpilogueBias) != 0) error = set(kBiasType, s.typeD);
    return error;
  }

  int layouts(const ProductShape& s) {
    int error = blas_.layoutCreate(&a_, s.typeA, s.transposeA ? s.k : s.m,
                                   s.transposeA ? s.m : s.k, s.strideA);
    if (error == 0) {
      error = blas_.layoutCreate(&b_, s.typeB, s.transposeB ? s.n : s.k, s.transposeB ? s.k : s.n,
                                 s.strideB);
    }
    return error != 0 ? error : blas_.layoutCreate(&d_, s.typeD, s.m, s.n, s.strideD);
  }

  Blas& blas_;
  Handle desc_ = nullptr;
  Handle a_ = nullptr;
  Handle b_ = nullptr;
  Handle d_ = nullptr;
  Handle preference_ = nullptr;
  Candidate candidates_[kCandidatesMax];
  int found_ = 0;
  int picked_ = 0;
};

Blas* openBlas(const std::vector<std::string>& libraries, std::string& why) {
  auto blas = std::make_unique<Blas>();
  blas->library.open(libraries, RTLD_LAZY | RTLD_LOCAL);
  if (!blas->library.isOpen() || !blas->bind()) {
    why = blas->library.why();
    return nullptr;
  }
  int error = blas->create(&blas->handle);
  if (error != 0) {
    blas->handle = nullptr;
    why = "cublasLtCreate: status " + std::to_string(error) + " of " + describeBlas(blas.get());
    return nullptr;
  }
  return blas.release();
}

std::string describeBlas(const Blas* blas) {
  return blas->library.name() + ", version " + std::to_string(blas->version());
}

void closeBlas(Blas* blas) { delete blas; }

Product* planProduct(Blas* blas, const ProductShape& shape, int& found, std::string& why) {
  auto product = std::make_unique<Product>(*blas);
  int error = product->plan(shape);
  found = product->found();
  if (error == 0 && found > 0) return product.release();
  why = error != 0 ? "cuBLASLt status " + std::to_string(error) : "cuBLASLt knows no algorithm";
  return nullptr;
}

void pickCandidate(Product* product, int candidate) { product->pick(candidate); }

int multiply(Product* product, const ProductOperands& operands, void* stream) {
  return product->run(operands, stream);
}

void closeProduct(Product* product) { delete product; }

}  // namespace shadowbatch
