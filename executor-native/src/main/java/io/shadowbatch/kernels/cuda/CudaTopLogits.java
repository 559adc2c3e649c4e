package io.shadowbatch.kernels.cuda;

import io.shadowbatch.kernels.LogitQuery;
import io.shadowbatch.kernels.Shapes;
import io.shadowbatch.kernels.TopLogits;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/** The largest logits of rows, {@code top.cu}: what a choice needs of a row in place of the row. */
final class CudaTopLogits implements AutoCloseable {
  private static final int HEADER = 16;

  /** Bytes of an answer: mass, count, ids and logits. */
  private static final int BYTES = HEADER + 8 * TopLogits.MOST;

  private final Gpu gpu;
  private Storage answers;

  CudaTopLogits(Gpu gpu) {
    this.gpu = gpu;
  }

  /** As {@link io.shadowbatch.kernels.Kernels#topLogits}; the kernel writes to pinned memory. */
  List<TopLogits> answer(Tensor logits, List<LogitQuery> queries) {
    Shapes.topLogits(logits, queries);
    int n = queries.size();
    if (n == 0) return List.of();
    if (answers == null || answers.byteSize() < (long) n * BYTES) {
      close();
      answers = gpu.allocateHost((long) Math.max(n, 64) * BYTES);
    }
    Words rows = new Words();
    Words edits = new Words();
    for (LogitQuery q : queries) add(q, rows, edits);
    Params p = gpu.params().address(logits.address());
    p.address(gpu.upload(rows.array(), rows.size()));
    p.address(gpu.upload(edits.array(), edits.size())).address(answers.address());
    p.i64(logits.rowStride()).i32(logits.columns());
    gpu.launch("sb_top_logits", n, 1, 1, 1024, 0, p);
    gpu.sync();
    List<TopLogits> all = new ArrayList<>(n);
    for (int i = 0; i < n; i++) all.add(read(i * BYTES, logits.columns()));
    return all;
  }

  private static void add(LogitQuery q, Words rows, Words edits) {
    int[] ids = q.edits().ids();
    rows.add(q.row(), edits.size() / 2);
    rows.add(ids.length, Float.floatToRawIntBits(q.scale()));
    rows.add(Double.doubleToRawLongBits(q.depth()));
    rows.add(Double.doubleToRawLongBits(q.edits().factor()));
    for (int i = 0; i < ids.length; i++) {
      edits.add(ids[i], Float.floatToRawIntBits(q.edits().minus()[i]));
      edits.add(0);
    }
  }

  private TopLogits read(int at, int columns) {
    ByteBuffer all = answers.bytes().duplicate().order(ByteOrder.nativeOrder());
    double mass = all.getLong(at) / TopLogits.UNIT;
    int found = all.getInt(at + 8);
    int[] ids = new int[Math.max(0, Math.min(found, TopLogits.MOST))];
    float[] logits = new float[ids.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = all.getInt(at + HEADER + 4 * i);
      logits[i] = all.getFloat(at + HEADER + 4 * (TopLogits.MOST + i));
    }
    return new TopLogits(ids, logits, found >= 0 && found <= TopLogits.MOST, mass, columns);
  }

  @Override
  public void close() {
    if (answers != null) answers.close();
    answers = null;
  }
}
