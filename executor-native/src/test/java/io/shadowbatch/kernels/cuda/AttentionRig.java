package io.shadowbatch.kernels.cuda;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.ChunkPicks;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.ReferenceKernels;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** The same sequences, pages and inputs on the device and for the reference. */
final class AttentionRig implements AutoCloseable {
  static final int LAYER = 1;

  /** Rows of a sequence in a step; a picked sequence reads its first pages by chunks. */
  record Rows(int sequence, int count, int pickedPages) {
    Rows(int sequence, int count) {
      this(sequence, count, 0);
    }
  }

  /** A step on one side. */
  record Step(TokenBatch batch, KvView view) {}

  final Gpu gpu;
  final ReferenceKernels reference = new ReferenceKernels(ReferenceKernels.Form.FLOAT32);
  final AttentionShape shape;
  final Random random;
  private final List<Storage> storages = new ArrayList<>();
  private final List<List<Tensor[]>> pages = new ArrayList<>();
  private final int[] lengths = new int[16];
  final RopeTable rope;
  final RopeTable deviceRope;

  AttentionRig(Gpu gpu, int headDim, int kvHeads, int group, int window, long seed) {
    this.gpu = gpu;
    this.random = new Random(seed);
    KvLayout layout = new KvLayout(KvCodec.FP16, 2, kvHeads, headDim);
    shape = new AttentionShape(layout, kvHeads * group, (float) (1 / Math.sqrt(headDim)), window);
    double[] frequencies = new double[headDim < 32 ? 0 : 16];
    for (int i = 0; i < frequencies.length; i++) frequencies[i] = Math.pow(10000, -i / 16.0);
    rope = RopeTable.of(reference, frequencies, 2048);
    deviceRope = new RopeTable(toDevice(rope.cos()), toDevice(rope.sin()));
    for (int i = 0; i < lengths.length; i++) pages.add(new ArrayList<>());
  }

  Storage device(long bytes) {
    Storage s = gpu.allocate(bytes);
    storages.add(s);
    return s;
  }

