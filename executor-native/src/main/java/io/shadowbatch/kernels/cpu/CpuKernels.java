package io.shadowbatch.kernels.cpu;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.ChunkPicks;
import io.shadowbatch.kernels.ChunkShapes;
import io.shadowbatch.kernels.ChunkView;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.LandmarkLayout;
import io.shadowbatch.kernels.LowRankKernels;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Shapes;
import io.shadowbatch.kernels.SpillFile;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The kernels in native code, with the bits of {@link io.shadowbatch.kernels.ReferenceKernels} for
 * every instruction set and number of threads. Owns a pool of {@code threads - 1} native threads,
 * which never enter the JVM; calls on one instance are serialised.
 */
public final class CpuKernels implements Kernels {
  private static final AtomicLong HELD = new AtomicLong();

  private final Isa isa;
  private final int threads;
  private final CpuLowRank lowRank = new CpuLowRank(this::handle);
  private long handle;

  private CpuKernels(Isa isa, int threads, long handle) {
    this.isa = isa;
    this.threads = threads;
    this.handle = handle;
  }

  /** Opens with {@link Isa#preferred}. */
  public static CpuKernels open(int threads) {
    return open(threads, Isa.preferred());
  }

  /**
   * @param threads threads that work on a call, the caller included
   */
  public static CpuKernels open(int threads, Isa isa) {
    if (threads < 1 || threads > 1024) {
      throw new IllegalArgumentException("cpu kernels: %d threads, 1..1024".formatted(threads));
    }
    Set<Isa> supported = Isa.supported();
    if (!supported.contains(isa)) {
      throw new IllegalArgumentException(
          "cpu kernels: this processor does not run %s, only %s".formatted(isa, supported));
    }
    return new CpuKernels(isa, threads, Native.open(isa.ordinal(), threads));
  }

  public Isa isa() {
    return isa;
  }

  @Override
  public String describe() {
    return "cpu (%s, %d %s)"
        .formatted(
            isa.name().toLowerCase(Locale.ROOT), threads, threads == 1 ? "thread" : "threads");
  }

