// Keys of low rank against the definition's chains, bit for bit.
#include "check.h"

#include <algorithm>

namespace {

struct PlainKeysParams {
  const uint8_t* const* keys;
  const float *cos, *sin;
  float* out;
  int64_t outStride, layerOffset;
  int blockBytes, headDim, half, ropeStride, firstPosition, unused;
};

struct GramParams {
  const float *x, *mean;
  float* out;
  int64_t xStride, outStride;
  int rows, columns;
};

struct ProjectParams {
  const float* x;
  const sb::half* vectors;
  const float* mean;
  uint8_t* const* pages;
  int64_t xStride, layerOffset;
  int columns, rank, integers, unused;
};

struct RebuildKeysParams {
  const uint64_t* addresses;
  const int *numbers, *groups;
  const float *cos, *sin;
  int64_t factorOffset, layerOffset;
  int blockBytes, kvHeads, half, ropeStride, rank, chunkTokens, integers, unused;
};

constexpr int POSITIONS = 320;
using Bytes = std::vector<uint8_t>;

struct Rope {
  int half;
  std::vector<float> cos, sin;

  explicit Rope(int half) : half(half) {
    for (int p = 0; p < POSITIONS; p++) {
      for (int i = 0; i < half; i++) {
        cos.push_back(std::cos(p * std::pow(1e4, -1.0 * i / half)));
        sin.push_back(std::sin(p * std::pow(1e4, -1.0 * i / half)));
      }
    }
  }

  // Turns a key in place; direction -1 turns it back.
  void turn(float* x, int position, float direction) const {
    for (int i = 0; i < half; i++) {
      float a = x[i], b = x[i + half];
      float c = cos[position * half + i], s = direction * sin[position * half + i];
      x[i] = std::fma(a, c, -(b * s));
      x[i + half] = std::fma(b, c, a * s);
    }
  }
};

sb::half halfAt(const uint8_t* p, int64_t i) {
  sb::half h;
  std::memcpy(&h, p + 2 * i, 2);
  return h;
}

std::vector<sb::half> halves(const std::vector<float>& x) {
  std::vector<sb::half> result;
  for (float v : x) result.push_back(sb::toHalf(v));
  return result;
}

bool sameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), 4 * a.size()) == 0;
}

void plainKeys(int d, int half, int heads, int count, unsigned seed) {
  const int blockBytes = 128 * d + 192, width = heads * d, stride = width + 16;
  const int64_t layerOffset = static_cast<int64_t>(heads) * blockBytes;
  Rope rope(half);
  std::vector<Bytes> pages;
  std::vector<const uint8_t*> addresses;
  for (int p = 0; p < count; p++) {
    auto x = halves(check::normal(layerOffset, seed + p));
    pages.emplace_back(2 * layerOffset);
    std::memcpy(pages[p].data(), x.data(), 2 * layerOffset);
  }
  for (auto& page : pages) addresses.push_back(page.data());
  std::vector<float> out(64 * count * stride, -1), expected = out;
  for (int t = 0; t < 64 * count; t++) {
    for (int h = 0; h < heads; h++) {
      float* key = &expected[static_cast<size_t>(t) * stride + h * d];
      const uint8_t* block = &pages[t / 64][layerOffset + h * blockBytes];
      for (int i = 0; i < d; i++) key[i] = sb::toFloat(halfAt(block, i * 64 + t % 64));
      rope.turn(key, 64 + t, -1);
    }
  }
  PlainKeysParams p = {addresses.data(), rope.cos.data(), rope.sin.data(), out.data(), stride,
                       layerOffset,      blockBytes,      d,               half,       half,
                       64,               0};
  check::launch("sb_plain_keys", dim3(heads, count), dim3(256), 132 * d, p);
  EXPECT(sameBits(out, expected), "d %d, %d of it turn, %d heads, %d pages", d, 2 * half, heads, count);
}

