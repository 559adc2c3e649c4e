package io.shadowbatch.model;

import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.model.WeightPlan.Entry;
import io.shadowbatch.model.WeightPlan.Part;
import io.shadowbatch.weights.GroupRow;
import io.shadowbatch.weights.ModelFileException;
import io.shadowbatch.weights.RowDecoder;
import io.shadowbatch.weights.TensorInfo;
import io.shadowbatch.weights.WeightFile;
import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Decodes one canonical weight, row by row, from the tensors it is made of. A reusable buffer of
 * one thread.
 */
final class EntryReader {
  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle FLOAT =
      MethodHandles.byteArrayViewVarHandle(float[].class, ByteOrder.LITTLE_ENDIAN);
  private static final int GROUP = PackedMatrix.GROUP;

  private final WeightFile file;
  private final Entry entry;
  private final GroupRow row;
  private byte[] raw = new byte[0];

  /** What is done with each decoded row. */
  private interface RowTaker {
    /**
     * @param bytes of the row, from {@code at} on
     */
    void take(int row, Part part, long sourceRow, byte[] bytes, int at) throws IOException;
  }

  EntryReader(WeightFile file, Entry entry) {
    this.file = file;
    this.entry = entry;
    this.row = entry.kind() == WeightPlan.Kind.MATRIX ? new GroupRow(entry.columns()) : null;
  }

  /** Bytes of one panel of the packed form. */
  int panelBytes() {
    return Math.multiplyExact(PackedMatrix.groups(entry.columns()), PackedMatrix.CELL_BYTES);
  }

  /** Writes the cells of one panel of 32 rows; missing rows become zero. */
  void panel(int panel, byte[] cells) throws IOException {
    Arrays.fill(cells, (byte) 0);
    int first = panel * GROUP;
    int end = Math.min(entry.rows(), first + GROUP);
    rows(
        first,
        end,
        (n, part, source, bytes, at) -> {
          RowDecoder.groups(part.tensor().type(), bytes, at, row);
          if (!RowDecoder.finite(row)) throw notFinite(part.tensor(), source);
          scatter(cells, n - first);
        });
  }

  /** The layout of {@link PackedMatrix.Form#U8_GROUP32}. */
  private void scatter(byte[] cells, int lane) {
    byte[] q = row.q();
    for (int g = 0; g < row.scale().length; g++) {
      int cell = g * PackedMatrix.CELL_BYTES;
      for (int quad = 0; quad < GROUP / 4; quad++) {
        int four = (int) INT.get(q, g * GROUP + 4 * quad);
        INT.set(cells, cell + quad * 4 * GROUP + 4 * lane, four);
      }
      FLOAT.set(cells, cell + GROUP * GROUP + 4 * lane, row.scale()[g]);
      FLOAT.set(cells, cell + GROUP * GROUP + 4 * GROUP + 4 * lane, row.min()[g]);
    }
  }

  /** Decodes one row of a matrix to floats. */
  void floats(int wanted, float[] out) throws IOException {
    rows(
        wanted,
        wanted + 1,
        (n, part, source, bytes, at) -> {
          RowDecoder.floats(part.tensor().type(), bytes, at, entry.columns(), row, out, 0);
          if (!RowDecoder.finite(out, 0, entry.columns())) throw notFinite(part.tensor(), source);
        });
  }

  /** Decodes a vector. */
  float[] vector() throws IOException {
    float[] out = new float[entry.columns()];
    int filled = 0;
    for (Part part : entry.parts()) {
      int size = (int) part.tensor().columns();
      byte[] bytes = new byte[(int) part.tensor().rowBytes()];
      float[] values = new float[size];
      file.readRows(part.tensor(), 0, 1, bytes, 0);
      RowDecoder.floats(part.tensor().type(), bytes, 0, size, null, values, 0);
      if (!RowDecoder.finite(values, 0, size)) throw notFinite(part.tensor(), 0);
      for (int i = 0; i < size; i++) {
        out[filled + i] = values[(int) WeightPlan.sourceRow(part.order(), entry.headDim(), i)];
      }
      filled += size;
    }
    return out;
  }

  /** Hands over rows [first, end) in order, reading neighbours in the file together. */
  private void rows(int first, int end, RowTaker taker) throws IOException {
    int partStart = 0;
    for (Part part : entry.parts()) {
      int partEnd = partStart + (int) part.tensor().rows();
      for (int n = Math.max(first, partStart); n < Math.min(end, partEnd); ) {
        long source = source(part, n - partStart);
        int run = 1;
        while (n + run < Math.min(end, partEnd)
            && source(part, n + run - partStart) == source + run) {
          run++;
        }
        int rowBytes = Math.toIntExact(part.tensor().rowBytes());
        int needed = Math.multiplyExact(run, rowBytes);
        if (raw.length < needed) raw = new byte[needed];
        file.readRows(part.tensor(), source, run, raw, 0);
        for (int i = 0; i < run; i++) taker.take(n + i, part, source + i, raw, i * rowBytes);
        n += run;
      }
      partStart = partEnd;
    }
  }

  private long source(Part part, int partRow) {
    return WeightPlan.sourceRow(part.order(), entry.headDim(), partRow);
  }

  private static ModelFileException notFinite(TensorInfo tensor, long row) {
    return new ModelFileException(
        tensor.file(),
        tensor.fileOffset() + row * tensor.rowBytes(),
        "tensor '%s' holds an infinite number or NaN in row %d, expected finite weights"
            .formatted(tensor.name(), row));
  }
}
