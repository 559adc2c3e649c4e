package io.shadowbatch.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.ReferenceKernels;
import io.shadowbatch.kernels.cpu.CpuKernels;
import io.shadowbatch.kernels.cpu.Isa;
import io.shadowbatch.kv.KvSpan;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A row's logits depend on its own sequence and on nothing else: not one bit. */
class DecoderInvariantsTest {
  private static final long SEED = 20261121;

  @TempDir Path folder;

  /** One model, one backend, one codec. */
  private record Case(Model model, Kernels kernels, KvCodec codec, String name) {
    Rig rig() {
      return new Rig(kernels, model, codec);
    }
  }

  private void forEach(Family family, Consumer<Case> check) throws IOException {
    Path file = TinyModels.write(folder.resolve(family + ".gguf"), family, SEED, QuantType.Q4_1);
    PackOptions pack = PackOptions.standard().in(folder);
    for (Isa isa : Isa.supported()) {
      for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
        try (Kernels kernels = CpuKernels.open(2, isa);
            Model model = Model.open(file, kernels, pack)) {
          check.accept(new Case(model, kernels, codec, family + " " + isa + " " + codec));
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Family.class)
  void promptInChunksEqualsPromptAtOnce(Family family) throws IOException {
    forEach(
        family,
        c -> {
          int[] ids = ids(c, 100, SEED);
          List<float[]> whole = c.rig().alone(0, ids);
          assertSame(c, whole, c.rig().alone(0, ids, 33, 34, 74));
          assertSame(c, whole, c.rig().alone(0, ids, 64, 65, 66, 67, 99));
        });
  }

  @ParameterizedTest
  @EnumSource(Family.class)
  void sequencesTogetherEqualEachAlone(Family family) throws IOException {
    forEach(
        family,
        c -> {
          Rig together = c.rig();
          List<Rig.Part> parts = new ArrayList<>();
          List<float[]> expected = new ArrayList<>();
          for (int s = 0; s < 7; s++) {
            int[] ids = ids(c, 1 + 17 * s, SEED + s);
            parts.add(new Rig.Part(s, ids, 0, ids.length));
            expected.addAll(c.rig().alone(s, ids));
          }
          // Only so many rows fit a step.
          List<float[]> found = new ArrayList<>(together.step(parts.subList(0, 5)));
          found.addAll(together.step(parts.subList(5, 7)));
          assertSame(c, expected, found);
        });
  }

  @ParameterizedTest
  @EnumSource(Family.class)
  void sharedPrefixEqualsOwnPrefix(Family family) throws IOException {
    forEach(
        family,
        c -> {
          for (int shared : new int[] {64, 128, 70, 127}) {
            int[] first = ids(c, 150, SEED);
            int[] second = Arrays.copyOf(first, 140);
            for (int i = shared; i < 140; i++)
              second[i] = (first[i] + 1) % c.model.spec().vocabulary();
            Rig rig = c.rig();
            rig.alone(0, first);
            try (KvSpan span = rig.store.share(0, 0, 150)) {
              assertThat(rig.store.attach(1, span.head(shared), 0)).isTrue();
            }
            rig.store.release(0);
            List<float[]> found = rig.step(List.of(new Rig.Part(1, second, shared, 140)));
            List<float[]> alone = c.rig().alone(0, second);
            assertSame(c, alone.subList(shared, 140), found);
          }
        });
  }

  @ParameterizedTest
  @EnumSource(Family.class)
  void everyInstructionSetEqualsTheReference(Family family) throws IOException {
    Path file = TinyModels.write(folder.resolve(family + ".gguf"), family, SEED, QuantType.Q4_1);
    PackOptions pack = PackOptions.standard().in(folder);
    Kernels reference = new ReferenceKernels(ReferenceKernels.Form.INT8);
    try (Model model = Model.open(file, reference, pack)) {
      for (KvCodec codec : List.of(KvCodec.INT8, KvCodec.FP16)) {
        Case expected = new Case(model, reference, codec, "reference");
        List<float[]> rows = expected.rig().alone(0, ids(expected, 90, SEED));
        forEach(
            family,
            c -> {
              if (c.codec == codec) assertSame(c, rows, c.rig().alone(0, ids(c, 90, SEED)));
            });
      }
    }
  }

  private static int[] ids(Case c, int length, long seed) {
    return new Random(seed).ints(length, 0, c.model.spec().vocabulary()).toArray();
  }

  private static void assertSame(Case c, List<float[]> expected, List<float[]> found) {
    assertThat(found).hasSameSizeAs(expected);
    for (int i = 0; i < expected.size(); i++) {
      assertThat(found.get(i))
          .as("%s, row %d, seed %d", c.name, i, SEED)
          .isEqualTo(expected.get(i));
    }
  }
}
