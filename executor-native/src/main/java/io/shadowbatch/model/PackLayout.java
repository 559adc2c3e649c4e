package io.shadowbatch.model;

import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.model.WeightPlan.Entry;
import io.shadowbatch.model.WeightPlan.Kind;
import io.shadowbatch.weights.ModelFileException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * Where each weight lies in a packed file. All of it follows from the plan and the fingerprint of
 * the source, so that a packed file is checked by comparing its header with the one it must have.
 *
 * <pre>
 *   byte[8]  "SHBPACK\n"
 *   i32      layout version
 *   i32      header bytes, this table and its checksum
 *   byte[32] fingerprint of the source files
 *   i64      file bytes
 *   i32      entries
 *   entry:   u16 name bytes, name, u8 form (0 U8_GROUP32, 1 F32), i32 rows, i32 columns,
 *            i64 offset (a multiple of 4096), i64 bytes
 *   i32      CRC32C of all before
 * </pre>
 */
final class PackLayout {
  /** Changes with every change of the packed form or of the canonical weights. */
  static final int VERSION = 1;

  /** In place of a fingerprint where only sizes are asked for. */
  static final String NO_FINGERPRINT = "00".repeat(32);

  private static final int PAGE = 4096;
  private static final byte[] MAGIC = "SHBPACK\n".getBytes(StandardCharsets.US_ASCII);
  private static final int FIXED_BYTES = 8 + 4 + 4 + 32 + 8 + 4;
  private static final int ENTRY_BYTES = 2 + 1 + 4 + 4 + 8 + 8;

  /** A weight and its place. */
  record Item(Entry entry, long offset, long bytes) {}

  private final List<Item> items;
  private final byte[] header;
  private final long fileBytes;

  private PackLayout(List<Item> items, byte[] header, long fileBytes) {
    this.items = items;
    this.header = header;
    this.fileBytes = fileBytes;
  }

  static PackLayout of(Path source, WeightPlan plan, String fingerprint) throws ModelFileException {
    int headerBytes = FIXED_BYTES + 4;
    for (Entry entry : plan.entries()) headerBytes += ENTRY_BYTES + name(entry).length;
    long at = pageAligned(headerBytes);
    List<Item> items = new ArrayList<>();
    for (Entry entry : plan.entries()) {
      long bytes = bytes(entry);
      if (bytes > Integer.MAX_VALUE) {
        throw new ModelFileException(
            source,
            "weight %s [%d,%d] takes %d packed bytes, expected fewer than 2^31"
                .formatted(entry.name(), entry.rows(), entry.columns(), bytes));
      }
      items.add(new Item(entry, at, bytes));
      at = pageAligned(at + bytes);
    }
    return new PackLayout(List.copyOf(items), header(items, headerBytes, at, fingerprint), at);
  }

  private static byte[] header(List<Item> items, int bytes, long fileBytes, String fingerprint) {
    ByteBuffer b = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    b.put(MAGIC).putInt(VERSION).putInt(bytes).put(HexFormat.of().parseHex(fingerprint));
    b.putLong(fileBytes).putInt(items.size());
    for (Item item : items) {
      Entry entry = item.entry();
      b.putShort((short) name(entry).length).put(name(entry));
      b.put((byte) (entry.kind() == Kind.MATRIX ? 0 : 1));
      b.putInt(entry.rows()).putInt(entry.columns()).putLong(item.offset()).putLong(item.bytes());
    }
    CRC32C checksum = new CRC32C();
    checksum.update(b.array(), 0, bytes - 4);
    b.putInt((int) checksum.getValue());
    return b.array();
  }

  private static byte[] name(Entry entry) {
    return entry.name().getBytes(StandardCharsets.UTF_8);
  }

  private static long bytes(Entry entry) {
    return entry.kind() == Kind.MATRIX
        ? PackedMatrix.byteSize(PackedMatrix.Form.U8_GROUP32, entry.rows(), entry.columns())
        : 4L * entry.columns();
  }

  private static long pageAligned(long bytes) {
    return (bytes + PAGE - 1) / PAGE * PAGE;
  }

  List<Item> items() {
    return items;
  }

  byte[] header() {
    return header;
  }

  long fileBytes() {
    return fileBytes;
  }

  /** Why an open file is not this pack, or null if it is. */
  String mismatch(FileChannel channel) throws IOException {
    if (channel.size() != fileBytes) {
      return "it has %d bytes, expected %d".formatted(channel.size(), fileBytes);
    }
    ByteBuffer found = ByteBuffer.allocate(header.length);
    int read = 0;
    while (read >= 0 && found.hasRemaining()) read = channel.read(found, found.position());
    int at = Arrays.mismatch(found.array(), header);
    return at < 0 ? null : "its header differs at byte " + at;
  }
}
