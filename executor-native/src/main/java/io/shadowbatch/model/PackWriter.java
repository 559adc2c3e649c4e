package io.shadowbatch.model;

import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.model.WeightPlan.Kind;
import io.shadowbatch.weights.WeightFile;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/** Writes the content of a packed file with a bounded number of threads. */
final class PackWriter {
  private static final int PANELS_PER_TASK = 32;

  private final WeightFile source;
  private final FileChannel target;
  private final List<Task> tasks = new ArrayList<>();
  private final AtomicInteger next = new AtomicInteger();

  /** Panels [first, end) of a matrix, or a whole vector. */
  private record Task(PackLayout.Item item, int first, int end) {}

  private PackWriter(WeightFile source, PackLayout layout, FileChannel target) {
    this.source = source;
    this.target = target;
    for (PackLayout.Item item : layout.items()) {
      int panels = PackedMatrix.panels(item.entry().rows());
      for (int first = 0; first < panels; first += PANELS_PER_TASK) {
        tasks.add(new Task(item, first, Math.min(panels, first + PANELS_PER_TASK)));
      }
    }
  }

  static void write(WeightFile source, PackLayout layout, FileChannel target, int threads)
      throws IOException {
    // The last page first: the file has its size before the threads fill it in any order.
    put(target, ByteBuffer.allocate(1), layout.fileBytes() - 1);
    put(target, ByteBuffer.wrap(layout.header()), 0);
    new PackWriter(source, layout, target).run(threads);
  }

  private void run(int threads) throws IOException {
    ExecutorService pool =
        Executors.newFixedThreadPool(
            threads,
            work -> {
              Thread thread = new Thread(work, "shadowbatch-pack");
              thread.setDaemon(true);
              return thread;
            });
    try {
      List<Future<?>> futures = new ArrayList<>();
      for (int i = 0; i < threads; i++) {
        futures.add(
            pool.submit(
                () -> {
                  takeTasks();
                  return null;
                }));
      }
      for (Future<?> future : futures) future.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("packing weights was interrupted");
    } catch (ExecutionException e) {
      if (e.getCause() instanceof IOException failure) throw failure;
      if (e.getCause() instanceof Error failure) throw failure;
      throw new IllegalStateException("packing weights failed", e.getCause());
    } finally {
      // Not shutdownNow: an interrupt would close the channels under the other threads.
      next.set(tasks.size());
      pool.shutdown();
    }
  }

  private void takeTasks() throws IOException {
    EntryReader reader = null;
    WeightPlan.Entry current = null;
    byte[] cells = null;
    for (int i = next.getAndIncrement(); i < tasks.size(); i = next.getAndIncrement()) {
      Task task = tasks.get(i);
      if (!task.item.entry().equals(current)) {
        current = task.item.entry();
        reader = new EntryReader(source, current);
        cells = current.kind() == Kind.MATRIX ? new byte[reader.panelBytes()] : null;
      }
      try {
        if (current.kind() == Kind.VECTOR) {
          put(target, floats(reader.vector()), task.item.offset());
        }
        for (int panel = task.first; cells != null && panel < task.end; panel++) {
          reader.panel(panel, cells);
          put(target, ByteBuffer.wrap(cells), task.item.offset() + (long) panel * cells.length);
        }
      } catch (IOException | RuntimeException | Error e) {
        next.set(tasks.size());
        throw e;
      }
    }
  }

  private static ByteBuffer floats(float[] values) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    return bytes;
  }

  private static void put(FileChannel target, ByteBuffer bytes, long at) throws IOException {
    while (bytes.hasRemaining()) at += target.write(bytes, at);
  }
}
