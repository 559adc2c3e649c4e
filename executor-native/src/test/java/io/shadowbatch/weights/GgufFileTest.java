package io.shadowbatch.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.model.Family;
import io.shadowbatch.model.Model;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Honest GGUF files are read back; hostile ones are refused with file and byte. */
class GgufFileTest {
  @TempDir Path folder;

  private static GgufWriter small() {
    return new GgufWriter()
        .put("general.architecture", "llama")
        .put("a.u32", 7)
        .put("a.u64", 1L << 40)
        .put("a.f32", 0.5f)
        .put("a.f64", 0.25)
        .put("a.bool", true)
        .put("a.ints", new int[] {1, -2})
        .put("a.bytes", new byte[] {3, 4})
        .put("a.longs", new long[] {5})
        .put("a.floats", new float[] {1.5f})
        .put("a.texts", new String[] {"x", "\u0120y"})
        .put("a.nested", new Object[] {new int[] {1}, new String[] {"z"}})
        .tensor("m", QuantType.F32, new byte[4 * 6], 2, 3)
        .tensor("v", QuantType.Q8_0, new byte[34], 32)
        .tensor("odd", QuantType.IQ4_XS, new byte[136], 256);
  }

  private Path file(byte[] bytes) throws IOException {
    return Files.write(folder.resolve("f.gguf"), bytes);
  }

  private void refused(byte[] bytes, String... parts) throws IOException {
    Path path = file(bytes);
    assertThatThrownBy(() -> GgufFile.open(path).close())
        .isInstanceOf(ModelFileException.class)
        .hasMessageContaining(path.toString())
        .satisfies(e -> assertThat(e.getMessage()).contains(parts));
  }

  @Test
  void bothVersionsAndAllValueTypesAreRead() throws IOException {
    for (int version = 2; version <= 3; version++) {
      try (GgufFile f = GgufFile.open(small().version(version).write(folder.resolve("ok.gguf")))) {
        Metadata data = f.metadata();
        assertThat(data.text("general.architecture")).isEqualTo("llama");
        assertThat(data.integer("a.u32", 0, 9)).isEqualTo(7);
        assertThat(data.raw("a.u64")).isEqualTo(1L << 40);
        assertThat(data.number("a.f32")).isEqualTo(0.5);
        assertThat(data.number("a.f64")).isEqualTo(0.25);
        assertThat(data.isTrue("a.bool")).isTrue();
        assertThat(data.integers("a.ints")).containsExactly(1, -2);
        assertThat(data.floats("a.floats")).containsExactly(1.5f);
        assertThat(data.texts("a.texts")).containsExactly("x", "\u0120y");
        assertThat(f.tensors()).extracting(TensorInfo::name).containsExactly("m", "v", "odd");
        assertThat(f.find("m").shape()).containsExactly(2L, 3L);
        assertThat(f.find("v").bytes()).isEqualTo(34);
        assertThat(f.find("absent")).isNull();
      }
    }
  }

  @Test
  void wrongTypesOfKeysAreNamed() throws IOException {
    try (GgufFile f = GgufFile.open(small().write(folder.resolve("ok.gguf")))) {
      assertThatThrownBy(() -> f.metadata().integer("a.u64", 0, 5))
          .isInstanceOf(ModelFileException.class)
          .hasMessageContaining("a.u64 is 1099511627776, expected an integer in [0, 5]");
      assertThatThrownBy(() -> f.metadata().text("a.ints"))
          .hasMessageContaining("a.ints is a list, expected a text");
      assertThatThrownBy(() -> f.metadata().text("nothing")).hasMessageContaining("is missing");
    }
  }

  @Test
  void everyTruncationIsRefused() throws IOException {
    byte[] whole = small().bytes();
    int dataEnd = whole.length - 24;
    for (int length = 0; length < dataEnd; length++) refused(Arrays.copyOf(whole, length), "byte ");
  }

  @Test
  void hostileHeadersAreRefused() throws IOException {
    byte[] good = small().bytes();
    refused(patch(good, 0, 4, 0x12345678), "byte 0", "not a GGUF file");
    refused(patch(good, 4, 4, 1), "byte 4", "GGUF version 1, expected 2 or 3");
    refused(patch(good, 8, 8, -1), "byte 8", "18446744073709551615 tensors");
    refused(patch(good, 16, 8, 1L << 33), "byte 16", "8589934592 keys");
    refused(patch(good, 24, 8, Long.MAX_VALUE), "byte 24", "key of 9223372036854775807 bytes");
    refused(patch(good, 24, 8, good.length), "byte 24", "expected at most");
    refused(small().put("general.alignment", 48).bytes(), "general.alignment", "power of two");
    refused(small().put("general.alignment", 0).bytes(), "general.alignment");
    refused(small().put("a.deep", nested(40)).bytes(), "nested deeper");
  }

  private static Object[] nested(int depth) {
    return new Object[] {depth == 0 ? new int[0] : nested(depth - 1)};
  }

  @Test
  void hostileTensorsAreRefused() throws IOException {
    byte[] one = new byte[32];
    refused(small().tensor("m", QuantType.F32, one, 8).bytes(), "'m'", "twice");
    refused(small().tensor("x", QuantType.F32, one, 0).bytes(), "'x'", "at least 1");
    refused(small().tensor("x", QuantType.F32, one, -8).bytes(), "'x'", "at least 1");
    refused(small().tensor("x", QuantType.F32, one, 1L << 31, 1L << 31).bytes(), "'x'");
    refused(small().tensor("x", QuantType.F32, one, 1L << 62, 4).bytes(), "'x'");
    refused(small().tensor("x", QuantType.Q4_0, one, 33).bytes(), "'x'", "multiple of 32");
    refused(small().tensor("x", QuantType.F32, one, 4096).bytes(), "'x'", "the file ends at");
    refused(small().tensor("x", QuantType.F32, one).bytes(), "'x'", "0 dimensions");
    refused(small().tensor("x", QuantType.F32, one, 1, 1, 1, 2, 4).bytes(), "5 dimensions");
  }

