package io.shadowbatch.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.shadowbatch.weights.BlockCodec;
import io.shadowbatch.weights.GgufWriter;
import io.shadowbatch.weights.ModelFileException;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the decoder does not do is refused, with the reason; what it does is understood. */
class FamiliesTest {
  private static final TinyModels.Shape SHAPE = new TinyModels.Shape(64, 4, 96);

  @TempDir Path folder;

  private static GgufWriter llama() {
    return TinyModels.gguf(Family.LLAMA, 5);
  }

  private ModelSpec spec(GgufWriter writer) throws IOException {
    return Model.spec(writer.write(folder.resolve("m.gguf")));
  }

  private void refused(GgufWriter writer, String... parts) throws IOException {
    refused(writer.write(folder.resolve("m.gguf")), parts);
  }

  private void refused(Path path, String... parts) {
    assertThatThrownBy(() -> Model.spec(path))
        .isInstanceOf(ModelFileException.class)
        .hasMessageContaining(path.toString())
        .satisfies(e -> assertThat(e.getMessage()).contains(parts));
  }

  /** A folder whose config.json has one key changed; {@code value} is JSON, null to leave out. */
  private Path hub(Family family, String key, String value) throws IOException {
    Path hub = TinyModels.write(folder.resolve("hub" + family), family, 5);
    Map<String, String> keys = TinyModels.configKeys(family, SHAPE);
    if (value == null) keys.remove(key);
    else keys.put(key, value);
    Files.writeString(hub.resolve("config.json"), TinyModels.json(keys));
    return hub;
  }

  @Test
  void unknownFamiliesAreRefusedWithTheKnownOnes() throws IOException {
    String known = "one of the known families [llama, mistral, qwen2, qwen3]";
    refused(llama().put("general.architecture", "mamba"), "general.architecture is 'mamba'", known);
    refused(llama().put("general.architecture", "qwen2moe"), "'qwen2moe'", known);
    refused(hub(Family.LLAMA, "model_type", "\"gpt_neox\""), "model_type is 'gpt_neox'", known);
    refused(folder.resolve("nothing"), "is not there");
  }

  @Test
  void ggufVariantsAreRefused() throws IOException {
    refused(llama().put("llama.expert_count", 8), "llama.expert_count is 8");
    refused(llama().put("llama.rope.dimension_count", 16), "llama.rope.dimension_count is 16");
    refused(llama().put("llama.attention.value_length", 64), "value_length is 64, expected 32");
    refused(llama().put("llama.rope.scaling.type", "yarn"), "'yarn', expected none or linear");
    refused(llama().put("llama.attention.head_count_kv", new int[] {2, 2}), "is a list");
    refused(llama().put("llama.attention.head_count_kv", 3), "4 query heads");
    refused(llama().put("llama.attention.key_length", 0), "key_length is 0");
    refused(llama().put("llama.residual_scale", 0.5f), "residual_scale");
    refused(llama().put("split.count", 2), "split.count is 2");
    refused(llama().put("general.type", "adapter"), "'adapter'");
    refused(llama().put("llama.block_count", 1), "'blk.1.attn_norm.weight' has no place");
    refused(llama().put("llama.block_count", 3), "'blk.2.attn_norm.weight' is missing");
    refused(llama().put("llama.block_count", 1 << 30), "llama.block_count is 1073741824");
    refused(llama().put("llama.embedding_length", 32), "has shape [300, 64], expected [300, 32]");
    refused(llama().remove("tokenizer.ggml.model"), "no vocabulary");
    refused(llama().remove("llama.attention.layer_norm_rms_epsilon"), "rms_epsilon is missing");
    refused(llama().put("tokenizer.ggml.eos_token_id", 300), "eos_token_id is 300");
    byte[] bias = new byte[4 * 64];
    refused(llama().tensor("blk.0.attn_output.bias", QuantType.F32, bias, 64), "has no place");
    refused(llama().removeTensor("blk.1.ffn_up.weight"), "'blk.1.ffn_up.weight' is missing");
  }

