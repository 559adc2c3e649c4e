package io.shadowbatch.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.ReferenceKernels;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.weights.BlockCodec;
import io.shadowbatch.weights.GgufWriter;
import io.shadowbatch.weights.ModelFileException;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import io.shadowbatch.weights.TinyVocabulary;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A host packs a model once, whole, and notices when the pack is not what it must be. */
class WeightPackTest {
  private static final Duration WAIT = Duration.ofSeconds(20);

  @TempDir Path folder;

  private final ReferenceKernels kernels = new ReferenceKernels(ReferenceKernels.Form.INT8);
  private final ReferenceKernels floats = new ReferenceKernels(ReferenceKernels.Form.FLOAT32);
  private Path source;
  private Path packed;

  @BeforeEach
  void model() throws IOException {
    source = TinyModels.write(folder.resolve("m.gguf"), Family.LLAMA, 11, QuantType.Q4_1);
    packed = folder.resolve("packed");
  }

  private PackOptions options(int threads) {
    return new PackOptions(packed, threads, WAIT);
  }

  private Path pack() throws IOException {
    Model.open(source, kernels, options(2)).close();
    return onlyPack();
  }

  private Path onlyPack() throws IOException {
    try (Stream<Path> files = Files.list(packed)) {
      List<Path> packs = files.filter(f -> f.toString().endsWith(".pack")).toList();
      assertThat(packs).hasSize(1);
      return packs.get(0);
    }
  }

  private void noLeftovers() throws IOException {
    try (Stream<Path> files = Files.walk(packed)) {
      assertThat(files.filter(f -> f.toString().endsWith(".tmp"))).isEmpty();
    }
  }

  @Test
  void packIsTheSameWhateverTheThreads() throws IOException {
    byte[] two = Files.readAllBytes(pack());
    Files.delete(onlyPack());
    Model.open(source, kernels, options(1)).close();
    assertThat(Files.readAllBytes(onlyPack())).isEqualTo(two);
    noLeftovers();
  }

  @Test
  void secondOpenReadsThePackAndGivesTheSameBytes() throws IOException {
    Path pack = pack();
    Object before = Files.getAttribute(pack, "unix:ino");
    try (Model a = Model.open(source, kernels, options(1));
        Model b = Model.open(source, kernels, options(1))) {
      assertThat(Files.getAttribute(pack, "unix:ino")).isEqualTo(before);
      List<Storage> first = a.weights().storages();
      for (int i = 0; i < first.size(); i++) {
        assertThat(b.weights().storages().get(i).bytes()).isEqualTo(first.get(i).bytes());
      }
      assertThat(a.fingerprint()).isEqualTo(b.fingerprint()).hasSize(64);
      assertThat(pack.getFileName().toString()).startsWith(a.fingerprint());
    }
  }

  @Test
  void damagedPacksAreMadeAgain() throws IOException {
    Path pack = pack();
    byte[] good = Files.readAllBytes(pack);
    for (int at : new int[] {0, 9, 13, 20, 50, 58, 70, 200, 669}) {
      byte[] bad = good.clone();
      bad[at] ^= 1;
      Files.write(pack, bad);
      assertThat(Files.readAllBytes(pack())).as("flip at %d", at).isEqualTo(good);
    }
    for (int length : new int[] {0, 10, 4096, good.length - 1}) {
      Files.write(pack, Arrays.copyOf(good, length));
      assertThat(Files.readAllBytes(pack())).as("cut to %d", length).isEqualTo(good);
    }
    Files.write(pack, Arrays.copyOf(good, good.length + 1));
    assertThat(Files.readAllBytes(pack())).isEqualTo(good);
    noLeftovers();
  }

  @Test
  void concurrentPackersAgree() throws Exception {
    int packers = 6;
    ExecutorService pool = Executors.newFixedThreadPool(packers);
    try {
      List<Callable<Model>> calls = new ArrayList<>();
      for (int i = 0; i < packers; i++) {
        calls.add(() -> Model.open(source, kernels, options(1)));
      }
      for (Future<Model> future : pool.invokeAll(calls)) {
        try (Model model = future.get()) {
          assertThat(model.weights().layers()).hasSize(TinyModels.LAYERS);
        }
      }
    } finally {
      pool.shutdown();
    }
    byte[] together = Files.readAllBytes(onlyPack());
    Files.delete(onlyPack());
    assertThat(Files.readAllBytes(pack())).isEqualTo(together);
    noLeftovers();
  }

