package io.shadowbatch.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.kernels.ReferenceKernels;
import io.shadowbatch.kernels.cuda.CudaKernels;
import io.shadowbatch.kernels.cuda.StandIn;
import io.shadowbatch.model.Rig.Part;
import io.shadowbatch.weights.TinyModels;
import io.shadowbatch.weights.TinyVocabulary;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Whole models on CUDA: the float reference's logits, and rows that do not know their company. */
class CudaDecoderTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20260101L);

  /**
   * Distance of logits by norm: some 10 roundings to bfloat16, 2^-9.5 each in the mean, meet in two
   * layers.
   */
  private static final double ROUNDING = 0.02;

  @TempDir Path folder;
  private final Random random = new Random(SEED);

  private PackOptions options() {
    return new PackOptions(folder.resolve("packed"), 2, Duration.ofSeconds(20));
  }

  private int[] ids(int n) {
    return random.ints(n, 0, TinyVocabulary.SIZE).toArray();
  }

  @ParameterizedTest
  @EnumSource(Family.class)
  void logitsAreTheReferencesUpToRounding(Family family) throws IOException {
    StandIn.require();
    Path file = TinyModels.write(folder.resolve("m.gguf"), family, 5);
    int[] ids = ids(90);
    ReferenceKernels f32 = new ReferenceKernels(ReferenceKernels.Form.FLOAT32);
    try (CudaKernels cuda = CudaKernels.open(0);
        Model got = Model.open(file, cuda, options());
        Model want = Model.open(file, f32, options())) {
      assertThat(got.weights().head().form()).isEqualTo(PackedMatrix.Form.BF16);
      List<float[]> expected = new Rig(f32, want, KvCodec.FP16).alone(1, ids, 70, 89);
      List<float[]> logits = new Rig(cuda, got, KvCodec.FP16).alone(1, ids, 70, 89);
      double distance = distance(logits, expected);
      System.out.printf("%s: logits differ by %.4f (seed %d)%n", family, distance, SEED);
      assertThat(distance).isBetween(1e-6, ROUNDING);
    }
  }

  @Test
  void logitsAreTheSameBitsAloneAndAmongOthers() throws IOException {
    StandIn.require();
    Path file = TinyModels.write(folder.resolve("m.gguf"), Family.QWEN2, 6);
    int[] a = ids(75);
    int[] b = ids(66);
    try (CudaKernels cuda = CudaKernels.open(0);
        Model model = Model.open(file, cuda, options())) {
      Rig rig = new Rig(cuda, model, KvCodec.FP16);
      List<float[]> alone = rig.alone(1, a);
      List<float[]> together = rig.step(List.of(new Part(2, b, 0, 66), new Part(3, a, 0, 74)));
      List<float[]> last = rig.step(List.of(new Part(3, a, 74, 75)));
      for (int i = 0; i < 74; i++) assertThat(together.get(66 + i)).isEqualTo(alone.get(i));
      assertThat(last.get(0)).isEqualTo(alone.get(74));
    }
  }

  /**
   * Goal: what a step of decodes asks of the host is known: 10 launches a layer, one more where an
   * answer is merged of splits, and few copies, however many layers there are.
   */
  @Test
  void aStepOfDecodesQueuesTenLaunchesALayerAndFewCopies() throws IOException {
    StandIn.requireFaults();
    Path file = TinyModels.write(folder.resolve("m.gguf"), Family.LLAMA, 6);
    try (CudaKernels cuda = CudaKernels.open(0);
        Model model = Model.open(file, cuda, options())) {
      int layers = model.spec().layers();
      Rig rig = new Rig(cuda, model, KvCodec.FP16);
      int[] ids = ids(90);
      rig.step(List.of(new Part(1, ids, 0, 63), new Part(2, ids, 0, 80)));
      for (int i = 63; i < 67; i++) {
        long launches = StandIn.count("launch");
        long copies = StandIn.count("copy");
        long bytes = StandIn.count("to device");
        rig.step(List.of(new Part(1, ids, i, i + 1), new Part(2, ids, i + 17, i + 18)));
        launches = StandIn.count("launch") - launches;
        copies = StandIn.count("copy") - copies;
        bytes = StandIn.count("to device") - bytes;
        System.out.printf(
            "%d layers: %d launches, %d copies, %d bytes to the device%n",
            layers, launches, copies, bytes);
        assertThat(launches).isEqualTo(10L * layers + 3); // and embedding, norm, product of logits
        assertThat(copies).isEqualTo(6); // the last is the logits
        assertThat(bytes).isLessThan(1000);
      }
    }
  }

  private static double distance(List<float[]> got, List<float[]> want) {
    assertThat(got).hasSameSizeAs(want);
    double error = 0;
    double norm = 0;
    for (int i = 0; i < want.size(); i++) {
      for (int k = 0; k < want.get(i).length; k++) {
        error += Math.pow((double) got.get(i)[k] - want.get(i)[k], 2);
        norm += Math.pow(want.get(i)[k], 2);
      }
    }
    return Math.sqrt(error / norm);
  }
}