  @Test
  void vectorLimitsOfTheKernelsAreNamed() throws IOException {
    GgufWriter odd =
        llama()
            .put("llama.attention.key_length", 48)
            .put("llama.attention.value_length", 48)
            .put("llama.rope.dimension_count", 48);
    refused(odd, "rotaryDim 48, expected a multiple of 32");
    refused(llama().put("llama.feed_forward_length", 100), "feedForward 100, expected a multiple");
    refused(hub(Family.QWEN3, "head_dim", "512"), "headDim 512, expected at most 256");
    refused(hub(Family.QWEN3, "hidden_size", "72"), "hidden 72, expected a multiple of 32");
  }

  @Test
  void hubVariantsAreRefused() throws IOException {
    refused(hub(Family.LLAMA, "attention_bias", "true"), "attention_bias is true, expected false");
    refused(hub(Family.LLAMA, "mlp_bias", "true"), "mlp_bias");
    refused(hub(Family.LLAMA, "hidden_act", "\"gelu\""), "hidden_act is 'gelu', expected silu");
    refused(hub(Family.LLAMA, "partial_rotary_factor", "0.5"), "partial_rotary_factor");
    refused(hub(Family.LLAMA, "rope_scaling", "{\"rope_type\":\"yarn\"}"), "'yarn'");
    refused(hub(Family.LLAMA, "rope_scaling", "{\"type\":\"dynamic\"}"), "'dynamic'");
    refused(hub(Family.LLAMA, "rope_scaling", "[]"), "rope_scaling is a list");
    refused(hub(Family.LLAMA, "sliding_window", "9"), "sliding_window is 9");
    refused(hub(Family.LLAMA, "quantization_config", "{}"), "quantization_config");
    refused(hub(Family.LLAMA, "architectures", "[\"LlamaForTokenClassification\"]"), "ForCausalLM");
    refused(hub(Family.LLAMA, "tie_word_embeddings", "false"), "'lm_head.weight' is missing");
    refused(hub(Family.MISTRAL, "sliding_window", null), "sliding_window is missing");
    refused(hub(Family.QWEN2, "dual_chunk_attention_config", "{}"), "dual_chunk");
    refused(hub(Family.QWEN2, "num_key_value_heads", null), "num_key_value_heads is missing");
    refused(hub(Family.QWEN3, "num_experts", "4"), "num_experts is 4");
    refused(
        hub(Family.QWEN3, "layer_types", "[\"full_attention\",\"sliding_attention\"]"), "layer");
    refused(hub(Family.QWEN3, "rms_norm_eps", "NaN"), "rms_norm_eps is NaN");
    Path hub = hub(Family.QWEN3, "vocab_size", "300");
    Files.delete(hub.resolve("tokenizer.json"));
    refused(hub, "tokenizer.json");
  }

  @Test
  void qwenWindowsStartAtTheirLayer() throws IOException {
    Path hub = hub(Family.QWEN2, "use_sliding_window", "true");
    Map<String, String> keys = TinyModels.configKeys(Family.QWEN2, SHAPE);
    keys.put("use_sliding_window", "true");
    keys.put("max_window_layers", "1");
    keys.put("sliding_window", "40");
    Files.writeString(hub.resolve("config.json"), TinyModels.json(keys));
    assertThat(Model.spec(hub).windows()).containsExactly(0, 40);
    keys.put("use_sliding_window", "false");
    Files.writeString(hub.resolve("config.json"), TinyModels.json(keys));
    assertThat(Model.spec(hub).windows()).containsExactly(0, 0);
  }

  @Test
  void mistralWithoutWindowSeesAll() throws IOException {
    assertThat(Model.spec(hub(Family.MISTRAL, "sliding_window", "null")).windows())
        .containsExactly(0, 0);
  }

