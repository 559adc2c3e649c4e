package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Bf16;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;

/**
 * The definition of every operation, in plain Java, one row at a time. Slow on purpose: each line
 * is what the other backends must reproduce bit for bit.
 */
public final class ReferenceKernels implements Kernels {
  private static final int GROUP = PackedMatrix.GROUP;

  /** Number form of activations and weights. */
  public enum Form {
    /** The engine's form: 8-bit activations and weights in groups of 32. */
    INT8,
    /** Nothing quantised: for checking a model family against other people's float32 results. */
    FLOAT32
  }

  private final Form form;

  public ReferenceKernels(Form form) {
    this.form = form;
  }

  @Override
  public String describe() {
    return "reference (plain Java, " + form + ")";
  }

  @Override
  public Storage allocate(long bytes) {
    ByteBuffer buffer = ByteBuffer.allocateDirect(Math.toIntExact(bytes + 63));
    int start = (64 - buffer.alignmentOffset(0, 64)) % 64;
    return new Storage(buffer.slice(start, (int) bytes), 0, bytes, null);
  }

  @Override
  public void finish() {}

  @Override
  public PackedMatrix.Form weightForm() {
    return form == Form.INT8 ? PackedMatrix.Form.U8_GROUP32 : PackedMatrix.Form.F32;
  }

