// Matrix products by whatever cuBLASLt is there (11, 12 or 13). Only opaque pointers, numbers and a
// block of 64 bytes cross the border; all these are the same in the three.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace shadowbatch {

// Column-major, types as in cudaDataType.
struct ProductShape {
  int typeA, typeB, typeD;
  bool transposeA, transposeB;
  int64_t m, n, k, strideA, strideB, strideD;
  int epilogue;  // cublasLtEpilogue_t
  uint64_t workspaceBytes;
  int candidates;
};

struct ProductOperands {
  uint64_t a, b, d, bias, workspace, workspaceBytes;
  float alpha, beta;
};

class Blas;
class Product;

// Null and why not.
Blas* openBlas(const std::vector<std::string>& libraries, std::string& why);
std::string describeBlas(const Blas* blas);
void closeBlas(Blas* blas);

// A product with its candidate algorithms, the likely best first; null and why not.
Product* planProduct(Blas* blas, const ProductShape& shape, int& found, std::string& why);
void pickCandidate(Product* product, int candidate);
int multiply(Product* product, const ProductOperands& operands, void* stream);
void closeProduct(Product* product);

}  // namespace shadowbatch
