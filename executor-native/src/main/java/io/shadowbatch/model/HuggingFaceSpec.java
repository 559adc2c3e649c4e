package io.shadowbatch.model;

import io.shadowbatch.weights.Metadata;
import io.shadowbatch.weights.ModelFileException;
import io.shadowbatch.weights.SafetensorsFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Reads the spec of a folder in the Hugging Face layout: config.json as transformers understands
 * it. Refuses what the decoder does not do, and defaults that differ between families.
 */
final class HuggingFaceSpec {
  private static final int SIZE_MAX = 1 << 20;
  private static final int LAYERS_MAX = 1024;
  private static final double ROPE_BASE_DEFAULT = 10000;

  private final SafetensorsFile file;
  private final Metadata config;
  private final Family family;

  HuggingFaceSpec(SafetensorsFile file) throws ModelFileException {
    this.file = file;
    this.config = file.metadata();
    this.family = Families.family(config, "model_type");
  }

  ModelHeader header() throws IOException {
    refuseVariants();
    try {
      return new ModelHeader(spec(), null);
    } catch (IllegalArgumentException e) {
      throw new ModelFileException(config.file(), e.getMessage());
    }
  }

  private ModelSpec spec() throws IOException {
    int layers = config.integer("num_hidden_layers", 1, LAYERS_MAX);
    int hidden = size("hidden_size");
    int heads = size("num_attention_heads");
    int headDim = config.integerOr("head_dim", 1, SIZE_MAX, hidden / heads);
    int vocabulary = config.integer("vocab_size", 1, 16 * SIZE_MAX);
    int kvHeads =
        family == Family.LLAMA
            ? config.integerOr("num_key_value_heads", 1, SIZE_MAX, heads)
            : size("num_key_value_heads");
    return new ModelSpec(
        family.fileName(),
        layers,
        hidden,
        heads,
        kvHeads,
        headDim,
        size("intermediate_size"),
        vocabulary,
        (float) config.number("rms_norm_eps"),
        config.integer("max_position_embeddings", 1, Integer.MAX_VALUE),
        rope(headDim),
        family == Family.QWEN2,
        family == Family.QWEN3,
        config.isTrue("tie_word_embeddings"),
        windows(layers),
        (float) (1 / Math.sqrt(headDim)),
        text(vocabulary));
  }

  private void refuseVariants() throws ModelFileException {
    String act = config.text("hidden_act");
    if (!act.equals("silu")) throw config.wrong("hidden_act", act, "silu");
    // Qwen2 has its three biases whatever this says, and transformers does not read it there.
    if (family != Family.QWEN2) refuseTrue("attention_bias");
    refuseTrue("mlp_bias");
    for (String key : List.of("num_experts", "num_local_experts")) {
      if (config.numberOr(key, 0) > 0) throw config.wrong(key, config.raw(key), "a dense model");
    }
    if (config.numberOr("partial_rotary_factor", 1) != 1) {
      throw config.wrong("partial_rotary_factor", config.raw("partial_rotary_factor"), "1");
    }
    for (String key : List.of("quantization_config", "dual_chunk_attention_config")) {
      if (config.has(key)) throw config.wrong(key, config.raw(key), "none: not supported");
    }
    if (config.has("architectures")) {
      for (String name : config.texts("architectures")) {
        if (!name.endsWith("ForCausalLM")) {
          throw config.wrong("architectures", name, "a name that ends in ForCausalLM");
        }
      }
    }
  }

  private void refuseTrue(String key) throws ModelFileException {
    if (config.isTrue(key)) throw config.wrong(key, true, "false");
  }

  private RopeSpec rope(int headDim) throws ModelFileException {
    // transformers 5 moved the base into rope_parameters; before it stood beside rope_scaling.
    String key = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
    Metadata scaling = config.object(key);
    double base = config.numberOr("rope_theta", ROPE_BASE_DEFAULT);
    if (scaling == null) return new RopeSpec(positive("rope_theta", base), headDim, none());
    base = positive("rope_theta", scaling.numberOr("rope_theta", base));
    if (scaling.numberOr("partial_rotary_factor", 1) != 1) {
      throw config.wrong(key, scaling.raw("partial_rotary_factor"), "partial_rotary_factor 1");
    }
    String type = scaling.textOr("rope_type", scaling.textOr("type", "default"));
    RopeScaling how =
        switch (type) {
          case "default" -> none();
          case "linear" -> new RopeScaling.Linear(positive("factor", scaling.number("factor")));
          case "llama3" -> llama3(scaling);
          default -> throw config.wrong(key, type, "a rope_type of default, linear or llama3");
        };
    return new RopeSpec(base, headDim, how);
  }

