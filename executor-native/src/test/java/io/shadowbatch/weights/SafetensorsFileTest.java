package io.shadowbatch.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.model.Family;
import io.shadowbatch.model.Model;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Honest safetensors folders are read back; hostile ones are refused. */
class SafetensorsFileTest {
  @TempDir Path folder;

  private Path single;

  @BeforeEach
  void config() throws IOException {
    single = folder.resolve("model.safetensors");
    Files.writeString(folder.resolve("config.json"), "{}");
  }

  private void refusedHeader(String header, String... parts) throws IOException {
    SafetensorsWriter.writeRaw(single, header, new byte[16]);
    refused(parts);
  }

  private void refused(String... parts) {
    assertThatThrownBy(() -> SafetensorsFile.open(folder).close())
        .isInstanceOf(ModelFileException.class)
        .hasMessageContaining(folder.toString())
        .satisfies(e -> assertThat(Arrays.asList(parts)).allMatch(e.getMessage()::contains));
  }

  private static String tensor(String name, String dtype, String shape, String range) {
    return "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":%s}"
        .formatted(name, dtype, shape, range);
  }

  @Test
  void honestFileIsRead() throws IOException {
    String header =
        "{\"__metadata__\":{\"format\":\"pt\"},"
            + (tensor("a", "F32", "[2,1]", "[0,8]") + ",")
            + tensor("b", "BF16", "[4]", "[8,16]")
            + "}   ";
    SafetensorsWriter.writeRaw(single, header, new byte[16]);
    try (SafetensorsFile f = SafetensorsFile.open(folder)) {
      assertThat(f.find("a").rows()).isEqualTo(2);
      assertThat(f.find("b").type()).isEqualTo(QuantType.BF16);
      assertThat(f.find("b").fileOffset()).isEqualTo(8 + header.length() + 8);
    }
  }

  @Test
  void hostileTensorsAreRefused() throws IOException {
    refusedHeader(
        "{" + tensor("a", "F32", "[4]", "[0,12]") + "}", "'a'", "[0,12]", "expected 16 bytes");
    refusedHeader("{" + tensor("a", "F32", "[8]", "[0,32]") + "}", "'a'", "of the 16 there are");
    refusedHeader("{" + tensor("a", "F32", "[4]", "[-16,0]") + "}", "'a'");
    refusedHeader("{" + tensor("a", "F32", "[4]", "[16,0]") + "}", "'a'");
    refusedHeader("{" + tensor("a", "F32", "[-4]", "[0,16]") + "}", "'a'", "at least 1");
    refusedHeader("{" + tensor("a", "F32", "[4611686018427387904,4]", "[0,16]") + "}", "'a'");
    refusedHeader("{" + tensor("a", "F32", "[99999999999999999999]", "[0,16]") + "}", "byte");
    refusedHeader("{" + tensor("a", "F32", "[4.0]", "[0,16]") + "}", "expected an integer");
    refusedHeader("{" + tensor("a", "X9", "[4]", "[0,16]") + "}", "'X9'");
    refusedHeader("{" + tensor("a", "F32", "[1,1,1,1,1,1,1,1,4]", "[0,16]") + "}", "at most 8");
    String a = tensor("a", "F32", "[2]", "[0,8]");
    refusedHeader("{" + a + "," + a + "}", "byte");
    refusedHeader("{" + a + "," + tensor("b", "F32", "[2]", "[4,12]") + "}", "overlaps");
    refusedHeader("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "expected all three");
    refusedHeader("{\"a\":{\"dtype\":\"F32\",\"more\":[2]}}", "expected one of");
    refusedHeader("{\"a\":[]}", "expected");
    refusedHeader("[]", "expected");
    refusedHeader("\0\0\0{\0\0\0}", "byte");
    refusedHeader("\0{\0}\u1234\0\0", "byte");
    refusedHeader("{" + a, "byte");
    refusedHeader("{" + a + "} x", "byte");
    refusedHeader("{\"a\":" + "[".repeat(5000) + "}", "byte");
  }

  @Test
  void hostileLengthsAreRefused() throws IOException {
    for (long length : new long[] {-1, 0, 1, 1000, 1L << 40, Long.MAX_VALUE}) {
      ByteBuffer b = ByteBuffer.allocate(40).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
      Files.write(single, b.array());
      refused("byte 0", "header of");
    }
    for (int size = 0; size < 10; size++) {
      Files.write(single, new byte[size]);
      refused("expected at least 10");
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "../x.safetensors",
        "/etc/x.safetensors",
        "a/b.safetensors",
        "..",
        "a\\\\b.safetensors",
        ".safetensors",
        "x.bin",
        ""
      })
  void indexNamesOnlyFilesOfItsFolder(String name) throws IOException {
    Files.writeString(
        folder.resolve("model.safetensors.index.json"),
        "{\"weight_map\":{\"a\":\"%s\"}}".formatted(name));
    refused("weight_map names the file", "expected a plain name");
  }

  @Test
  void indexMustAgreeWithItsFiles() throws IOException {
    Path index = folder.resolve("model.safetensors.index.json");
    Files.writeString(index, "{\"weight_map\":{\"a\":\"p1.safetensors\"}}");
    refused("p1.safetensors, which is not there");
    String b = "{" + tensor("b", "F32", "[2]", "[0,8]") + "}";
    SafetensorsWriter.writeRaw(folder.resolve("p1.safetensors"), b, new byte[8]);
    refused("tensor 'a' in p1.safetensors, found it in no file");
    SafetensorsWriter.writeRaw(folder.resolve("p2.safetensors"), b, new byte[8]);
    Files.writeString(
        index, "{\"weight_map\":{\"b\":\"p1.safetensors\",\"c\":\"p2.safetensors\"}}");
    refused("'b' is there twice");
    Files.writeString(index, "{\"weight_map\":7}");
    refused("weight_map");
    Files.writeString(index, "{}");
    refused("weight_map is missing");
    Files.writeString(index, "null");
    refused("expected a JSON object");
  }

  /** A model in several files is the model in one. */
  @Test
  void shardsAreRead() throws IOException {
    Path hub = TinyModels.write(folder.resolve("hub"), Family.QWEN2, 3);
    Path first = hub.resolve("model-00001-of-00002.safetensors");
    Files.move(hub.resolve("model.safetensors"), first);
    StringBuilder map = new StringBuilder();
    for (String name : TinyModels.safetensors(Family.QWEN2, 3).names()) {
      map.append(map.isEmpty() ? "" : ",");
      map.append("\"%s\":\"%s\"".formatted(name, first.getFileName()));
    }
    Files.writeString(
        hub.resolve("model.safetensors.index.json"), "{\"weight_map\":{%s}}".formatted(map));
    assertThat(Model.spec(hub).layers()).isEqualTo(TinyModels.LAYERS);
  }

  @Test
  void aFolderWithoutAModelSaysSo() throws IOException {
    refused("holds neither model.safetensors nor");
    Files.delete(folder.resolve("config.json"));
    refused("holds no config.json");
    Files.writeString(folder.resolve("config.json"), "{\"a\":1,\"a\":2}");
    refused("byte", "expected a JSON object");
  }

  /** Mutated folders either open or are refused. */
  @Test
  void mutatedFilesNeverDoAnythingElse() throws IOException {
    long seed = 99;
    Random random = new Random(seed);
    Path hub = TinyModels.write(folder.resolve("hub"), Family.QWEN3, seed);
    Path[] files = {hub.resolve("model.safetensors"), hub.resolve("config.json")};
    byte[][] good = {Files.readAllBytes(files[0]), Files.readAllBytes(files[1])};
    int header = (int) ByteBuffer.wrap(good[0]).order(ByteOrder.LITTLE_ENDIAN).getLong() + 8;
    int refusals = 0;
    for (int round = 0; round < 2000; round++) {
      int which = random.nextInt(2);
      byte[] bytes = good[which].clone();
      int size = which == 0 ? header : bytes.length;
      for (int n = random.nextInt(3); n >= 0; n--) {
        bytes[random.nextInt(size)] = (byte) (random.nextBoolean() ? random.nextInt() : '9');
      }
      Files.write(files[which], bytes);
      try {
        Model.header(hub);
      } catch (ModelFileException e) {
        refusals++;
      } catch (RuntimeException | Error e) {
        throw new AssertionError("round " + round + " seed " + seed, e);
      }
      Files.write(files[which], good[which]);
    }
    assertThat(refusals).isGreaterThan(500);
  }
}
