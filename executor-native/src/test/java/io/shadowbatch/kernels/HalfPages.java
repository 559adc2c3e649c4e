package io.shadowbatch.kernels;

import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;
import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Keys and values of a sequence, in memory of their own each. */
final class HalfPages {
  final Tensor[] keys;
  final Tensor[] values;

  HalfPages(Arena a, KvLayout layout, int count) {
    keys = new Tensor[count];
    values = new Tensor[count];
    for (int i = 0; i < count; i++) {
      keys[i] = half(a, layout);
      values[i] = half(a, layout);
    }
  }

  /** A half full of old numbers: slot 0 of a tile has to clear them. */
  private static Tensor half(Arena a, KvLayout layout) {
    int bytes = (int) layout.halfBytes();
    Tensor t = Tensor.of(a.storage(bytes), DType.U8, 1, bytes);
    for (int i = 0; i < bytes; i++) t.storage().bytes().put(i, (byte) (i * 7));
    return t;
  }

  int count() {
    return keys.length;
  }

  /** The first pages become those of another sequence. */
  void shareFirst(HalfPages other, int pages) {
    System.arraycopy(other.keys, 0, keys, 0, pages);
    System.arraycopy(other.values, 0, values, 0, pages);
  }

  /** The tokens [from, to) as a dense segment; {@code from} starts a page. */
  KvSegment dense(int from, int to) {
    int first = from / KvLayout.TILE;
    return KvSegment.dense(
        Arrays.copyOfRange(keys, first, keys.length),
        Arrays.copyOfRange(values, first, values.length),
        from,
        to - from);
  }

  /** All bytes. */
  int[] bytes() {
    return Stream.concat(Stream.of(keys), Stream.of(values))
        .flatMapToInt(t -> IntStream.range(0, t.columns()).map(i -> t.storage().bytes().get(i)))
        .toArray();
  }
}