  private static RopeScaling none() {
    return new RopeScaling.None();
  }

  private RopeScaling llama3(Metadata scaling) throws ModelFileException {
    double low = positive("low_freq_factor", scaling.number("low_freq_factor"));
    double high = scaling.number("high_freq_factor");
    if (high <= low) throw config.wrong("high_freq_factor", high, "a number above " + low);
    return new RopeScaling.Llama3(
        positive("factor", scaling.number("factor")),
        low,
        high,
        scaling.integer("original_max_position_embeddings", 1, Integer.MAX_VALUE));
  }

  private int size(String key) throws ModelFileException {
    return config.integer(key, 1, SIZE_MAX);
  }

  private double positive(String key, double value) throws ModelFileException {
    if (value <= 0) throw config.wrong(key, value, "a number above 0");
    return value;
  }

  private List<Integer> windows(int layers) throws ModelFileException {
    int window = config.integerOr("sliding_window", 1, Integer.MAX_VALUE, 0);
    int from =
        switch (family) {
          case LLAMA -> layers;
          case MISTRAL -> {
            if (!config.keys().contains("sliding_window")) {
              throw new ModelFileException(
                  config.file(), "key sliding_window is missing, expected a number or null");
            }
            yield 0;
          }
          case QWEN2, QWEN3 -> firstWindowed(layers);
        };
    if (family == Family.LLAMA && window != 0) throw config.wrong("sliding_window", window, "null");
    List<Integer> result = new ArrayList<>();
    for (int i = 0; i < layers; i++) result.add(i < from ? 0 : window);
    checkLayerTypes(result);
    return result;
  }

  private int firstWindowed(int layers) throws ModelFileException {
    if (!config.isTrue("use_sliding_window")) return layers;
    return config.integer("max_window_layers", 0, Integer.MAX_VALUE);
  }

  /** Newer files also list each layer's kind of attention: it must say the same. */
  private void checkLayerTypes(List<Integer> windows) throws ModelFileException {
    if (!config.has("layer_types")) return;
    String[] types = config.texts("layer_types");
    List<String> expected =
        windows.stream().map(w -> w == 0 ? "full_attention" : "sliding_attention").toList();
    if (!expected.equals(List.of(types))) {
      throw config.wrong("layer_types", String.join(" ", types), String.join(" ", expected));
    }
  }

  private TextFacts text(int vocabulary) throws IOException {
    Path tokenizer = file.fileBeside("tokenizer.json");
    if (tokenizer == null) {
      throw new ModelFileException(file.path(), "holds no tokenizer.json, which is needed");
    }
    Metadata generation = file.beside("generation_config.json");
    Metadata tokens = file.beside("tokenizer_config.json");
    List<Integer> eos = List.of();
    if (generation != null) eos = generation.oneOrMore("eos_token_id", 0, vocabulary - 1);
    if (eos.isEmpty()) eos = config.oneOrMore("eos_token_id", 0, vocabulary - 1);
    List<Integer> bos = config.oneOrMore("bos_token_id", 0, vocabulary - 1);
    boolean addBos = tokens != null && tokens.isTrue("add_bos_token");
    return new TextFacts(
        eos, bos.isEmpty() ? -1 : bos.get(0), addBos, chatTemplate(tokens), tokenizer);
  }

  /** The template's own file, else the one of the tokenizer, which may be a list of named ones. */
  private String chatTemplate(Metadata tokens) throws IOException {
    String template = file.textBeside("chat_template.jinja");
    if (template != null) return template;
    if (tokens == null || !tokens.has("chat_template")) return null;
    if (!(tokens.raw("chat_template") instanceof List<?> list)) return tokens.text("chat_template");
    for (Object item : list) {
      if (item instanceof Map<?, ?> map
          && "default".equals(map.get("name"))
          && map.get("template") instanceof String s) {
        return s;
      }
    }
    return null;
  }
}