  @Override
  public Storage allocate(long bytes) {
    if (bytes < 0 || bytes > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "allocate: %d bytes, one storage holds 0..%d; use several"
              .formatted(bytes, Integer.MAX_VALUE));
    }
    long address = Native.allocate(bytes);
    HELD.addAndGet(bytes);
    return new Storage(Native.view(address, bytes), address, bytes, () -> release(address, bytes));
  }

  private static void release(long address, long bytes) {
    Native.release(address, bytes);
    HELD.addAndGet(-bytes);
  }

  /** Bytes that all instances of this process allocated and nobody closed yet. */
  public static long heldBytes() {
    return HELD.get();
  }

  @Override
  public void finish() {}

  @Override
  public Storage map(Path file, long offset, long length) throws IOException {
    if (offset < 0 || offset % 4096 != 0 || length < 0 || length > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "map: %s at %d, %d bytes; the offset is a multiple of 4096, the length 0..%d"
              .formatted(file, offset, length, Integer.MAX_VALUE));
    }
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      if (offset + length > channel.size()) {
        throw new IllegalArgumentException(
            "map: bytes %d..%d of %s, which has %d"
                .formatted(offset, offset + length, file, channel.size()));
      }
      ByteBuffer bytes = channel.map(FileChannel.MapMode.READ_ONLY, offset, length);
      return new Storage(bytes, length == 0 ? 0 : Native.address(bytes), length, null);
    }
  }

  @Override
  public Storage spill(Path folder, long bytes) throws IOException {
    ByteBuffer mapped = SpillFile.map(folder, bytes);
    return new Storage(mapped, Native.address(mapped), bytes, null);
  }

  @Override
  public Activations activations(Storage storage, int rows, int columns) {
    return Activations.int8(storage, rows, columns);
  }

  @Override
  public long activationBytes(int rows, int columns) {
    return Activations.byteSize(rows, columns);
  }

  @Override
  public void embed(PackedMatrix table, int[] ids, int count, Tensor out) {
    Shapes.embed(table, ids, count, out);
    Arguments.requirePacked("embed", table);
    Native.embed(
        handle(), table.address(), table.columns(), ids, count, out.address(), out.rowStride());
  }

  @Override
  public void rmsNorm(Tensor x, Tensor weight, float eps, Activations out) {
    Shapes.norm(x, weight, x.columns(), out);
    Native.rmsNorm(
        handle(),
        x.address(),
        x.rowStride(),
        x.rows(),
        x.columns(),
        weight.address(),
        eps,
        Arguments.addresses("rmsNorm", out));
  }

  @Override
  public void headNorm(Tensor x, int headDim, Tensor weight, float eps) {
    Shapes.headNorm(x, headDim, weight);
    Native.headNorm(
        handle(),
        x.address(),
        x.rowStride(),
        x.rows(),
        x.columns(),
        weight.address(),
        eps,
        headDim);
  }

  @Override
  public void quantize(Tensor x, Activations out) {
    Shapes.quantize(x, out);
    Native.quantize(
        handle(),
        x.address(),
        x.rowStride(),
        x.rows(),
        x.columns(),
        Arguments.addresses("quantize", out));
  }

  @Override
  public void matmul(Activations x, PackedMatrix w, Tensor bias, Tensor out, Store store) {
    Shapes.matmul(x, w, bias, out);
    Arguments.requirePacked("matmul", w);
    Native.matmul(
        handle(),
        Arguments.addresses("matmul", x),
        w.address(),
        bias == null ? 0 : bias.address(),
        out.address(),
        out.rowStride(),
        out.rows(),
        w.rows(),
        PackedMatrix.groups(w.columns()),
        store == Store.ADD ? 1 : 0);
  }

  @Override
  public void swiGlu(Tensor gateUp, Activations out) {
    Shapes.swiGlu(gateUp, out);
    Native.swiGlu(
        handle(),
        gateUp.address(),
        gateUp.rowStride(),
        gateUp.rows(),
        gateUp.columns(),
        Arguments.addresses("swiGlu", out));
  }

  @Override
  public void gatherRows(Tensor x, int[] rows, int count, Tensor out) {
    Shapes.gather(x, rows, count, out);
    Native.gatherRows(
        handle(),
        x.address(),
        x.rowStride(),
        rows,
        count,
        x.columns(),
        out.address(),
        out.rowStride());
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
    Native.append(
        handle(),
        new long[] {k.address(), k.rowStride(), v.address(), v.rowStride()},
        Arguments.dimensions("append", shape, layer, view.attention(), batch, rope),
        shape.scale(),
        batch.positions(),
        Arguments.firstRows(batch),
        view.keyAddresses(),
        view.valueAddresses(),
        view.slicePages());
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
    ChunkPicks picks = view.picks();
    Native.attend(
        handle(),
        new long[] {
          q.address(),
          q.rowStride(),
          out.address(),
          out.rowStride(),
          state == null ? 0 : state.address(),
          state == null ? 0 : state.rowStride(),
          picks == null ? 0 : picks.ids().address(),
          picks == null ? 0 : picks.ids().rowStride(),
          picks == null ? 0 : picks.chunkTokens()
        },
        Arguments.dimensions("attend", shape, layer, view.attention(), batch, rope),
        shape.scale(),
        batch.positions(),
        Arguments.firstRows(batch),
        view.keyAddresses(),
        view.valueAddresses(),
        view.slicePages());
  }

  @Override
  public void summarise(KvLayout layout, int chunkTokens, Tensor[] keys, Tensor[] landmarks) {
    LandmarkLayout to = new LandmarkLayout(layout, chunkTokens);
    ChunkShapes.summarise(to, keys, landmarks);
    Native.summarise(
        handle(),
        Arguments.addresses(keys),
        Arguments.addresses(landmarks),
        keys.length,
        new long[] {
          Arguments.codec("summarise", layout),
          layout.layers() * layout.kvHeads(),
          layout.headDim(),
          chunkTokens,
          layout.blockBytes(),
          to.blockBytes()
        });
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
    LandmarkLayout layout = chunks.layout();
    Native.selectChunks(
        handle(),
        new long[] {
          q.address(),
          q.rowStride(),
          picks.ids().address(),
          picks.ids().rowStride(),
          layout.blockOffset(layer, 0),
          layout.blockBytes(),
          layout.chunkTokens()
        },
        Arguments.dimensions("selectChunks", shape, layer, PrefixAttention.SHARED, batch, rope),
        shape.scale(),
        batch.positions(),
        Arguments.firstRows(batch),
        chunks.addresses(),
        chunks.numbers(layer));
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
    Native.attentionMass(
        handle(),
        new long[] {
          q.address(),
          q.rowStride(),
          state.address(),
          state.rowStride(),
          mass.address(),
          mass.rowStride()
        },
        Arguments.dimensions("attentionMass", shape, layer, view.attention(), batch, rope),
        shape.scale(),
        batch.positions(),
        Arguments.firstRows(batch),
        view.keyAddresses(),
        view.valueAddresses(),
        view.slicePages());
  }

  @Override
  public void argmax(Tensor logits, int[] ids) {
    Shapes.argmax(logits, ids);
    Native.argmax(
        handle(), logits.address(), logits.rowStride(), logits.rows(), logits.columns(), ids);
  }

  @Override
  public LowRankKernels lowRank() {
    return lowRank;
  }

  @Override
  public synchronized void close() {
    if (handle != 0) Native.close(handle);
    handle = 0;
  }

  private synchronized long handle() {
    if (handle == 0) throw new IllegalStateException("cpu kernels: closed");
    return handle;
  }
}
