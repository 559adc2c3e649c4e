package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Tensor;
import java.util.Arrays;

/**
 * Chunks of keys that {@link LowRankKernels#rebuildKeys} is to make: where the factors of each are,
 * at which position it begins and where its keys go. Filled anew for every call and kept between
 * calls, so that a step allocates nothing. Not for several threads.
 */
public final class KeyChunks {
  /** In place of a head: the chunk's keys of all heads. */
  public static final int ALL_HEADS = -1;

  static final int NUMBERS = 4;

  private final int chunkTokens;
  private int size;
  private Tensor[] factors = new Tensor[64];
  private Tensor[] keys = new Tensor[64];
  private LowRank[] bases = new LowRank[64];
  private int[] numbers = new int[NUMBERS * 64]; // chunk, slot, first position, head

  /**
   * @param chunkTokens 4, 8 or 16
   */
  public KeyChunks(int chunkTokens) {
    if (chunkTokens != 4 && chunkTokens != 8 && chunkTokens != 16) {
      throw new IllegalArgumentException(
          "key chunks of %d tokens: 4, 8 or 16 are possible".formatted(chunkTokens));
    }
    this.chunkTokens = chunkTokens;
  }

  /** Tokens of a chunk. */
  public int chunkTokens() {
    return chunkTokens;
  }

  /** Chunks in the list. */
  public int size() {
    return size;
  }

  /** Forgets all chunks. */
  public void clear() {
    Arrays.fill(factors, 0, size, null);
    Arrays.fill(keys, 0, size, null);
    Arrays.fill(bases, 0, size, null);
    size = 0;
  }

  /** Source of a chunk: U8 [1, factor page bytes], the chunk in that page, the layer's basis. */
  public record Source(Tensor factors, int chunk, LowRank basis) {}

  /**
   * Adds a chunk.
   *
   * @param firstPosition position of its first token, for RoPE
   * @param keys U8 [1, halfBytes], the key half of a page that gets its keys
   * @param slot which chunk of that page
   * @param head KV head, or {@link #ALL_HEADS}
   */
  public void add(Source source, int firstPosition, Tensor keys, int slot, int head) {
    if (size == bases.length) {
      factors = Arrays.copyOf(factors, 2 * size);
      this.keys = Arrays.copyOf(this.keys, 2 * size);
      bases = Arrays.copyOf(bases, 2 * size);
      numbers = Arrays.copyOf(numbers, 2 * NUMBERS * size);
    }
    factors[size] = source.factors;
    this.keys[size] = keys;
    bases[size] = source.basis;
    int at = NUMBERS * size++;
    numbers[at] = source.chunk;
    numbers[at + 1] = slot;
    numbers[at + 2] = firstPosition;
    numbers[at + 3] = head;
  }

  Tensor factors(int i) {
    return factors[i];
  }

  Tensor keys(int i) {
    return keys[i];
  }

  LowRank basis(int i) {
    return bases[i];
  }

  /** Chunk in its factor page. */
  int chunk(int i) {
    return numbers[NUMBERS * i];
  }

  /** Chunk in its key page. */
  int slot(int i) {
    return numbers[NUMBERS * i + 1];
  }

  int firstPosition(int i) {
    return numbers[NUMBERS * i + 2];
  }

  int head(int i) {
    return numbers[NUMBERS * i + 3];
  }

  /** For backends that use addresses: of each chunk {factor page, key half, vectors, mean}. */
  public long[] addresses() {
    long[] result = new long[4 * size];
    for (int i = 0; i < size; i++) {
      result[4 * i] = factors[i].address();
      result[4 * i + 1] = keys[i].address();
      result[4 * i + 2] = bases[i].vectors().address();
      result[4 * i + 3] = bases[i].mean().address();
    }
    return result;
  }

  /**
   * Of each chunk {chunk in its factor page, chunk in its key page, first position, head or {@link
   * #ALL_HEADS}}; may be longer than there are chunks.
   */
  public int[] numbers() {
    return numbers;
  }
}