  @Override
  public Storage map(Path file, long offset, long length) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      return new Storage(
          channel.map(FileChannel.MapMode.READ_ONLY, offset, length), 0, length, null);
    }
  }

  @Override
  public Storage spill(Path folder, long bytes) throws IOException {
    return new Storage(SpillFile.map(folder, bytes), 0, bytes, null);
  }

  @Override
  public Activations activations(Storage storage, int rows, int columns) {
    return form == Form.INT8
        ? Activations.int8(storage, rows, columns)
        : Activations.f32(storage, rows, columns);
  }

  @Override
  public long activationBytes(int rows, int columns) {
    return form == Form.INT8 ? Activations.byteSize(rows, columns) : 4L * rows * columns;
  }

  @Override
  public void embed(PackedMatrix table, int[] ids, int count, Tensor out) {
    Shapes.embed(table, ids, count, out);
    float[] row = new float[table.columns()];
    for (int i = 0; i < count; i++) {
      for (int k = 0; k < row.length; k++) row[k] = element(table, ids[i], k);
      out.writeRow(i, row);
    }
  }

  private static float element(PackedMatrix m, int n, int k) {
    ByteBuffer b = m.storage().bytes();
    if (m.form() == PackedMatrix.Form.F32) {
      return b.getFloat((int) (m.byteOffset() + 4L * ((long) n * m.columns() + k)));
    }
    if (m.form() == PackedMatrix.Form.BF16) {
      return Bf16.toFloat(b.getShort((int) (m.byteOffset() + 2L * ((long) n * m.columns() + k))));
    }
    int cell = (int) m.cell(n / GROUP, k / GROUP);
    int row = n % GROUP;
    float scale = b.getFloat(cell + GROUP * GROUP + 4 * row);
    float min = b.getFloat(cell + GROUP * GROUP + 4 * GROUP + 4 * row);
    return Math.fma(q(b, cell, row, k % GROUP), scale, min);
  }

  private static int q(ByteBuffer b, int cell, int row, int k) {
    return b.get(cell + k / 4 * 4 * GROUP + 4 * row + k % 4) & 0xff;
  }

  @Override
  public void rmsNorm(Tensor x, Tensor weight, float eps, Activations out) {
    Shapes.norm(x, weight, x.columns(), out);
    int d = x.columns();
    float[] row = new float[d];
    float[] w = new float[d];
    weight.readRow(0, w);
    for (int i = 0; i < x.rows(); i++) {
      x.readRow(i, row);
      normalise(row, 0, w, eps);
      write(row, out, i);
    }
  }

  private static void normalise(float[] x, int from, float[] w, float eps) {
    float r =
        ReferenceMath.inverseRms(ReferenceMath.sumOfSquares(x, from, w.length), w.length, eps);
    for (int i = 0; i < w.length; i++) x[from + i] = x[from + i] * r * w[i];
  }

  @Override
  public void headNorm(Tensor x, int headDim, Tensor weight, float eps) {
    Shapes.headNorm(x, headDim, weight);
    float[] row = new float[x.columns()];
    float[] w = new float[headDim];
    weight.readRow(0, w);
    for (int i = 0; i < x.rows(); i++) {
      x.readRow(i, row);
      for (int h = 0; h < row.length; h += headDim) normalise(row, h, w, eps);
      x.writeRow(i, row);
    }
  }

  @Override
  public void quantize(Tensor x, Activations out) {
    Shapes.quantize(x, out);
    float[] row = new float[x.columns()];
    for (int i = 0; i < x.rows(); i++) {
      x.readRow(i, row);
      write(row, out, i);
    }
  }

  /**
   * Row {@code i} of {@code out} from floats: quantised in the integer form, as is in the other.
   */
  private static void write(float[] row, Activations out, int i) {
    if (!out.quantised()) {
      out.q().writeRow(i, row);
      return;
    }
    float[] padded = Arrays.copyOf(row, out.q().columns());
    ByteBuffer b = out.q().storage().bytes();
    int spikes = 0;
    for (int g = 0; g < padded.length / GROUP; g++) {
      int spike = ReferenceMath.spike(padded, g * GROUP, GROUP);
      if (spike >= 0) {
        b.putInt((int) out.spikes().column().at(i, spikes), spike);
        out.spikes().value().setF32(i, spikes++, padded[spike]);
        padded[spike] = 0;
      }
      float top = ReferenceMath.largest(padded, g * GROUP, GROUP);
      float scale = top / 127f;
      float inverse = 127f / top;
      int sum = 0;
      for (int k = g * GROUP; k < (g + 1) * GROUP; k++) {
        int q = ReferenceMath.round(padded[k] * inverse);
        sum += q;
        b.put((int) out.q().at(i, k), (byte) q);
      }
      out.scale().setF32(i, g, scale);
      out.sum().setF32(i, g, scale * sum);
    }
    b.putInt((int) out.spikes().count().at(i, 0), spikes);
  }

  @Override
  public void matmul(Activations x, PackedMatrix w, Tensor bias, Tensor out, Store store) {
    Shapes.matmul(x, w, bias, out);
    for (int m = 0; m < out.rows(); m++) {
      for (int n = 0; n < w.rows(); n++) {
        float y = x.quantised() ? dotPacked(x, m, w, n) : dotFloat(x, m, w, n);
        if (bias != null) y += bias.f32(0, n);
        out.setF32(m, n, store == Store.ADD ? out.f32(m, n) + y : y);
      }
    }
  }

  /**
   * Groups left to right, each with an exact integer sum; then the spikes by rising column, then
   * +0.
   */
  private static float dotPacked(Activations x, int m, PackedMatrix w, int n) {
    ByteBuffer wb = w.storage().bytes();
    ByteBuffer xb = x.q().storage().bytes();
    int row = n % GROUP;
    float y = 0;
    for (int g = 0; g < PackedMatrix.groups(w.columns()); g++) {
      int cell = (int) w.cell(n / GROUP, g);
      int at = (int) x.q().at(m, g * GROUP);
      int dot = 0;
      for (int k = 0; k < GROUP; k++) dot += q(wb, cell, row, k) * xb.get(at + k);
      float scale = wb.getFloat(cell + GROUP * GROUP + 4 * row);
      float min = wb.getFloat(cell + GROUP * GROUP + 4 * GROUP + 4 * row);
      y = Math.fma((float) dot, scale * x.scale().f32(m, g), y);
      y = Math.fma(min, x.sum().f32(m, g), y);
    }
    int spikes = xb.getInt((int) x.spikes().count().at(m, 0));
    for (int i = 0; i < spikes; i++) {
      int k = xb.getInt((int) x.spikes().column().at(m, i));
      y = Math.fma(x.spikes().value().f32(m, i), element(w, n, k), y);
    }
    // Backends may add products with zero, which make a -0 a +0.
    return y + 0f;
  }

  private static float dotFloat(Activations x, int m, PackedMatrix w, int n) {
    ByteBuffer wb = w.storage().bytes();
    ByteBuffer xb = x.q().storage().bytes();
    int at = (int) x.q().at(m, 0);
    boolean plain = w.form() == PackedMatrix.Form.F32;
    int row = (int) (w.byteOffset() + 4L * n * w.columns());
    double y = 0;
    for (int k = 0; k < w.columns(); k++) {
      float weight = plain ? wb.getFloat(row + 4 * k) : element(w, n, k);
      y += (double) xb.getFloat(at + 4 * k) * weight;
    }
    return (float) y;
  }

  @Override
  public void swiGlu(Tensor gateUp, Activations out) {
    Shapes.swiGlu(gateUp, out);
    int f = gateUp.columns() / 2;
    float[] both = new float[2 * f];
    float[] row = new float[f];
    for (int i = 0; i < gateUp.rows(); i++) {
      gateUp.readRow(i, both);
      for (int k = 0; k < f; k++) row[k] = ReferenceMath.silu(both[k]) * both[f + k];
      write(row, out, i);
    }
  }

  @Override
  public void gatherRows(Tensor x, int[] rows, int count, Tensor out) {
    Shapes.gather(x, rows, count, out);
    float[] row = new float[x.columns()];
    for (int i = 0; i < count; i++) {
      x.readRow(rows[i], row);
      out.writeRow(i, row);
    }
  }

  @Override
  public void append(
      AttentionShape shape,
      int layer,
      Tensor k,
      Tensor v,
      TokenBatch batch,
      KvView view,
      RopeTable rope) {
    Shapes.append(shape, layer, k, v, batch, view, rope);
    ReferenceAttention.append(shape, layer, k, v, batch, view, rope);
  }

  @Override
  public void attend(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      KvView view,
      RopeTable rope,
      Tensor out,
      Tensor state) {
    Shapes.attend(shape, layer, q, batch, view, rope, out, state);
    ReferenceAttention.attend(shape, layer, q, batch, view, rope, out, state);
  }

  @Override
  public void summarise(KvLayout layout, int chunkTokens, Tensor[] keys, Tensor[] landmarks) {
    LandmarkLayout layouts = new LandmarkLayout(layout, chunkTokens);
    ChunkShapes.summarise(layouts, keys, landmarks);
    ReferenceChunks.summarise(layouts, keys, landmarks);
  }

  @Override
  public void selectChunks(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      ChunkView chunks,
      RopeTable rope,
      ChunkPicks picks) {
    ChunkShapes.select(shape, layer, q, batch, chunks, rope, picks);
    ReferenceChunks.select(shape, layer, q, batch, chunks, rope, picks);
  }

  @Override
  public void attentionMass(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      KvView view,
      RopeTable rope,
      Tensor state,
      Tensor mass) {
    ChunkShapes.mass(shape, layer, q, batch, view, rope, state, mass);
    ReferenceAttention.mass(shape, layer, q, batch, view, rope, state, mass);
  }

  @Override
  public void argmax(Tensor logits, int[] ids) {
    Shapes.argmax(logits, ids);
    float[] row = new float[logits.columns()];
    for (int i = 0; i < logits.rows(); i++) {
      logits.readRow(i, row);
      int best = -1;
      for (int j = 0; j < row.length; j++) {
        if (best < 0 ? row[j] >= Float.NEGATIVE_INFINITY : row[j] > row[best]) best = j;
      }
      ids[i] = best;
    }
  }

  @Override
  public LowRankKernels lowRank() {
    return new ReferenceLowRank();
  }

  @Override
  public void close() {}

  static ByteBuffer nativeSlice(Tensor page, int offset, int length) {
    return page.storage()
        .bytes()
        .slice((int) page.byteOffset() + offset, length)
        .order(ByteOrder.nativeOrder());
  }
}
