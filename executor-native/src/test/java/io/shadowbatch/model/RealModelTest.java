package io.shadowbatch.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.kernels.ReferenceKernels;
import io.shadowbatch.weights.GgufFile;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.RealModels;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Two published models are read as their makers describe them. */
class RealModelTest {
  @TempDir Path folder;

  private final ReferenceKernels int8 = new ReferenceKernels(ReferenceKernels.Form.INT8);

  private PackOptions options() {
    return new PackOptions(folder, 2, Duration.ofMinutes(1));
  }

  private static Map<QuantType, Integer> types(Path path) throws IOException {
    Map<QuantType, Integer> counts = new TreeMap<>();
    try (GgufFile file = GgufFile.open(path)) {
      file.tensors().forEach(t -> counts.merge(t.type(), 1, Integer::sum));
    }
    return counts;
  }

  @Test
  void smolLm2HasItsPublishedShape() throws IOException {
    Path path = RealModels.find(RealModels.SMOLLM2);
    assertThat(types(path))
        .isEqualTo(Map.of(QuantType.F32, 61, QuantType.Q4_1, 210, QuantType.Q8_0, 1));
    ModelHeader header = Model.header(path);
    ModelSpec spec = header.spec();
    assertThat(spec.family()).isEqualTo("llama");
    assertThat(spec.layers()).isEqualTo(30);
    assertThat(spec.hidden()).isEqualTo(576);
    assertThat(spec.queryHeads()).isEqualTo(9);
    assertThat(spec.kvHeads()).isEqualTo(3);
    assertThat(spec.headDim()).isEqualTo(64);
    assertThat(spec.feedForward()).isEqualTo(1536);
    assertThat(spec.vocabulary()).isEqualTo(49152);
    assertThat(spec.contextLength()).isEqualTo(8192);
    assertThat(spec.rope()).isEqualTo(new RopeSpec(100000, 64, new RopeScaling.None()));
    assertThat(spec.tiedEmbeddings()).isTrue();
    assertThat(spec.qkvBias()).isFalse();
    assertThat(spec.text().eosIds()).containsExactly(2);
    assertThat(spec.text().bosId()).isEqualTo(1);
    assertThat(spec.text().addBos()).isFalse();
    assertThat(spec.text().chatTemplate()).contains("<|im_start|>");
    assertThat(header.vocabulary().model()).isEqualTo("gpt2");
    assertThat(header.vocabulary().pre()).isEqualTo("smollm");
    assertThat(header.vocabulary().tokens()).hasSize(49152);
    assertThat(Model.fingerprint(path, options()))
        .isEqualTo("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53");
  }

  @Test
  void qwenCoderHasItsPublishedShape() throws IOException {
    Path path = RealModels.find(RealModels.QWEN);
    assertThat(types(path))
        .isEqualTo(
            Map.of(
                QuantType.F32, 121,
                QuantType.Q4_K, 12,
                QuantType.Q5_0, 133,
                QuantType.Q6_K, 12,
                QuantType.Q8_0, 13));
    ModelSpec spec = Model.spec(path);
    assertThat(spec.family()).isEqualTo("qwen2");
    assertThat(spec.layers()).isEqualTo(24);
    assertThat(spec.hidden()).isEqualTo(896);
    assertThat(spec.queryHeads()).isEqualTo(14);
    assertThat(spec.kvHeads()).isEqualTo(2);
    assertThat(spec.headDim()).isEqualTo(64);
    assertThat(spec.feedForward()).isEqualTo(4864);
    assertThat(spec.contextLength()).isEqualTo(32768);
    assertThat(spec.rope().base()).isEqualTo(1e6);
    assertThat(spec.tiedEmbeddings()).isFalse();
    assertThat(spec.qkvBias()).isTrue();
    assertThat(spec.text().addBos()).isFalse();
  }

  @Test
  void realModelsOpenPackedAndReopenFast() throws IOException {
    for (String name : new String[] {RealModels.SMOLLM2, RealModels.QWEN}) {
      Path path = RealModels.find(name);
      long start = System.nanoTime();
      Model.fingerprint(path, options());
      long hashed = System.nanoTime();
      try (Model model = Model.open(path, int8, options())) {
        long packed = System.nanoTime();
        assertThat(model.weights().layers()).hasSize(model.spec().layers());
        assertThat(model.weights().head() == model.weights().embedding())
            .isEqualTo(model.spec().tiedEmbeddings());
        try (Model again = Model.open(path, int8, options())) {
          PackedMatrix qkv = again.weights().layers().get(0).qkv();
          assertThat(qkv.rows()).isEqualTo(model.spec().queryWidth() + 2 * model.spec().kvWidth());
        }
        System.out.printf(
            "%s: hash %d ms, pack with 2 threads %d ms, reopen %d ms, %d MB%n",
            name,
            (hashed - start) / 1_000_000,
            (packed - hashed) / 1_000_000,
            (System.nanoTime() - packed) / 1_000_000,
            model.weights().byteSize() / 1_000_000);
      }
    }
  }
}
