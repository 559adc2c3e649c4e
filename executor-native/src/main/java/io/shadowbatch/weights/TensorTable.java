package io.shadowbatch.weights;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The tensors of one or more files by name, checked against each other and against file sizes. */
final class TensorTable {
  private final Map<String, TensorInfo> byName = new LinkedHashMap<>();

  /**
   * Number of bytes of a tensor, or an error: all sizes at least 1, whole blocks, no overflow.
   *
   * @param at where in the file the shape stands
   */
  static long bytes(Path file, long at, String name, List<Long> shape, QuantType type)
      throws ModelFileException {
    long elements = 1;
    for (long size : shape) {
      if (size <= 0 || elements > Long.MAX_VALUE / 8 / size) {
        throw new ModelFileException(
            file,
            at,
            "tensor %s has shape %s, expected sizes of at least 1 and fewer than 2^60 elements"
                .formatted(ModelFileException.quote(name), shape));
      }
      elements *= size;
    }
    long columns = shape.isEmpty() ? 1 : shape.get(shape.size() - 1);
    if (columns % type.blockElements() != 0) {
      throw new ModelFileException(
          file,
          at,
          "tensor %s of type %s has rows of %d elements, expected a multiple of %d"
              .formatted(ModelFileException.quote(name), type, columns, type.blockElements()));
    }
    long blocks = elements / type.blockElements();
    if (blocks > Long.MAX_VALUE / type.blockBytes()) {
      throw new ModelFileException(
          file, at, "tensor %s has too many elements".formatted(ModelFileException.quote(name)));
    }
    return blocks * type.blockBytes();
  }

  /** Adds a tensor; its name must be new. */
  void add(TensorInfo tensor, long at) throws ModelFileException {
    TensorInfo other = byName.putIfAbsent(tensor.name(), tensor);
    if (other != null) {
      throw new ModelFileException(
          tensor.file(),
          at,
          "tensor %s is there twice, first in %s at byte %d"
              .formatted(
                  ModelFileException.quote(tensor.name()), other.file(), other.fileOffset()));
    }
  }

  /** Refuses tensors that share bytes: two honest tensors never do. */
  void checkOverlaps() throws ModelFileException {
    List<TensorInfo> sorted = new ArrayList<>(byName.values());
    sorted.sort(
        Comparator.comparing((TensorInfo t) -> t.file()).thenComparing(TensorInfo::fileOffset));
    for (int i = 1; i < sorted.size(); i++) {
      TensorInfo before = sorted.get(i - 1);
      TensorInfo tensor = sorted.get(i);
      long end = before.fileOffset() + before.bytes();
      if (tensor.file().equals(before.file()) && tensor.fileOffset() < end) {
        throw new ModelFileException(
            tensor.file(),
            tensor.fileOffset(),
            "tensor %s overlaps %s, which ends at byte %d"
                .formatted(
                    ModelFileException.quote(tensor.name()),
                    ModelFileException.quote(before.name()),
                    end));
      }
    }
  }

  TensorInfo find(String name) {
    return byName.get(name);
  }

  List<TensorInfo> all() {
    return List.copyOf(byName.values());
  }

  /** Reads rows [first, first + count) of a tensor. */
  static void readRows(
      FileChannel channel, TensorInfo tensor, long first, int count, byte[] out, int at)
      throws IOException {
    if (first < 0 || count < 0 || first + count > tensor.rows()) {
      throw new IllegalArgumentException(
          "tensor %s: rows [%d,%d) of %d"
              .formatted(tensor.name(), first, first + count, tensor.rows()));
    }
    long rowBytes = tensor.rowBytes();
    ByteBuffer target = ByteBuffer.wrap(out, at, Math.toIntExact(rowBytes * count));
    long from = tensor.fileOffset() + first * rowBytes;
    while (target.hasRemaining()) {
      int n = channel.read(target, from + target.position() - at);
      if (n < 0) {
        throw new ModelFileException(
            tensor.file(), from, "file became shorter than its tensor " + tensor.name());
      }
    }
  }
}