  /** Against the published procedure, written out again by wavelengths. */
  @Test
  void llama3ScalingIsThePublishedOne() throws IOException {
    String scaling =
        "{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
            + "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}";
    RopeSpec rope = Model.spec(hub(Family.LLAMA, "rope_scaling", scaling)).rope();
    assertThat(rope.scaling()).isEqualTo(new RopeScaling.Llama3(8, 1, 4, 8192));
    double[] found = new RopeSpec(500000, 128, rope.scaling()).frequencies();
    assertThat(found).hasSize(64);
    int kept = 0;
    int divided = 0;
    for (int i = 0; i < 64; i++) {
      double plain = 1 / Math.pow(500000, i / 64.0);
      double wavelength = 2 * Math.PI / plain;
      double smooth = (8192 / wavelength - 1) / (4 - 1);
      double expected = (1 - smooth) * plain / 8 + smooth * plain;
      if (wavelength < 8192 / 4.0) expected = plain;
      if (wavelength > 8192 / 1.0) expected = plain / 8;
      if (expected == plain) kept++;
      if (expected == plain / 8) divided++;
      assertThat(found[i]).as("pair %d", i).isCloseTo(expected, within(expected * 1e-12));
    }
    assertThat(kept).isBetween(20, 40);
    assertThat(divided).isBetween(20, 40);
  }

  @Test
  void otherScalingsAreUnderstood() throws IOException {
    String linear = "{\"type\":\"linear\",\"factor\":4.0}";
    RopeSpec rope = Model.spec(hub(Family.LLAMA, "rope_scaling", linear)).rope();
    assertThat(rope.scaling()).isEqualTo(new RopeScaling.Linear(4));
    assertThat(rope.frequencies()[0]).isEqualTo(0.25);
    String parameters = "{\"rope_type\":\"default\",\"rope_theta\":77.0}";
    rope = Model.spec(hub(Family.LLAMA, "rope_parameters", parameters)).rope();
    assertThat(rope).isEqualTo(new RopeSpec(77, 32, new RopeScaling.None()));
    GgufWriter factor = llama().put("llama.rope.scaling.type", "linear");
    rope = spec(factor.put("llama.rope.scaling.factor", 2f)).rope();
    assertThat(rope.scaling()).isEqualTo(new RopeScaling.Linear(2));
  }

  @Test
  void ggufDivisorsAreUsed() throws IOException {
    float[] divisors = new float[16];
    for (int i = 0; i < 16; i++) divisors[i] = 1 + i;
    byte[] data = BlockCodec.quantise(QuantType.F32, divisors);
    double[] found =
        spec(llama().tensor("rope_freqs.weight", QuantType.F32, data, 16)).rope().frequencies();
    double[] plain = spec(llama()).rope().frequencies();
    for (int i = 0; i < 16; i++) assertThat(found[i]).isEqualTo(plain[i] / (1 + i));
    refused(llama().tensor("rope_freqs.weight", QuantType.F32, new byte[64], 16), "holds 0.0");
    refused(
        llama().tensor("rope_freqs.weight", QuantType.F32, new byte[32], 8), "expected F32 [16]");
  }

  @Test
  void llamaFilesMayHaveQkvBiases() throws IOException {
    GgufWriter writer = llama();
    for (int i = 0; i < 2; i++) {
      writer.tensor("blk." + i + ".attn_q.bias", QuantType.F32, new byte[4 * 128], 128);
      writer.tensor("blk." + i + ".attn_k.bias", QuantType.F32, new byte[4 * 64], 64);
      writer.tensor("blk." + i + ".attn_v.bias", QuantType.F32, new byte[4 * 64], 64);
    }
    assertThat(spec(writer).qkvBias()).isTrue();
  }

  @Test
  void chatTemplateIsFoundWhereverItIs() throws IOException {
    Path hub = TinyModels.write(folder.resolve("hub"), Family.LLAMA, 5);
    Files.writeString(
        hub.resolve("tokenizer_config.json"),
        "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"t\"},"
            + "{\"name\":\"default\",\"template\":\"d\"}]}");
    assertThat(Model.spec(hub).text().chatTemplate()).isEqualTo("d");
    Files.writeString(hub.resolve("chat_template.jinja"), "own file");
    assertThat(Model.spec(hub).text().chatTemplate()).isEqualTo("own file");
    Files.write(hub.resolve("chat_template.jinja"), new byte[] {(byte) 0xff, 'x'});
    refused(hub, "chat_template.jinja", "no UTF-8");
  }
}
