package io.shadowbatch.model;

import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.model.WeightPlan.Entry;
import io.shadowbatch.model.WeightPlan.Kind;
import io.shadowbatch.tensor.Bf16;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import io.shadowbatch.weights.ModelFileException;
import io.shadowbatch.weights.WeightFile;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ShortBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Decodes weights for a backend that multiplies bfloat16: matrices rounded to the nearest, vectors
 * as floats. Each thread decodes a block of rows into its part of one staging buffer of the host,
 * and copies it to the backend's memory; nothing is kept on disk.
 */
final class WeightUpload implements AutoCloseable {
  /** Most bytes of staging, all threads together. */
  static final long STAGING_BYTES_MAX = 64 << 20;

  /** Most bytes of one thread's part: larger copies are no faster. */
  private static final long BLOCK_BYTES_MAX = 4 << 20;

  private final WeightFile source;
  private final Kernels kernels;
  private final ExecutorService pool;
  private final int threads;
  private final long blockBytes;
  private final Storage staging;

  private WeightUpload(WeightFile source, long rowBytes, Kernels kernels, int threads)
      throws ModelFileException {
    if (rowBytes > STAGING_BYTES_MAX) {
      throw new ModelFileException(
          source.path(),
          "a row of a weight takes %d bytes, expected at most %d"
              .formatted(rowBytes, STAGING_BYTES_MAX));
    }
    this.source = source;
    this.kernels = kernels;
    this.threads = (int) Math.min(threads, STAGING_BYTES_MAX / rowBytes);
    // A multiple of 64, so that every part starts aligned.
    long share = Math.min(BLOCK_BYTES_MAX, STAGING_BYTES_MAX / this.threads);
    this.blockBytes = Math.max(share, rowBytes) / 64 * 64;
    this.staging = kernels.allocateHost(this.threads * blockBytes);
    this.pool =
        Executors.newFixedThreadPool(
            this.threads,
            work -> {
              Thread thread = new Thread(work, "shadowbatch-upload");
              thread.setDaemon(true);
              return thread;
            });
  }

  /**
   * Loads all weights into memory of {@link Kernels#allocate}.
   *
   * @param threads that decode
   */
  static DecoderWeights load(WeightFile source, WeightPlan plan, Kernels kernels, int threads)
      throws IOException {
    long rowBytes = 64;
    for (Entry entry : plan.entries()) rowBytes = Math.max(rowBytes, rowBytes(entry));
    try (WeightUpload upload = new WeightUpload(source, rowBytes, kernels, threads)) {
      return DecoderWeights.collect(plan.entries(), PackedMatrix.Form.BF16, upload::open);
    }
  }

  /** Bytes that one row takes in the staging buffer, rounded up to its alignment. */
  private static long rowBytes(Entry entry) {
    long bytes = (entry.kind() == Kind.MATRIX ? 2L : 4L) * entry.columns();
    return (bytes + 63) / 64 * 64;
  }

  private Storage open(Entry entry) throws IOException {
    boolean matrix = entry.kind() == Kind.MATRIX;
    int columns = entry.columns();
    Storage storage =
        kernels.allocate(
            matrix
                ? PackedMatrix.byteSize(PackedMatrix.Form.BF16, entry.rows(), columns)
                : 4L * columns);
    try {
      if (matrix) {
        matrix(entry, Tensor.of(storage, DType.BF16, entry.rows(), columns));
      } else {
        Tensor staged = Tensor.of(staging, DType.F32, 1, columns);
        staged.writeRow(0, new EntryReader(source, entry).vector());
        copy(staged, Tensor.of(storage, DType.F32, 1, columns));
      }
      return storage;
    } catch (IOException | RuntimeException | Error e) {
      storage.close();
      throw e;
    }
  }

  private void matrix(Entry entry, Tensor target) throws IOException {
    int block = (int) Math.max(1, blockBytes / (2L * entry.columns()));
    AtomicInteger next = new AtomicInteger();
    List<Future<?>> futures = new ArrayList<>();
    for (int i = 0; i < threads; i++) {
      long part = i * blockBytes;
      futures.add(
          pool.submit(
              () -> {
                blocks(entry, target, part, block, next);
                return null;
              }));
    }
    await(futures, next, target.rows());
  }

  /** Takes blocks of rows until there are none; a failure leaves none to the others. */
  private void blocks(Entry entry, Tensor target, long part, int block, AtomicInteger next)
      throws IOException {
    EntryReader reader = new EntryReader(source, entry);
    int columns = entry.columns();
    float[] floats = new float[columns];
    short[] rounded = new short[columns];
    try {
      for (int from; (from = next.getAndAdd(block)) < target.rows() && from >= 0; ) {
        int count = Math.min(block, target.rows() - from);
        Tensor staged = new Tensor(staging, part, DType.BF16, count, columns, columns);
        ShortBuffer to =
            staging
                .bytes()
                .slice((int) part, 2 * count * columns)
                .order(staging.bytes().order())
                .asShortBuffer();
        for (int i = 0; i < count; i++) {
          reader.floats(from + i, floats);
          for (int k = 0; k < columns; k++) rounded[k] = Bf16.of(floats[k]);
          to.put(rounded);
        }
        copy(staged, target.rows(from, from + count));
      }
    } catch (IOException | RuntimeException | Error e) {
      next.set(target.rows());
      throw e;
    }
  }

  /** One thread at a time calls the kernels; the part is free again when this returns. */
  private synchronized void copy(Tensor from, Tensor to) {
    kernels.copy(from, to);
    kernels.finish();
  }

  /** Waits for all, also after a failure: the memory they write to is freed next. */
  private static void await(List<Future<?>> futures, AtomicInteger next, int rows)
      throws IOException {
    Throwable failure = null;
    boolean interrupted = false;
    for (Future<?> future : futures) {
      for (boolean done = false; !done; ) {
        try {
          future.get();
          done = true;
        } catch (ExecutionException e) {
          if (failure == null) failure = e.getCause();
          done = true;
        } catch (InterruptedException e) {
          interrupted = true;
          next.set(rows);
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("loading weights was interrupted");
    }
    if (failure instanceof IOException e) throw e;
    if (failure instanceof RuntimeException e) throw e;
    if (failure instanceof Error e) throw e;
  }

  @Override
  public void close() {
    pool.shutdown();
    staging.close();
  }
}
