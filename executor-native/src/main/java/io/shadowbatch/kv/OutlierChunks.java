package io.shadowbatch.kv;

import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.LandmarkLayout;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * The chunks of a prompt that every row reads: the first, where the attention sink is, and those
 * whose mean says least of their keys, by the least cosine between a key and the mean (arXiv
 * 2410.21465, algorithm 1). Of equals the earlier ones.
 */
final class OutlierChunks {
  private OutlierChunks() {}

  /** Columns of the table for so many outliers. */
  static int columns(int outliers) {
    return 2 + outliers;
  }

  /**
   * The chunks of a prompt for each layer and KV head, [layers * kvHeads][at most 1 + outliers].
   *
   * @param landmarks of the prompt's pages
   * @param copy to read them by
   */
  static int[][] of(LandmarkLayout layout, Tensor[] landmarks, int outliers, HostCopy copy) {
    int perPage = layout.chunks();
    float[][] likeness =
        new float[layout.kv().layers() * layout.kv().kvHeads()][landmarks.length * perPage];
    for (int page = 0; page < landmarks.length; page++) {
      // Whole pages: rows of a few numbers would each be a copy of its own.
      Tensor some = likeness(layout, copy.of(landmarks[page]));
      for (int row = 0; row < likeness.length; row++) {
        for (int i = 0; i < perPage; i++) likeness[row][page * perPage + i] = some.f32(row, i);
      }
    }
    int[][] result = new int[likeness.length][];
    for (int row = 0; row < result.length; row++) result[row] = chosen(likeness[row], outliers);
    return result;
  }

  /** F32 [layers * kvHeads, chunks] of a page of landmarks. */
  private static Tensor likeness(LandmarkLayout layout, Tensor page) {
    long from = page.byteOffset() + 2L * layout.kv().headDim() * layout.chunks();
    int rows = layout.kv().layers() * layout.kv().kvHeads();
    int stride = layout.blockBytes() / 4;
    return new Tensor(page.storage(), from, DType.F32, rows, layout.chunks(), stride);
  }

  /** The table of {@link SparsePrompt#exact} in its block: I32 [layers * kvHeads, columns]. */
  static Tensor table(KvLayout layout, int outliers, Tensor block) {
    int rows = layout.layers() * layout.kvHeads();
    int columns = columns(outliers);
    return new Tensor(block.storage(), block.byteOffset(), DType.I32, rows, columns, columns);
  }

  /** Writes counts and numbers into a table. */
  static void write(int[][] chosen, Tensor table) {
    for (int row = 0; row < chosen.length; row++) {
      table.setI32(row, 0, chosen[row].length);
      for (int i = 0; i < chosen[row].length; i++) table.setI32(row, 1 + i, chosen[row][i]);
    }
  }

  /** The first chunk and the {@code outliers} least like their keys, ascending. */
  static int[] chosen(float[] likeness, int outliers) {
    int most = Math.min(outliers, likeness.length);
    int[] least = new int[most]; // by likeness, then number
    int count = 0;
    for (int c = 0; c < likeness.length; c++) {
      if (count == most && (most == 0 || !less(likeness, c, least[most - 1]))) continue;
      int at = count < most ? count++ : most - 1;
      while (at > 0 && less(likeness, c, least[at - 1])) {
        least[at] = least[at - 1];
        at--;
      }
      least[at] = c;
    }
    return IntStream.concat(IntStream.of(0), Arrays.stream(least, 0, count))
        .sorted()
        .distinct()
        .toArray();
  }

  /** What is not a number is like its keys: else it would keep others out. */
  private static boolean less(float[] likeness, int a, int b) {
    return Float.compare(likeness[a], likeness[b]) < 0;
  }
}
