package io.shadowbatch.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;
import static org.junit.jupiter.params.provider.EnumSource.Mode.EXCLUDE;

import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.kernels.ReferenceKernels;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;
import io.shadowbatch.weights.BlockCodec;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import io.shadowbatch.weights.TinyModels.Weight;
import io.shadowbatch.weights.TinyVocabulary;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Every family in every format and type becomes the weights it was written from. */
class TinyModelTest {
  private static final long SEED = 20261121;

  @TempDir Path folder;

  private final ReferenceKernels f32 = new ReferenceKernels(ReferenceKernels.Form.FLOAT32);
  private final ReferenceKernels int8 = new ReferenceKernels(ReferenceKernels.Form.INT8);

  private PackOptions options() {
    return new PackOptions(folder.resolve("packed"), 2, Duration.ofSeconds(30));
  }

  /** Rows of a matrix as the kernels read them. */
  private float[][] rows(PackedMatrix matrix) {
    int[] ids = new int[matrix.rows()];
    for (int i = 0; i < ids.length; i++) ids[i] = i;
    Tensor out =
        Tensor.of(
            f32.allocate(4L * ids.length * matrix.columns()),
            DType.F32,
            ids.length,
            matrix.columns());
    f32.embed(matrix, ids, ids.length, out);
    float[][] result = new float[ids.length][matrix.columns()];
    for (int i = 0; i < ids.length; i++) out.readRow(i, result[i]);
    return result;
  }

  private static Map<String, Weight> expected(Family family, QuantType... types) {
    Map<String, Weight> map = new HashMap<>();
    boolean wide = List.of(types).stream().anyMatch(t -> t.blockElements() > 32);
    TinyModels.Shape shape =
        wide ? new TinyModels.Shape(256, 8, 512) : new TinyModels.Shape(64, 4, 96);
    TinyModels.weights(family, SEED, shape).forEach(w -> map.put(w.name(), w));
    return map;
  }

  /** Compares with the written weights, fused in the order of the parts. */
  private void check(PackedMatrix found, QuantType type, Map<String, Weight> all, String... parts) {
    float[][] rows = rows(found);
    int row = 0;
    for (String part : parts) {
      Weight w = all.get(part + ".weight");
      int columns = (int) w.shape()[1];
      byte[] encoded = BlockCodec.quantise(type, w.values());
      boolean exact =
          found.form() == PackedMatrix.Form.F32 || type.coding() == QuantType.Coding.EXACT;
      for (int i = 0; i < w.shape()[0]; i++, row++) {
        for (int k = 0; k < columns; k++) {
          float value = BlockCodec.element(type, encoded, i * columns + k);
          if (exact && rows[row][k] == value) continue;
          float tolerance = exact ? 0 : 2.0f * 6 / (float) Math.sqrt(columns) / 255;
          assertThat(rows[row][k])
              .as("%s[%d,%d], seed %d", part, i, k, SEED)
              .isCloseTo(value, offset(tolerance));
        }
      }
    }
    assertThat(found.rows()).isEqualTo(row);
  }

  private static void check(Tensor found, Map<String, Weight> all, String... parts) {
    int column = 0;
    for (String part : parts) {
      for (float value : all.get(part).values()) {
        assertThat(found.f32(0, column++)).as("%s, seed %d", part, SEED).isEqualTo(value);
      }
    }
    assertThat(found.columns()).isEqualTo(column);
  }

