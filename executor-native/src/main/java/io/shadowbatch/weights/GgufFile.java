package io.shadowbatch.weights;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/**
 * A GGUF file of version 2 or 3 (ggml's docs/gguf.md): the header is read and checked when it is
 * opened, the tensors stay in the file. Knows nothing about families.
 */
public final class GgufFile implements WeightFile {
  private static final int MAGIC = 0x46554747;
  private static final int DIMENSIONS_MAX = 4;
  private static final int TENSOR_BYTES_MIN = 8 + 4 + 8 + 4 + 8;
  private static final int ALIGNMENT_DEFAULT = 32;

  private final Path file;
  private final FileChannel channel;
  private final Metadata metadata;
  private final TensorTable tensors = new TensorTable();

  private GgufFile(Path file, FileChannel channel) throws IOException {
    this.file = file;
    this.channel = channel;
    HeaderReader in = new HeaderReader(file, channel);
    int magic = in.i32();
    if (magic != MAGIC) {
      throw new ModelFileException(
          file, 0, "not a GGUF file: magic is %08x, expected %08x".formatted(magic, MAGIC));
    }
    int version = in.i32();
    if (version != 2 && version != 3) {
      throw new ModelFileException(file, 4, "GGUF version %d, expected 2 or 3".formatted(version));
    }
    int tensorCount = in.count("tensors", TENSOR_BYTES_MIN);
    int pairCount = in.count("keys", GgufValues.pairBytesMin());
    Map<String, Object> values = new GgufValues(file, in).read(pairCount);
    metadata = new Metadata(file, Collections.unmodifiableMap(values));
    readTensors(in, tensorCount, alignment());
  }

  /** Opens a file and reads its header. */
  public static GgufFile open(Path file) throws IOException {
    FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
    try {
      return new GgufFile(file, channel);
    } catch (IOException | RuntimeException | Error e) {
      channel.close();
      throw e;
    }
  }

  private int alignment() throws ModelFileException {
    String key = "general.alignment";
    int alignment = metadata.integerOr(key, 1, 1 << 30, ALIGNMENT_DEFAULT);
    if (Integer.bitCount(alignment) != 1) throw metadata.wrong(key, alignment, "a power of two");
    return alignment;
  }

  /** A tensor as the header says, before the data section's start is known. */
  private record Declared(
      String name, List<Long> shape, QuantType type, long offset, long bytes, long at) {}

  private void readTensors(HeaderReader in, int count, int alignment) throws IOException {
    List<Declared> declared = new ArrayList<>();
    for (int i = 0; i < count; i++) declared.add(declaration(in));
    long data = (in.position() + alignment - 1) & -(long) alignment;
    long room = channel.size() - data;
    for (Declared d : declared) {
      if (d.offset < 0 || d.offset % alignment != 0) {
        throw new ModelFileException(
            file,
            d.at,
            "tensor %s at offset %d, expected a multiple of %d"
                .formatted(ModelFileException.quote(d.name), d.offset, alignment));
      }
      if (d.bytes > room || d.offset > room - d.bytes) {
        throw new ModelFileException(
            file,
            d.at,
            "tensor %s needs %d bytes from offset %d of the data at byte %d, the file ends at %d"
                .formatted(
                    ModelFileException.quote(d.name), d.bytes, d.offset, data, channel.size()));
      }
      tensors.add(new TensorInfo(d.name, file, d.shape, d.type, data + d.offset, d.bytes), d.at);
    }
    tensors.checkOverlaps();
  }

  private Declared declaration(HeaderReader in) throws IOException {
    long at = in.position();
    String name = in.string("tensor name");
    int dimensions = in.i32();
    if (dimensions < 1 || dimensions > DIMENSIONS_MAX) {
      throw new ModelFileException(
          file,
          at,
          "tensor %s has %d dimensions, expected 1 to %d"
              .formatted(ModelFileException.quote(name), dimensions, DIMENSIONS_MAX));
    }
    List<Long> shape = new ArrayList<>();
    // The file names the length of a row first.
    for (int i = 0; i < dimensions; i++) shape.add(0, in.i64());
    int id = in.i32();
    QuantType type = QuantType.ofGgml(id);
    if (type == null) {
      throw new ModelFileException(
          file,
          at,
          "tensor %s has element type %d, which is not known"
              .formatted(ModelFileException.quote(name), id));
    }
    long offset = in.i64();
    long bytes = TensorTable.bytes(file, at, name, shape, type);
    return new Declared(name, shape, type, offset, bytes, at);
  }

  @Override
  public Path path() {
    return file;
  }

  @Override
  public List<Path> sources() {
    return List.of(file);
  }

  @Override
  public Metadata metadata() {
    return metadata;
  }

  @Override
  public List<TensorInfo> tensors() {
    return tensors.all();
  }

  @Override
  public TensorInfo find(String name) {
    return tensors.find(name);
  }

  @Override
  public void readRows(TensorInfo tensor, long first, int count, byte[] out, int at)
      throws IOException {
    TensorTable.readRows(channel, tensor, first, count, out, at);
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