  @Test
  void hostileTypesAndOffsetsAreRefused() throws IOException {
    byte[] bytes = small().bytes();
    int at = indexOf(bytes, "odd") + 3 + 4 + 8;
    refused(patch(bytes, at, 4, 9999), "'odd'", "element type 9999");
    refused(patch(bytes, at + 4, 8, 33), "'odd'", "offset 33, expected a multiple of 32");
    refused(patch(bytes, at + 4, 8, 0), "overlaps");
    refused(patch(bytes, at + 4, 8, Long.MIN_VALUE), "'odd'");
    refused(patch(bytes, at + 4, 8, Long.MAX_VALUE - 31), "'odd'");
  }

  @Test
  void keysMustNotRepeat() throws IOException {
    byte[] bytes = small().bytes();
    bytes[indexOf(bytes, "a.u64") + 2] = 'u';
    bytes[indexOf(bytes, "a.u64") + 3] = '3';
    bytes[indexOf(bytes, "a.u34") + 4] = '2';
    refused(bytes, "'a.u32'", "twice");
  }

  /** Mutated models either open or are refused: nothing else happens, and soon. */
  @Test
  void mutatedFilesNeverDoAnythingElse() throws IOException {
    long seed = 424242;
    Random random = new Random(seed);
    GgufWriter writer = TinyModels.gguf(Family.LLAMA, seed, QuantType.Q4_0);
    writer.put("tokenizer.ggml.scores", new float[TinyVocabulary.SIZE]);
    byte[] good = writer.bytes();
    int header = writer.header().length;
    int refusals = 0;
    for (int round = 0; round < 3000; round++) {
      byte[] bytes = good.clone();
      for (int n = random.nextInt(4); n >= 0; n--) mutate(bytes, header, random);
      Path path = file(random.nextInt(20) == 0 ? cut(bytes, random) : bytes);
      try {
        Model.header(path);
      } catch (ModelFileException e) {
        assertThat(e).hasMessageContaining(path.toString());
        refusals++;
      } catch (RuntimeException | Error e) {
        throw new AssertionError("round " + round + " seed " + seed, e);
      }
    }
    assertThat(refusals).isGreaterThan(500);
  }

  private static void mutate(byte[] bytes, int header, Random random) {
    // Half of the time in the short part with counts and hyperparameters, else anywhere.
    int at = random.nextInt(random.nextBoolean() ? 1500 : header);
    switch (random.nextInt(4)) {
      case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
      case 1 -> bytes[at] = (byte) random.nextInt();
      case 2 -> bytes[at] = (byte) 0xff;
      default -> {
        for (int i = at; i < Math.min(header, at + 8); i++) bytes[i] = (byte) random.nextInt();
      }
    }
  }

  private static byte[] cut(byte[] bytes, Random random) {
    return Arrays.copyOf(bytes, random.nextInt(bytes.length));
  }

  @Test
  void tensorsOfOtherTypesAreRefusedByNameWhenUsed() throws IOException {
    GgufWriter writer = TinyModels.gguf(Family.LLAMA, 1);
    writer.removeTensor("blk.0.attn_v.weight");
    writer.tensor("blk.0.attn_v.weight", QuantType.IQ4_NL, new byte[64 * 2 * 18], 64, 64);
    Path path = writer.write(folder.resolve("m.gguf"));
    assertThatThrownBy(() -> Model.header(path))
        .isInstanceOf(ModelFileException.class)
        .hasMessageContaining("'blk.0.attn_v.weight' has type IQ4_NL, expected one of F32");
  }

  @Test
  void rowsAreReadWhereTheyAre() throws IOException {
    float[] values = new float[12];
    for (int i = 0; i < 12; i++) values[i] = i;
    byte[] data = BlockCodec.quantise(QuantType.F32, values);
    GgufWriter writer = new GgufWriter().alignment(64).put("general.architecture", "x");
    writer.tensor("a", QuantType.F32, new byte[4], 1).tensor("b", QuantType.F32, data, 4, 3);
    try (GgufFile f = GgufFile.open(writer.write(folder.resolve("m.gguf")))) {
      byte[] rows = new byte[26];
      f.readRows(f.find("b"), 1, 2, rows, 2);
      for (int i = 0; i < 6; i++) assertThat(LittleEndian.f32(rows, 2 + 4 * i)).isEqualTo(3 + i);
      for (long[] bad : List.of(new long[] {-1, 1}, new long[] {3, 2}, new long[] {4, 1})) {
        assertThatThrownBy(() -> f.readRows(f.find("b"), bad[0], (int) bad[1], rows, 0))
            .isInstanceOf(IllegalArgumentException.class);
      }
    }
  }

  private static byte[] patch(byte[] bytes, int at, int size, long value) {
    byte[] result = bytes.clone();
    ByteBuffer b = ByteBuffer.wrap(result).order(ByteOrder.LITTLE_ENDIAN);
    if (size == 8) b.putLong(at, value);
    else b.putInt(at, (int) value);
    return result;
  }

  private static int indexOf(byte[] bytes, String text) {
    return new String(bytes, StandardCharsets.ISO_8859_1).indexOf(text);
  }
}
