package io.shadowbatch.model;

import io.shadowbatch.weights.GgufFile;
import io.shadowbatch.weights.Metadata;
import io.shadowbatch.weights.ModelFileException;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.RowDecoder;
import io.shadowbatch.weights.TensorInfo;
import io.shadowbatch.weights.VocabularyFacts;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Reads the spec of a GGUF file (ggml's docs/gguf.md). Refuses what the decoder does not do. */
final class GgufSpec {
  /** Tensor with the divisors of the rotary frequencies, written for Llama 3.1 and later. */
  static final String ROPE_DIVISORS = "rope_freqs.weight";

  private static final int SIZE_MAX = 1 << 20;
  private static final int LAYERS_MAX = 1024;
  private static final double ROPE_BASE_DEFAULT = 10000;

  /** Keys that change the computation in ways the decoder does not follow, if not 0. */
  private static final List<String> REFUSED_UNLESS_ZERO =
      List.of(
          "expert_count",
          "expert_used_count",
          "attention.clamp_kqv",
          "attention.max_alibi_bias",
          "attn_logit_softcapping",
          "final_logit_softcapping",
          "attention.temperature_scale",
          "rope.scaling.yarn_log_multiplier");

  /** The same for keys that are neutral at 1. */
  private static final List<String> REFUSED_UNLESS_ONE =
      List.of("logit_scale", "embedding_scale", "residual_scale", "rope.scaling.attn_factor");

  private final GgufFile file;
  private final Metadata data;
  private final Family family;
  private final String prefix;

  GgufSpec(GgufFile file) throws ModelFileException {
    this.file = file;
    this.data = file.metadata();
    this.family = Families.family(data, "general.architecture");
    this.prefix = family.fileName() + ".";
  }

  ModelHeader header() throws IOException {
    refuseVariants();
    VocabularyFacts vocabulary = VocabularyFacts.of(data);
    if (vocabulary == null) throw new ModelFileException(file.path(), "holds no vocabulary");
    try {
      return new ModelHeader(spec(vocabulary), vocabulary);
    } catch (IllegalArgumentException e) {
      throw new ModelFileException(file.path(), e.getMessage());
    }
  }

  private ModelSpec spec(VocabularyFacts vocabulary) throws IOException {
    int layers = data.integer(prefix + "block_count", 1, LAYERS_MAX);
    int hidden = size("embedding_length");
    int heads = size("attention.head_count");
    int headDim = sizeOr("attention.key_length", hidden / heads);
    int window = data.integerOr(prefix + "attention.sliding_window", 0, Integer.MAX_VALUE, 0);
    double scale = data.numberOr(prefix + "attention.scale", 0);
    equal("attention.value_length", sizeOr("attention.value_length", headDim), headDim);
    equal("rope.dimension_count", sizeOr("rope.dimension_count", headDim), headDim);
    return new ModelSpec(
        family.fileName(),
        layers,
        hidden,
        heads,
        sizeOr("attention.head_count_kv", heads),
        headDim,
        size("feed_forward_length"),
        vocabularyRows(vocabulary),
        (float) data.number(prefix + "attention.layer_norm_rms_epsilon"),
        data.integer(prefix + "context_length", 1, Integer.MAX_VALUE),
        rope(headDim),
        hasBias(),
        family == Family.QWEN3,
        file.find("output.weight") == null,
        Collections.nCopies(layers, window),
        scale == 0 ? (float) (1 / Math.sqrt(headDim)) : (float) scale,
        text(vocabulary));
  }

  private void refuseVariants() throws ModelFileException {
    String type = data.textOr("general.type", "model");
    if (!type.equals("model")) throw data.wrong("general.type", type, "model");
    if (data.integerOr("split.count", 0, Integer.MAX_VALUE, 0) > 1) {
      throw data.wrong("split.count", data.raw("split.count"), "a model in one file");
    }
    for (String key : REFUSED_UNLESS_ZERO) refuseUnless(key, 0);
    for (String key : REFUSED_UNLESS_ONE) refuseUnless(key, 1);
    if (data.has(prefix + "attention.causal") && !data.isTrue(prefix + "attention.causal")) {
      throw data.wrong(prefix + "attention.causal", false, "true");
    }
    // Files converted from Meta's own release before GGUF settled on one order of rows.
    String layout = data.textOr(prefix + "tensor_data_layout", "Meta AI original pth");
    if (!layout.equals("Meta AI original pth")) {
      throw data.wrong(prefix + "tensor_data_layout", layout, "Meta AI original pth");
    }
  }

  private void refuseUnless(String key, double neutral) throws ModelFileException {
    if (data.numberOr(prefix + key, neutral) != neutral) {
      throw data.wrong(
          prefix + key,
          data.raw(prefix + key),
          "%s; other variants are not supported".formatted(neutral));
    }
  }

  private boolean hasBias() {
    return switch (family) {
      case QWEN2 -> true;
      case QWEN3 -> false;
      case LLAMA, MISTRAL -> file.find("blk.0.attn_q.bias") != null;
    };
  }

  private int vocabularyRows(VocabularyFacts vocabulary) throws ModelFileException {
    TensorInfo embedding = file.find("token_embd.weight");
    if (embedding == null) {
      throw new ModelFileException(file.path(), "tensor 'token_embd.weight' is missing");
    }
    if (embedding.rows() < vocabulary.tokens().length || embedding.rows() > 16 * SIZE_MAX) {
      throw new ModelFileException(
          file.path(),
          embedding.fileOffset(),
          "tensor 'token_embd.weight' has %d rows, expected one for each of %d tokens"
              .formatted(embedding.rows(), vocabulary.tokens().length));
    }
    return (int) embedding.rows();
  }

  private RopeSpec rope(int rotaryDim) throws IOException {
    double base = data.numberOr(prefix + "rope.freq_base", ROPE_BASE_DEFAULT);
    if (base <= 0) throw data.wrong(prefix + "rope.freq_base", base, "a number above 0");
    String type = data.textOr(prefix + "rope.scaling.type", "linear");
    if (!type.equals("linear") && !type.equals("none")) {
      throw data.wrong(prefix + "rope.scaling.type", type, "none or linear");
    }
    double factor = data.numberOr(prefix + "rope.scale_linear", 1);
    factor = data.numberOr(prefix + "rope.scaling.factor", factor);
    if (factor < 0) throw data.wrong(prefix + "rope.scaling.factor", factor, "0 or more");
    boolean linear = type.equals("linear") && factor != 0 && factor != 1;
    TensorInfo divisors = file.find(ROPE_DIVISORS);
    if (divisors == null) {
      return new RopeSpec(
          base, rotaryDim, linear ? new RopeScaling.Linear(factor) : new RopeScaling.None());
    }
    if (linear) {
      throw data.wrong(
          prefix + "rope.scaling.factor", factor, "none beside the tensor " + ROPE_DIVISORS);
    }
    return new RopeSpec(base, rotaryDim, divisors(divisors, rotaryDim / 2));
  }

  private RopeScaling divisors(TensorInfo tensor, int count) throws IOException {
    if (!tensor.shape().equals(List.of((long) count)) || tensor.type() != QuantType.F32) {
      throw new ModelFileException(
          file.path(),
          tensor.fileOffset(),
          "tensor '%s' is %s %s, expected F32 [%d]"
              .formatted(ROPE_DIVISORS, tensor.type(), tensor.shape(), count));
    }
    byte[] bytes = new byte[4 * count];
    float[] values = new float[count];
    file.readRows(tensor, 0, 1, bytes, 0);
    RowDecoder.floats(QuantType.F32, bytes, 0, count, null, values, 0);
    List<Float> result = new ArrayList<>();
    for (float value : values) {
      if (!(value > 0 && value < Float.POSITIVE_INFINITY)) {
        throw new ModelFileException(
            file.path(),
            tensor.fileOffset(),
            "tensor '%s' holds %s, expected numbers above 0".formatted(ROPE_DIVISORS, value));
      }
      result.add(value);
    }
    return new RopeScaling.Divisors(result);
  }

  private TextFacts text(VocabularyFacts vocabulary) throws ModelFileException {
    List<Integer> eos = new ArrayList<>();
    for (String key : List.of("eos_token_id", "eot_token_id", "eom_token_id")) {
      int id = VocabularyFacts.id(data, key, vocabulary.tokens().length);
      if (id >= 0 && !eos.contains(id)) eos.add(id);
    }
    String template = data.textOr("tokenizer.chat_template", null);
    return new TextFacts(eos, vocabulary.bosId(), vocabulary.addBos(), template, null);
  }

  private int size(String key) throws ModelFileException {
    return data.integer(prefix + key, 1, SIZE_MAX);
  }

  private int sizeOr(String key, int fallback) throws ModelFileException {
    return data.integerOr(prefix + key, 1, SIZE_MAX, fallback);
  }

  private void equal(String key, int found, int headDim) throws ModelFileException {
    if (found != headDim) {
      throw data.wrong(prefix + key, found, "%d, the width of a head".formatted(headDim));
    }
  }
}
