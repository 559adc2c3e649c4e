package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Tensor;
import java.util.Arrays;

/**
 * Chunks that {@link LowRankKernels#fetchChunks} is to copy into slots of pages. Filled anew for
 * every call and kept between calls, so that a step allocates little. Not for several threads.
 */
public final class ChunkCopies {
  private static final int TENSORS = 4;
  private static final int NUMBERS = 3;

  private final int chunkTokens;
  private int size;
  private Tensor[] tensors = new Tensor[TENSORS * 64]; // keys or null, values, both of the slot
  private int[] numbers = new int[NUMBERS * 64]; // chunk, slot, head

  /**
   * @param chunkTokens 4, 8 or 16
   */
  public ChunkCopies(int chunkTokens) {
    ChunkPicks.requireChunk("chunk copies", chunkTokens);
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
    Arrays.fill(tensors, 0, TENSORS * size, null);
    size = 0;
  }

  /**
   * Halves of a page and a chunk in it.
   *
   * @param keys U8 [1, halfBytes], or null as a source of which only the values are wanted
   * @param values U8 [1, halfBytes]
   */
  public record Place(Tensor keys, Tensor values, int chunk) {}

  /** Adds a chunk of one KV head. */
  public void add(Place from, Place to, int head) {
    if (NUMBERS * size == numbers.length) {
      tensors = Arrays.copyOf(tensors, 2 * tensors.length);
      numbers = Arrays.copyOf(numbers, 2 * numbers.length);
    }
    int t = TENSORS * size;
    tensors[t] = from.keys;
    tensors[t + 1] = from.values;
    tensors[t + 2] = to.keys;
    tensors[t + 3] = to.values;
    int n = NUMBERS * size++;
    numbers[n] = from.chunk;
    numbers[n + 1] = to.chunk;
    numbers[n + 2] = head;
  }

  Tensor keys(int i) {
    return tensors[TENSORS * i];
  }

  Tensor values(int i) {
    return tensors[TENSORS * i + 1];
  }

  Tensor toKeys(int i) {
    return tensors[TENSORS * i + 2];
  }

  Tensor toValues(int i) {
    return tensors[TENSORS * i + 3];
  }

  int chunk(int i) {
    return numbers[NUMBERS * i];
  }

  int slot(int i) {
    return numbers[NUMBERS * i + 1];
  }

  int head(int i) {
    return numbers[NUMBERS * i + 2];
  }

  /** For backends that use addresses: of each chunk the four halves, 0 for none. */
  public long[] addresses() {
    long[] result = new long[TENSORS * size];
    for (int i = 0; i < result.length; i++) {
      result[i] = tensors[i] == null ? 0 : tensors[i].address();
    }
    return result;
  }

  /** Of each chunk {chunk, slot, head}; may be longer than there are chunks. */
  public int[] numbers() {
    return numbers;
  }
}