  private void check(Model model, Family family, QuantType type) {
    DecoderWeights weights = model.weights();
    Map<String, Weight> all = expected(family, type);
    check(weights.embedding(), type, all, "model.embed_tokens");
    check(weights.outputNorm(), all, "model.norm.weight");
    if (TinyModels.tied(family)) assertThat(weights.head()).isSameAs(weights.embedding());
    else check(weights.head(), type, all, "lm_head");
    assertThat(weights.layers()).hasSize(TinyModels.LAYERS);
    for (int i = 0; i < TinyModels.LAYERS; i++) {
      DecoderWeights.Layer layer = weights.layers().get(i);
      String p = "model.layers." + i + ".";
      String a = p + "self_attn.";
      check(layer.attentionNorm(), all, p + "input_layernorm.weight");
      check(layer.qkv(), type, all, a + "q_proj", a + "k_proj", a + "v_proj");
      check(layer.output(), type, all, a + "o_proj");
      check(layer.feedForwardNorm(), all, p + "post_attention_layernorm.weight");
      check(layer.gateUp(), type, all, p + "mlp.gate_proj", p + "mlp.up_proj");
      check(layer.down(), type, all, p + "mlp.down_proj");
      assertThat(layer.qkvBias() != null).isEqualTo(family == Family.QWEN2);
      if (layer.qkvBias() != null) {
        check(layer.qkvBias(), all, a + "q_proj.bias", a + "k_proj.bias", a + "v_proj.bias");
      }
      assertThat(layer.qNorm() != null).isEqualTo(family == Family.QWEN3);
      if (layer.qNorm() != null) {
        check(layer.qNorm(), all, a + "q_norm.weight");
        check(layer.kNorm(), all, a + "k_norm.weight");
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Family.class)
  void floatFormOfBothFormatsIsWhatWasWritten(Family family) throws IOException {
    Path gguf = TinyModels.write(folder.resolve("m.gguf"), family, SEED);
    Path hub = TinyModels.write(folder.resolve("hub"), family, SEED);
    for (Path path : List.of(gguf, hub, hub.resolve("model.safetensors"))) {
      try (Model model = Model.open(path, f32, options())) {
        check(model, family, QuantType.F32);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = QuantType.class,
      names = {"F32", "F16", "BF16"})
  void packedFormOfSafetensorsIsNearest(QuantType type) throws IOException {
    Path hub = TinyModels.write(folder.resolve("hub"), Family.QWEN3, SEED, type);
    try (Model model = Model.open(hub, int8, options())) {
      check(model, Family.QWEN3, type);
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = QuantType.class,
      names = {
        "F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"
      })
  void packedFormOfGgufIsExactWhereTheTypeAllows(QuantType type) throws IOException {
    for (Family family : Family.values()) {
      Path gguf = TinyModels.write(folder.resolve(family + ".gguf"), family, SEED, type);
      try (Model model = Model.open(gguf, int8, options())) {
        check(model, family, type);
      }
      try (Model model = Model.open(gguf, f32, options())) {
        check(model, family, type);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(value = Family.class, mode = EXCLUDE, names = "MISTRAL")
  void specsOfBothFormatsAgree(Family family) throws IOException {
    ModelSpec gguf = Model.spec(TinyModels.write(folder.resolve("m.gguf"), family, SEED));
    ModelSpec hub = Model.spec(TinyModels.write(folder.resolve("hub"), family, SEED));
    TextFacts none = new TextFacts(List.of(), -1, false, null, null);
    assertThat(with(hub, none)).isEqualTo(with(gguf, none));
    assertThat(gguf.text().eosIds()).containsExactly(TinyVocabulary.EOS);
    assertThat(hub.text().eosIds()).containsExactly(TinyVocabulary.EOS, 0);
    assertThat(hub.text().chatTemplate()).isEqualTo(gguf.text().chatTemplate());
    assertThat(hub.text().tokenizerJson()).isRegularFile();
    assertThat(gguf.text().tokenizerJson()).isNull();
  }

  private static ModelSpec with(ModelSpec s, TextFacts text) {
    return new ModelSpec(
        s.family(),
        s.layers(),
        s.hidden(),
        s.queryHeads(),
        s.kvHeads(),
        s.headDim(),
        s.feedForward(),
        s.vocabulary(),
        s.normEps(),
        s.contextLength(),
        s.rope(),
        s.qkvBias(),
        s.qkNorm(),
        s.tiedEmbeddings(),
        s.windows(),
        s.attentionScale(),
        text);
  }

  /** A real file has several types in one fused matrix. */
  @Test
  void partsOfOneMatrixMayHaveDifferentTypes() throws IOException {
    QuantType[] types = {QuantType.Q4_K, QuantType.Q6_K, QuantType.Q8_0, QuantType.Q5_0};
    Path gguf = TinyModels.write(folder.resolve("m.gguf"), Family.LLAMA, SEED, types);
    try (Model packed = Model.open(gguf, int8, options());
        Model floats = Model.open(gguf, f32, options())) {
      float[][] a = rows(packed.weights().layers().get(0).qkv());
      float[][] b = rows(floats.weights().layers().get(0).qkv());
      for (int i = 0; i < a.length; i++) {
        // q has Q6_K, which is rounded; k and v have exact types.
        if (i >= 256) assertThat(a[i]).as("row %d, seed %d", i, SEED).isEqualTo(b[i]);
        else assertThat(a[i]).containsExactly(b[i], offset(0.01f));
      }
    }
  }

  @Test
  void mistralKeepsItsWindowInBothFormats() throws IOException {
    for (String name : List.of("m.gguf", "hub")) {
      ModelSpec spec = Model.spec(TinyModels.write(folder.resolve(name), Family.MISTRAL, SEED));
      assertThat(spec.windows()).containsOnly(TinyModels.MISTRAL_WINDOW).hasSize(2);
    }
  }
}