  /** Two processes, as two executors of a host are. */
  @Test
  void processesAgree() throws Exception {
    List<Process> processes = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
      String[] command = {
        java,
        "-Xmx128m",
        "-cp",
        System.getProperty("java.class.path"),
        Packer.class.getName(),
        source.toString(),
        packed.toString()
      };
      processes.add(new ProcessBuilder(command).inheritIO().start());
    }
    for (Process process : processes) assertThat(process.waitFor()).isZero();
    byte[] together = Files.readAllBytes(onlyPack());
    Files.delete(onlyPack());
    assertThat(Files.readAllBytes(pack())).isEqualTo(together);
    noLeftovers();
  }

  /** Opens a model in a process of its own. */
  static final class Packer {
    public static void main(String[] args) throws IOException {
      ReferenceKernels kernels = new ReferenceKernels(ReferenceKernels.Form.INT8);
      PackOptions options = new PackOptions(Path.of(args[1]), 1, WAIT);
      Model.open(Path.of(args[0]), kernels, options).close();
    }
  }

  @Test
  void aLockThatNobodyGivesBackOnlyDelays() throws IOException {
    String name = pack().getFileName().toString();
    Files.delete(onlyPack());
    Path lockFile = packed.resolve(name + ".lock");
    try (FileChannel channel = FileChannel.open(lockFile, StandardOpenOption.WRITE);
        FileLock lock = channel.lock()) {
      assertThat(lock.isValid()).isTrue();
      PackOptions hasty = new PackOptions(packed, 1, Duration.ofMillis(200));
      Model.open(source, kernels, hasty).close();
    }
    assertThat(onlyPack()).isRegularFile();
  }

  @Test
  void oldLeftoversOfKilledPackersAreRemoved() throws IOException {
    String name = pack().getFileName().toString();
    Files.delete(onlyPack());
    Path old = Files.writeString(packed.resolve(name + ".1.tmp"), "x");
    Path fresh = Files.writeString(packed.resolve(name + ".2.tmp"), "x");
    Files.setLastModifiedTime(old, FileTime.from(Instant.EPOCH));
    pack();
    assertThat(old).doesNotExist();
    assertThat(fresh).exists();
  }

  @Test
  void fingerprintFollowsContentNotName() throws IOException {
    String before = Model.fingerprint(source, options(1));
    Path copy = Files.copy(source, folder.resolve("copy.gguf"));
    assertThat(Model.fingerprint(copy, options(1))).isEqualTo(before);
    // An old time makes the digest worth remembering; the change must still be seen.
    Files.setLastModifiedTime(copy, FileTime.from(Instant.EPOCH));
    assertThat(Model.fingerprint(copy, options(1))).isEqualTo(before);
    assertThat(packed.resolve("fingerprints")).isDirectoryContaining("glob:**");
    TinyModels.write(copy, Family.LLAMA, 12, QuantType.Q4_1);
    assertThat(Model.fingerprint(copy, options(1))).isNotEqualTo(before);
  }

  @Test
  void folderFingerprintCoversTokenizerAndConfiguration() throws IOException {
    Path hub = TinyModels.write(folder.resolve("hub"), Family.QWEN2, 1);
    String before = Model.fingerprint(hub, options(1));
    Files.writeString(hub.resolve("chat_template.jinja"), "x");
    assertThat(Model.fingerprint(hub, options(1))).isNotEqualTo(before);
  }

  @Test
  void weightsThatAreNoNumbersAreRefusedAndNothingIsLeft() throws IOException {
    for (QuantType type : new QuantType[] {QuantType.F32, QuantType.F16}) {
      float[] values = new float[TinyVocabulary.SIZE * 64];
      values[64 * 77 + 5] = Float.POSITIVE_INFINITY;
      byte[] data = BlockCodec.quantise(QuantType.F32, values);
      if (type == QuantType.F16) {
        data = new byte[values.length * 2];
        data[2 * (64 * 77 + 5) + 1] = 0x7c;
      }
      GgufWriter writer = TinyModels.gguf(Family.LLAMA, 1).removeTensor("token_embd.weight");
      writer.tensor("token_embd.weight", type, data, TinyVocabulary.SIZE, 64);
      Path path = writer.write(folder.resolve("bad.gguf"));
      String message = "'token_embd.weight' holds an infinite number or NaN in row 77";
      assertThatThrownBy(() -> Model.open(path, kernels, options(2)))
          .isInstanceOf(ModelFileException.class)
          .hasMessageContaining(message);
      assertThatThrownBy(() -> Model.open(path, floats, options(2)))
          .isInstanceOf(ModelFileException.class)
          .hasMessageContaining(message);
    }
    noLeftovers();
  }

  @Test
  void aFolderThatCannotBeMadeIsNamed() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "");
    PackOptions bad = new PackOptions(file.resolve("packed"), 1, WAIT);
    assertThatThrownBy(() -> Model.open(source, kernels, bad))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("cannot make the folder for packed weights " + bad.folder());
  }
}