void gram(int rows, int width, unsigned seed) {
  const int stride = width + 8;
  auto x = check::normal(rows * stride, seed, 3), mean = check::normal(width, seed + 1);
  std::vector<float> out(width * stride, -1), expected = out;
  for (int i = 0; i < width; i++) {
    for (int j = 0; j < width; j++) {
      float sum = 0;
      for (int t = 0; t < rows; t++) {
        const float* row = &x[t * stride];
        float a = row[i] - mean[i], b = row[j] - mean[j];
        sum = std::fma(a, b, sum);
      }
      expected[i * stride + j] = sum;
    }
  }
  GramParams p = {x.data(), mean.data(), out.data(), stride, stride, rows, width};
  const int tiles = (width + 63) / 64;
  check::launch("sb_gram", dim3(tiles, tiles), dim3(256), 16640, p);
  EXPECT(sameBits(out, expected), "%d rows of %d", rows, width);
}

// Factors of pages, in layer 1 of 2.
struct Factors {
  int width, rank, integers, blockBytes;
  std::vector<float> x, mean;
  std::vector<sb::half> vectors;
  std::vector<Bytes> pages, expected;

  Factors(int width, int rank, int integers, int count, float spread, unsigned seed)
      : width(width), rank(rank), integers(integers) {
    blockBytes = integers ? 64 * rank + 256 : 128 * rank;
    x = check::normal(64 * count * width, seed, spread);
    mean = check::normal(width, seed + 1, spread);
    vectors = halves(check::normal(rank * width, seed + 2, 0.1f));
    pages.assign(count, Bytes(2 * blockBytes, 0xee));
    expected = pages;
    for (int t = 0; t < 64 * count; t++) put(t);
  }

  void put(int t) {
    std::vector<float> a(rank);
    float top = 1e-30f;
    for (int i = 0; i < rank; i++) {
      for (int j = 0; j < width; j++) {
        float centred = x[static_cast<size_t>(t) * width + j] - mean[j];
        a[i] = std::fma(centred, sb::toFloat(vectors[i * width + j]), a[i]);
      }
      top = std::max(top, std::fabs(a[i]));
    }
    uint8_t* block = &expected[t / 64][blockBytes];
    for (int i = 0; i < rank; i++) {
      const int at = t % 64 * rank + i;
      if (integers) {
        float inverse = 127.f / top;
        block[at] = static_cast<uint8_t>(static_cast<int>(std::rint(a[i] * inverse)) + 128);
      } else {
        sb::half h = sb::toHalf(std::min(std::max(a[i], -65504.f), 65504.f));
        std::memcpy(block + 2 * at, &h, 2);
      }
    }
    float scale = top / 127.f;
    if (integers) std::memcpy(block + 64 * rank + 4 * (t % 64), &scale, 4);
  }

  void project() {
    std::vector<uint8_t*> addresses;
    for (auto& page : pages) addresses.push_back(page.data());
    ProjectParams p = {x.data(), vectors.data(), mean.data(), addresses.data(), width,
                       blockBytes, width,        rank,        integers,         0};
    check::launch("sb_project", dim3(4 * pages.size()), dim3(128), 10496 + 64 * rank, p);
    EXPECT(pages == expected, "width %d, rank %d, %s", width, rank, integers ? "bytes" : "halves");
  }

  float factor(int page, int slot, int i) const {
    const uint8_t* block = &expected[page][blockBytes];
    if (!integers) return sb::toFloat(halfAt(block, slot * rank + i));
    float scale;
    std::memcpy(&scale, block + 64 * rank + 4 * slot, 4);
    return static_cast<float>(block[slot * rank + i] - 128) * scale;
  }
};

struct Item {
  int page, chunk, target, slot, position, head;
};

