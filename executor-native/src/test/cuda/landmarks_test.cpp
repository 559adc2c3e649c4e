// Landmarks against the definition's sums, bit for bit, and copies of chunks byte for byte.
#include "check.h"

#include <algorithm>

namespace {

struct SummariseParams {
  const uint8_t* const* keys;
  uint8_t* const* landmarks;
  int pages, blocks, headDim, chunkTokens, keyBytes, landmarkBytes;
};

struct FetchChunksParams {
  const uint64_t* addresses;
  const int* numbers;
  int64_t layerOffset;
  int count, blockBytes, headDim, chunkTokens;
};

using Bytes = std::vector<uint8_t>;

float halfAt(const uint8_t* p, long i) {
  sb::half h;
  std::memcpy(&h, p + 2 * i, 2);
  return sb::toFloat(h);
}

void expectBlock(const uint8_t* keys, const uint8_t* got, int d, int tokens, const char* what) {
  const int chunks = 64 / tokens;
  for (int c = 0; c < chunks; c++) {
    std::vector<float> mean(d);
    for (int i = 0; i < d; i++) {
      float x[16];
      for (int t = 0; t < tokens; t++) x[t] = halfAt(keys, i * 64 + c * tokens + t);
      for (int n = tokens / 2; n; n /= 2) {
        for (int t = 0; t < n; t++) x[t] += x[t + n];
      }
      mean[i] = x[0] * (1.f / tokens);
      float finite = mean[i] > -65504.f ? mean[i] : -65504.f;
      uint16_t bits = sb::toHalf(finite < 65504.f ? finite : 65504.f).bits, stored;
      std::memcpy(&stored, got + 2 * (i * chunks + c), 2);
      EXPECT(bits == stored, "%s chunk %d dimension %d: %x, not %x", what, c, i, stored, bits);
    }
    float least = 1;
    for (int t = 0; t < tokens; t++) {
      float dot = 0, keySquares = 0, meanSquares = 0;
      for (int i = 0; i < d; i++) {
        float key = halfAt(keys, i * 64 + c * tokens + t);
        dot = std::fma(mean[i], key, dot);
        keySquares = std::fma(key, key, keySquares);
        meanSquares = std::fma(mean[i], mean[i], meanSquares);
      }
      float lengths = std::sqrt(keySquares) * std::sqrt(meanSquares);
      float cos = dot / (lengths > 1e-30f ? lengths : 1e-30f);
      if (!(cos >= least)) least = cos >= -1 ? cos : -1;
    }
    float stored;
    std::memcpy(&stored, got + 2 * d * chunks + 4 * c, 4);
    EXPECT(stored == least, "%s chunk %d: likeness %g, not %g", what, c, stored, least);
  }
}

// Keys of one size, or of all sizes where the order of sums shows, or some that are no numbers.
enum Keys { ALIKE, MIXED, STRANGE };

float keyOf(Keys kind, float x, int i) {
  if (kind == MIXED) return x * std::ldexp(1.f, i * 7 % 27 - 13);
  if (kind == STRANGE && i % 67 == 0) return i % 2 ? INFINITY : NAN;
  return std::fmin(std::fmax(x, -65504.f), 65504.f);
}

void summarise(int d, int tokens, int pages, int blocks, float spread, unsigned seed,
               Keys kind = ALIKE) {
  const int keyBytes = 128 * d + 192, chunks = 64 / tokens;
  const int landmarkBytes = (2 * d * chunks + 4 * chunks + 63) / 64 * 64;
  std::vector<Bytes> keys, landmarks;
  std::vector<const uint8_t*> from;
  std::vector<uint8_t*> to;
  for (int p = 0; p < pages; p++) {
    keys.emplace_back(keyBytes * blocks);
    landmarks.emplace_back(landmarkBytes * blocks, 0xff);
    auto x = check::normal(64 * d * blocks, seed + p, spread);
    for (int b = 0; b < blocks; b++) {
      for (int i = 0; i < 64 * d; i++) {
        uint16_t h = sb::toHalf(keyOf(kind, x[b * 64 * d + i], i)).bits;
        std::memcpy(&keys[p][b * keyBytes + 2 * i], &h, 2);
      }
    }
  }
  for (int p = 0; p < pages; p++) {
    from.push_back(keys[p].data());
    to.push_back(landmarks[p].data());
  }
  SummariseParams params = {from.data(), to.data(), pages,    blocks,
                            d,           tokens,    keyBytes, landmarkBytes};
  check::launch("sb_summarise", dim3((pages * blocks + 3) / 4), dim3(128), 0, params);
  for (int p = 0; p < pages; p++) {
    for (int b = 0; b < blocks; b++) {
      char what[80];
      std::snprintf(what, sizeof what, "d %d, %d tokens, page %d, block %d", d, tokens, p, b);
      expectBlock(&keys[p][b * keyBytes], &landmarks[p][b * landmarkBytes], d, tokens, what);
    }
  }
}

// Copies drawn chunks between pages of random bytes; all other bytes of the slots stay.
void fetch(int d, int tokens, int heads, int count, unsigned seed) {
  const int blockBytes = 128 * d + 192, perPage = 64 / tokens;
  const int64_t layerOffset = static_cast<int64_t>(heads) * blockBytes;  // of layer 1
  std::mt19937 random(seed);
  std::vector<Bytes> pages(8, Bytes(2 * layerOffset));
  for (auto& page : pages) {
    for (auto& b : page) b = random();
  }
  std::vector<Bytes> expected = pages;
  std::vector<uint64_t> addresses;
  std::vector<int> numbers;
  std::vector<int> places(2 * perPage * heads);  // each slot once
  for (size_t i = 0; i < places.size(); i++) places[i] = i;
  std::shuffle(places.begin(), places.end(), random);
  count = std::min<int>(count, places.size());
  for (int i = 0; i < count; i++) {
    int source = random() % 2, chunk = random() % perPage;
    int head = places[i] % heads, slot = places[i] / heads % perPage;
    int target = 2 + places[i] / heads / perPage;
    bool withKeys = random() % 2;
    addresses.push_back(withKeys ? reinterpret_cast<uint64_t>(pages[source].data()) : 0);
    addresses.push_back(reinterpret_cast<uint64_t>(pages[4 + source].data()));
    addresses.push_back(reinterpret_cast<uint64_t>(pages[target].data()));
    addresses.push_back(reinterpret_cast<uint64_t>(pages[4 + target].data()));
    numbers.insert(numbers.end(), {chunk, slot, head});
    int64_t block = layerOffset + head * blockBytes;
    std::memcpy(&expected[4 + target][block + 2 * slot * tokens * d],
                &pages[4 + source][block + 2 * chunk * tokens * d], 2 * tokens * d);
    for (int j = 0; withKeys && j < d; j++) {
      std::memcpy(&expected[target][block + 2 * (j * 64 + slot * tokens)],
                  &pages[source][block + 2 * (j * 64 + chunk * tokens)], 2 * tokens);
    }
  }
  FetchChunksParams params = {addresses.data(), numbers.data(), layerOffset, count,
                              blockBytes,       d,              tokens};
  check::launch("sb_fetch_chunks", dim3((count + 7) / 8), dim3(256), 0, params);
  EXPECT(pages == expected, "d %d, %d tokens, %d copies", d, tokens, count);
}

}  // namespace

TEST(landmarksHaveTheBitsOfTheDefinition) {
  for (int tokens : {4, 8, 16}) {
    for (int d : {16, 64, 80, 256}) summarise(d, tokens, 2, 3, 1, d + tokens);
    summarise(128, tokens, 1, 1, 2, 7);
  }
}

TEST(landmarksOfKeysOfAllSizes) {
  for (float spread : {0.f, 1e-7f, 1e5f, 1e30f}) summarise(64, 8, 1, 2, spread, 3);
}

TEST(landmarksOfKeysOfMixedSizes) {
  for (int tokens : {4, 8, 16}) summarise(64, tokens, 1, 2, 1, tokens, MIXED);
}

TEST(landmarksOfKeysThatAreNoNumbers) {
  for (int tokens : {4, 8, 16}) summarise(32, tokens, 1, 2, 1, tokens, STRANGE);
}

TEST(chunksGoToTheirSlotsAndNothingElseChanges) {
  for (int tokens : {4, 8, 16}) {
    for (int d : {16, 64, 80, 256}) fetch(d, tokens, 2, 23, d + tokens);
    fetch(128, tokens, 1, 1, 5);
  }
  fetch(128, 4, 3, 90, 6);
}