  Tensor floats(int rows, int columns) {
    Tensor t = Tensor.of(reference.allocate(4L * rows * columns), DType.F32, rows, columns);
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < columns; j++) t.setF32(i, j, (float) random.nextGaussian());
    }
    return t;
  }

  /** A copy with other strides. */
  Tensor toDevice(Tensor t) {
    int stride = t.columns() + 4;
    Storage host = gpu.allocateHost(4L * t.rows() * stride + 16);
    Tensor staged = new Tensor(host, 0, t.dtype(), t.rows(), t.columns(), stride);
    for (int i = 0; i < t.rows(); i++) {
      for (int j = 0; j < t.columns(); j++) staged.setI32(i, j, t.i32(i, j));
    }
    Storage there = device(host.byteSize());
    gpu.copy(host.address(), there.address(), host.byteSize());
    host.close();
    return new Tensor(there, 0, t.dtype(), t.rows(), t.columns(), stride);
  }

  Tensor onDevice(int rows, int columns) {
    return Tensor.of(device(4L * rows * columns), DType.F32, rows, columns);
  }

  float[] read(Tensor t) {
    Storage host = gpu.allocateHost(t.storage().byteSize());
    gpu.copy(t.storage().address(), host.address(), host.byteSize());
    gpu.sync();
    Tensor seen = new Tensor(host, 0, DType.F32, t.rows(), t.columns(), t.rowStride());
    float[] all = new float[t.rows() * t.columns()];
    for (int i = 0; i < t.rows(); i++) {
      for (int j = 0; j < t.columns(); j++) all[i * t.columns() + j] = seen.f32(i, j);
    }
    host.close();
    return all;
  }

  /** Sequence {@code to} begins with the pages of another. */
  void share(int from, int to, int count) {
    pages.get(to).addAll(pages.get(from).subList(0, count));
    lengths[to] = 64 * count;
  }

  /** Halves of keys and values: those of the reference, then those of the device. */
  private Tensor[] page() {
    int bytes = (int) shape.layout().halfBytes();
    Tensor[] halves = new Tensor[4];
    for (int i = 0; i < 2; i++) {
      halves[i] = Tensor.of(reference.allocate(bytes), DType.U8, 1, bytes);
      halves[2 + i] = Tensor.of(device(bytes), DType.U8, 1, bytes);
    }
    return halves;
  }

  private Tensor[] halves(int sequence, int which) {
    return pages.get(sequence).stream().map(p -> p[which]).toArray(Tensor[]::new);
  }

  /** The next rows of the sequences: on the reference's side, then on the device's. */
  Step[] step(PrefixAttention attention, ChunkPicks[] picks, Rows... all) {
    List<Slice> slices = new ArrayList<>();
    List<List<List<KvSegment>>> segments = List.of(new ArrayList<>(), new ArrayList<>());
    int size = Arrays.stream(all).mapToInt(Rows::count).sum();
    int[] positions = new int[size];
    int row = 0;
    for (Rows r : all) {
      slices.add(new Slice(r.sequence, row, r.count));
      for (int i = 0; i < r.count; i++) positions[row++] = lengths[r.sequence]++;
      while (64 * pages.get(r.sequence).size() < lengths[r.sequence]) {
        pages.get(r.sequence).add(page());
      }
      for (int side = 0; side < 2; side++) {
        Tensor[] keys = halves(r.sequence, 2 * side);
        Tensor[] values = halves(r.sequence, 2 * side + 1);
        List<KvSegment> own = new ArrayList<>();
        int from = r.pickedPages;
        if (from > 0) {
          Tensor[] k = Arrays.copyOf(keys, from);
          own.add(KvSegment.picked(k, Arrays.copyOf(values, from), 64 * from, picks[side]));
        }
        Tensor[] k = Arrays.copyOfRange(keys, from, keys.length);
        Tensor[] v = Arrays.copyOfRange(values, from, values.length);
        own.add(KvSegment.dense(k, v, 64 * from, lengths[r.sequence] - 64 * from));
        segments.get(side).add(own);
      }
    }
    TokenBatch batch = new TokenBatch(size, new int[size], positions, slices, new int[0]);
    return new Step[] {
      new Step(batch, new KvView(shape.layout(), segments.get(0), attention)),
      new Step(batch, new KvView(shape.layout(), segments.get(1), attention))
    };
  }

  /** Picks of the first chunks of each row, of a random choice of those of {@code pages}. */
  ChunkPicks[] picks(int rows, int chunk, int most, int pages) {
    Tensor ids =
        Tensor.of(
            reference.allocate(4L * rows * shape.layout().kvHeads() * (1 + most)),
            DType.I32,
            rows * shape.layout().kvHeads(),
            1 + most);
    for (int i = 0; i < ids.rows(); i++) {
      List<Integer> all = new ArrayList<>();
      for (int c = 0; c < pages * 64 / chunk; c++) all.add(c);
      java.util.Collections.shuffle(all, random);
      int count = i == 0 ? 0 : 1 + random.nextInt(most);
      List<Integer> some = new ArrayList<>(all.subList(0, count));
      some.sort(null);
      ids.setI32(i, 0, count);
      for (int c = 0; c < count; c++) ids.setI32(i, 1 + c, some.get(c));
    }
    Storage host = gpu.allocateHost(4L * ids.rows() * (1 + most));
    storages.add(host);
    Tensor pinned = Tensor.of(host, DType.I32, ids.rows(), 1 + most);
    for (int i = 0; i < ids.rows(); i++) {
      for (int j = 0; j <= most; j++) pinned.setI32(i, j, ids.i32(i, j));
    }
    return new ChunkPicks[] {new ChunkPicks(ids, chunk), new ChunkPicks(pinned, chunk)};
  }

  /** Bytes of all pages of a side, the halves of the device copied back. */
  int[] bytes(int side) {
    List<byte[]> all = new ArrayList<>();
    int total = 0;
    for (List<Tensor[]> sequence : pages) {
      for (Tensor[] page : sequence) {
        for (int i = 2 * side; i < 2 * side + 2; i++) {
          byte[] b = new byte[page[i].columns()];
          Storage from = page[i].storage();
          if (side == 1) {
            try (Storage host = gpu.allocateHost(b.length)) {
              gpu.copy(from.address(), host.address(), b.length);
              gpu.sync();
              host.bytes().get(0, b);
            }
          } else {
            from.bytes().get(0, b);
          }
          all.add(b);
          total += b.length;
        }
      }
    }
    int[] bytes = new int[total];
    int at = 0;
    for (byte[] b : all) for (byte x : b) bytes[at++] = x;
    return bytes;
  }

  static double error(float[] got, float[] expected) {
    double error = 0;
    double norm = 0;
    for (int i = 0; i < expected.length; i++) {
      double d = (double) got[i] - expected[i];
      error += d * d;
      norm += (double) expected[i] * expected[i];
    }
    return Math.sqrt(error / norm);
  }

  static float[] all(Tensor t) {
    float[] x = new float[t.rows() * t.columns()];
    for (int i = 0; i < x.length; i++) x[i] = t.f32(i / t.columns(), i % t.columns());
    return x;
  }

  @Override
  public void close() {
    storages.forEach(Storage::close);
  }
}