void rebuild(int d, int heads, int half, int rank, int tokens, int integers, unsigned seed) {
  const int perPage = 64 / tokens, blockBytes = 128 * d + 192;
  const int64_t layerOffset = static_cast<int64_t>(heads) * blockBytes;
  Factors f(heads * d, rank, integers, 2, 1, seed);
  Rope rope(half);
  std::mt19937 random(seed);
  std::vector<Bytes> keys(2, Bytes(2 * layerOffset, 0x11)), expected = keys;
  std::vector<uint64_t> addresses;
  std::vector<int> numbers, groups;
  int first = 0;
  for (int h = 0; h < heads; h++) {  // runs of one head, the last group of each part full
    const int count = std::min(2 * perPage, 5 + 3 * h);
    for (int i = 0; i < count; i++) {
      Item it = {static_cast<int>(random() % 2), static_cast<int>(random() % perPage), i / perPage,
                 i % perPage, static_cast<int>(random() % (POSITIONS - 16)), h};
      addresses.insert(addresses.end(), {reinterpret_cast<uint64_t>(f.expected[it.page].data()),
                                         reinterpret_cast<uint64_t>(keys[it.target].data()),
                                         reinterpret_cast<uint64_t>(f.vectors.data()),
                                         reinterpret_cast<uint64_t>(f.mean.data())});
      numbers.insert(numbers.end(), {it.chunk, it.slot, it.position, -1});
      for (int t = 0; t < tokens; t++) {
        std::vector<float> key(f.mean.begin() + h * d, f.mean.begin() + (h + 1) * d);
        for (int r = 0; r < rank; r++) {
          float a = f.factor(it.page, it.chunk * tokens + t, r);
          for (int j = 0; j < d; j++) {
            key[j] = std::fma(a, sb::toFloat(f.vectors[r * heads * d + h * d + j]), key[j]);
          }
        }
        rope.turn(key.data(), it.position + t, 1);
        for (int j = 0; j < d; j++) {
          sb::half stored = sb::toHalf(std::min(std::max(key[j], -65504.f), 65504.f));
          int64_t at = layerOffset + h * blockBytes + 2 * (j * 64 + it.slot * tokens + t);
          std::memcpy(&expected[it.target][at], &stored, 2);
        }
      }
    }
    for (int from = 0; from < count; from += perPage) {
      groups.insert(groups.end(), {first + from, std::min(perPage, count - from), h, 0});
    }
    first += count;
  }
  RebuildKeysParams p = {addresses.data(), numbers.data(), groups.data(), rope.cos.data(),
                         rope.sin.data(), f.blockBytes,   layerOffset,   blockBytes,
                         heads,           half,           half,          rank,
                         tokens,          integers,       0};
  std::string kernel = "sb_rebuild_keys_" + std::to_string(d);
  const int shared = std::max(4352 + 64 * d, 256 * (d + 1));
  check::launch(kernel.c_str(), dim3(groups.size() / 4), dim3(256), shared, p);
  EXPECT(keys == expected, "d %d, %d heads, rank %d, chunks of %d, %s", d, heads, rank, tokens,
         integers ? "bytes" : "halves");
}

}  // namespace

TEST(plainKeysAreTurnedBack) {
  plainKeys(16, 0, 1, 1, 1);
  plainKeys(64, 32, 3, 3, 2);
  plainKeys(96, 48, 2, 1, 3);
  plainKeys(256, 32, 2, 2, 4);  // the other dimensions stay
}

TEST(gramMatricesOfAllSizes) {
  for (int width : {16, 48, 64, 80, 192}) {
    for (int rows : {1, 15, 16, 33}) gram(rows, width, width + rows);
  }
}

TEST(factorsOfPages) {
  for (int integers : {0, 1}) {
    Factors(64, 16, integers, 1, 1, 5).project();
    Factors(48, 48, integers, 3, 1, 6).project();
    Factors(192, 80, integers, 1, 1, 7).project();
    for (float spread : {0.f, 1e-30f, 1e6f}) Factors(64, 32, integers, 1, spread, 8).project();
  }
}

TEST(rebuiltKeysHaveTheBitsOfTheDefinition) {
  for (int integers : {0, 1}) {
    for (int tokens : {4, 8, 16}) rebuild(64, 3, 32, 48, tokens, integers, 20 + tokens);
    rebuild(16, 2, 0, 16, 8, integers, 31);
    rebuild(32, 2, 16, 32, 4, integers, 32);
    rebuild(96, 2, 48, 32, 8, integers, 33);
    rebuild(128, 2, 64, 16, 8, integers, 34);
    rebuild(256, 1, 64, 16, 16, integers, 35);
  }
}
