package io.shadowbatch.eval;

import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kv.KvSpan;
import io.shadowbatch.kv.KvStore;
import io.shadowbatch.kv.KvTraffic;
import io.shadowbatch.kv.KvUsage;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;

/**
 * What plain 4-bit quantisation costs in quality, the baseline of all codecs: rounds keys (after
 * RoPE) and values of each token and group of dimensions to 16 steps between their least and
 * largest, and keeps the result in a store of half floats. Prompts read rounded keys and values
 * too. Saves no memory and no time; {@link #usage} says what 4 bits would take: a group has, beside
 * its 4-bit numbers, the step and the least value as half floats, 5 bits an element for groups of
 * 32.
 */
final class FourBitStore implements KvStore {
  private static final int STEPS = 15;
  private static final int HALF_FLOATS_BITS = 32;

  private final Kernels kernels;
  private final KvLayout layout;
  private final HostCopy reading;
  private final HostCopy cos;
  private final HostCopy sin;
  private final RopeTable rope; // that the host can read
  private final int group;
  private final KvStore store;
  private final float[] row;
  private Storage storage;
  private Tensor keys;
  private Tensor values;

  /**
   * @param layout of the store
   * @param group dimensions that share a scale, a divisor of the head
   * @param store of half floats; closed with this one
   */
  FourBitStore(Kernels kernels, KvLayout layout, RopeTable rope, int group, KvStore store) {
    if (group < 1 || layout.headDim() % group != 0) {
      store.close();
      throw new IllegalArgumentException(
          "int4: group %d does not divide a head of %d; take a power of two up to 64"
              .formatted(group, layout.headDim()));
    }
    this.kernels = kernels;
    this.layout = layout;
    this.reading = new HostCopy(kernels);
    this.cos = new HostCopy(kernels);
    this.sin = new HostCopy(kernels);
    this.rope = new RopeTable(cos.of(rope.cos()), sin.of(rope.sin()));
    this.group = group;
    this.store = store;
    this.row = new float[layout.kvHeads() * layout.headDim()];
  }

  @Override
  public void attend(int layer, Tensor q, Tensor k, Tensor v, TokenBatch batch, Tensor out) {
    room(batch.size());
    kernels.finish(); // the store may still read what the layer before left here
    Tensor given = reading.of(k);
    for (int i = 0; i < batch.size(); i++) {
      given.readRow(i, row);
      turn(batch.positions()[i], 1);
      round(row, group);
      turn(batch.positions()[i], -1); // the store turns it again
      keys.writeRow(i, row);
    }
    given = reading.of(v);
    for (int i = 0; i < batch.size(); i++) {
      given.readRow(i, row);
      round(row, group);
      values.writeRow(i, row);
    }
    Tensor roundedKeys = keys.rows(0, batch.size());
    Tensor roundedValues = values.rows(0, batch.size());
    store.attend(layer, q, roundedKeys, roundedValues, batch, out);
  }

  private void room(int rows) {
    if (keys != null && keys.rows() >= rows) return;
    if (storage != null) storage.close();
    storage = kernels.allocateHost(8L * rows * row.length);
    keys = new Tensor(storage, 0, DType.F32, rows, row.length, row.length);
    long middle = 4L * rows * row.length;
    values = new Tensor(storage, middle, DType.F32, rows, row.length, row.length);
  }

  /** Turns the heads of the row to a position, or back from it. */
  private void turn(int position, int direction) {
    int half = rope.rotaryDim() / 2;
    for (int head = 0; head < row.length; head += layout.headDim()) {
      for (int i = head; i < head + half; i++) {
        double cos = rope.cos().f32(position, i - head);
        double sin = direction * rope.sin().f32(position, i - head);
        double a = row[i];
        double b = row[i + half];
        row[i] = (float) (a * cos - b * sin);
        row[i + half] = (float) (b * cos + a * sin);
      }
    }
  }

  /** Rounds each group to 16 values; the group's step and least value have 11 bits, as halves. */
  static void round(float[] row, int group) {
    for (int from = 0; from < row.length; from += group) {
      float least = row[from];
      float most = row[from];
      for (int i = from; i < from + group; i++) {
        least = Math.min(least, row[i]);
        most = Math.max(most, row[i]);
      }
      float zero = elevenBits(least);
      float step = elevenBits((most - zero) / STEPS);
      for (int i = from; i < from + group; i++) {
        int n = step > 0 ? Math.max(0, Math.min(STEPS, Math.round((row[i] - zero) / step))) : 0;
        row[i] = zero + n * step;
      }
    }
  }

  /** The nearest number of 11 significant bits: a half float without its limits of range. */
  private static float elevenBits(float x) {
    int bits = Float.floatToRawIntBits(x);
    return Float.intBitsToFloat((bits + 0xFFF + (bits >> 13 & 1)) & ~0x1FFF);
  }

  @Override
  public boolean reserve(int sequence, int tokens) {
    return store.reserve(sequence, tokens);
  }

  @Override
  public void seal(int sequence, int tokens) {
    store.seal(sequence, tokens);
  }

  @Override
  public KvSpan share(int sequence, int from, int to) {
    return store.share(sequence, from, to);
  }

  @Override
  public boolean attach(int sequence, KvSpan span, int at) {
    return store.attach(sequence, span, at);
  }

  @Override
  public void release(int sequence) {
    store.release(sequence);
  }

  @Override
  public int shrink() {
    return store.shrink();
  }

  /** Pages as the store has them, in bytes that 4 bits would take. */
  @Override
  public KvUsage usage() {
    KvUsage u = store.usage();
    long elements = 2L * layout.layers() * row.length * u.pageTokens();
    long page = elements * (4 * group + HALF_FLOATS_BITS) / group / 8;
    long bytes = u.deviceBytes() / u.pageBytes() * page;
    return new KvUsage(
        u.pages(), u.freePages(), page, u.pageTokens(), u.sequences(), bytes, u.hostBytes());
  }

  @Override
  public KvTraffic traffic() {
    return store.traffic();
  }

  @Override
  public void close() {
    store.close();
    if (storage != null) storage.close();
    reading.close();
    cos.close();
    sin.close();
  }
}
