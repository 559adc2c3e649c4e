package io.shadowbatch.kv;

import io.shadowbatch.kernels.LandmarkLayout;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;
import java.nio.ByteBuffer;
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
   * Writes the table of {@link SparsePrompt#exact} into a block.
   *
   * @param landmarks of the prompt's pages
   * @return the table: I32 [layers * kvHeads, 2 + outliers]
   */
  static Tensor write(LandmarkLayout layout, Tensor[] landmarks, int outliers, Tensor block) {
    int rows = layout.kv().layers() * layout.kv().kvHeads();
    int columns = columns(outliers);
    Tensor table =
        new Tensor(block.storage(), block.byteOffset(), DType.I32, rows, columns, columns);
    int perPage = layout.chunks();
    float[] likeness = new float[landmarks.length * perPage];
    ByteBuffer out = table.storage().bytes();
    for (int row = 0; row < rows; row++) {
      for (int page = 0; page < landmarks.length; page++) {
        read(layout, landmarks[page], row, likeness, page * perPage);
      }
      int[] chosen = chosen(likeness, outliers);
      out.putInt((int) table.at(row, 0), chosen.length);
      for (int i = 0; i < chosen.length; i++) out.putInt((int) table.at(row, 1 + i), chosen[i]);
    }
    return table;
  }

  private static void read(LandmarkLayout layout, Tensor page, int row, float[] out, int at) {
    ByteBuffer bytes = page.storage().bytes();
    int perPage = layout.chunks();
    int from =
        (int) page.byteOffset() + row * layout.blockBytes() + 2 * layout.kv().headDim() * perPage;
    for (int i = 0; i < perPage; i++) out[at + i] = bytes.getFloat(from + 4 * i);
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
