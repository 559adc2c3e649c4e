package io.shadowbatch.kernels.cpu;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Shapes;
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

/**
 * The kernels in native code, with the bits of {@link io.shadowbatch.kernels.ReferenceKernels} for
 * every instruction set and number of threads. Owns a pool of {@code threads - 1} native threads,
 * which never enter the JVM; calls on one instance are serialised.
 */
public final class CpuKernels implements Kernels {
  private final Isa isa;
  private final int threads;
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
    return new Storage(
        Native.view(address, bytes), address, bytes, () -> Native.release(address, bytes));
  }

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
    requirePacked("embed", table);
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
        addresses("rmsNorm", out));
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
        handle(), x.address(), x.rowStride(), x.rows(), x.columns(), addresses("quantize", out));
  }

  @Override
  public void matmul(Activations x, PackedMatrix w, Tensor bias, Tensor out, Store store) {
    Shapes.matmul(x, w, bias, out);
    requirePacked("matmul", w);
    Native.matmul(
        handle(),
        addresses("matmul", x),
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
        addresses("swiGlu", out));
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
        dimensions("append", shape, layer, view, batch, rope),
        shape.scale(),
        batch.positions(),
        firstRows(batch),
        view.pageAddresses(),
        view.firstPages());
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
    Native.attend(
        handle(),
        new long[] {
          q.address(),
          q.rowStride(),
          out.address(),
          out.rowStride(),
          state == null ? 0 : state.address(),
          state == null ? 0 : state.rowStride()
        },
        dimensions("attend", shape, layer, view, batch, rope),
        shape.scale(),
        batch.positions(),
        firstRows(batch),
        view.pageAddresses(),
        view.firstPages());
  }

  @Override
  public void argmax(Tensor logits, int[] ids) {
    Shapes.argmax(logits, ids);
    Native.argmax(
        handle(), logits.address(), logits.rowStride(), logits.rows(), logits.columns(), ids);
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

  private static void requirePacked(String op, PackedMatrix m) {
    if (m.form() != PackedMatrix.Form.U8_GROUP32) {
      throw new IllegalArgumentException(
          "%s: weights in form %s, the cpu backend reads %s"
              .formatted(op, m.form(), PackedMatrix.Form.U8_GROUP32));
    }
  }

  private static long[] addresses(String op, Activations a) {
    if (!a.quantised()) {
      throw new IllegalArgumentException(
          "%s: float activations [%d,%d], the cpu backend reads 8-bit ones"
              .formatted(op, a.rows(), a.columns()));
    }
    return new long[] {
      a.q().address(),
      a.scale().address(),
      a.sum().address(),
      a.q().rowStride(),
      a.scale().rowStride(),
      a.spikes().count().address(),
      a.spikes().column().address(),
      a.spikes().value().address()
    };
  }

  private static long[] dimensions(
      String op, AttentionShape shape, int layer, KvView view, TokenBatch batch, RopeTable rope) {
    KvLayout layout = shape.layout();
    if (layout.codec() == KvCodec.F32) {
      throw new IllegalArgumentException(
          "%s: KV codec F32 is for the reference only; the cpu backend reads FP16 and INT8"
              .formatted(op));
    }
    return new long[] {
      layout.codec() == KvCodec.INT8 ? 1 : 0,
      layout.kvHeads(),
      shape.headsPerGroup(),
      layout.headDim(),
      layout.rotationWidth(),
      shape.window(),
      rope.rotaryDim() / 2,
      (long) layer * layout.layerBytes(),
      layout.blockBytes(),
      rope.cos().address(),
      rope.sin().address(),
      rope.cos().rowStride(),
      batch.slices().size(),
      view.attention() == PrefixAttention.SEPARATE ? 1 : 0
    };
  }

  private static int[] firstRows(TokenBatch batch) {
    int[] result = new int[batch.slices().size() + 1];
    for (int s = 0; s < batch.slices().size(); s++) result[s] = batch.slices().get(s).firstRow();
    result[result.length - 1] = batch.size();
    return result;
  }
}
