package io.shadowbatch.weights;

import io.shadowbatch.model.Family;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Complete models of every family that are small enough to write in a test: random weights, two
 * layers, a vocabulary of {@link TinyVocabulary}. The same family and seed give the same weights in
 * both formats.
 */
public final class TinyModels {
  public static final int LAYERS = 2;
  public static final int HEAD_DIM = 32;
  public static final int KV_HEADS = 2;
  public static final int CONTEXT = 512;
  public static final int MISTRAL_WINDOW = 24;

  private TinyModels() {}

  /** Sizes of a model; wide enough for super blocks if any type needs them. */
  public record Shape(int hidden, int queryHeads, int feedForward) {
    static Shape of(QuantType... types) {
      boolean wide = Arrays.stream(types).anyMatch(t -> t.blockElements() > 32);
      return wide ? new Shape(256, 8, 512) : new Shape(64, 4, 96);
    }
  }

  /** A tensor in the names and order of transformers. */
  public record Weight(String name, float[] values, long... shape) {}

  /**
   * Writes a model: a GGUF file if the path ends in .gguf, else a folder with safetensors.
   *
   * @param types of the matrices, in turn; none for F32
   */
  public static Path write(Path path, Family family, long seed, QuantType... types)
      throws IOException {
    if (path.toString().endsWith(".gguf")) return gguf(family, seed, types).write(path);
    Files.createDirectories(path);
    safetensors(family, seed, types).write(path.resolve("model.safetensors"));
    Files.writeString(path.resolve("config.json"), config(family, Shape.of(types)));
    Files.writeString(path.resolve("tokenizer.json"), TinyVocabulary.tokenizerJson());
    Files.writeString(
        path.resolve("tokenizer_config.json"),
        "{\"add_bos_token\":false,\"chat_template\":%s}"
            .formatted(TinyVocabulary.quote(TinyVocabulary.CHAT_TEMPLATE)));
    Files.writeString(path.resolve("generation_config.json"), "{\"eos_token_id\":[2,0]}");
    return path;
  }

  /** Whether a family's tiny model has no head of its own. */
  public static boolean tied(Family family) {
    return family == Family.LLAMA || family == Family.QWEN2;
  }

  /** Base of the rotary frequencies of a family's tiny model. */
  public static double ropeBase(Family family) {
    return family == Family.LLAMA ? 10000 : 1e6;
  }

  /** All weights of a model. */
  public static List<Weight> weights(Family family, long seed, Shape shape) {
    Random random = new Random(seed);
    List<Weight> list = new ArrayList<>();
    int hidden = shape.hidden;
    int queryWidth = shape.queryHeads * HEAD_DIM;
    int kvWidth = KV_HEADS * HEAD_DIM;
    list.add(matrix(random, "model.embed_tokens", TinyVocabulary.SIZE, hidden));
    for (int i = 0; i < LAYERS; i++) {
      String p = "model.layers." + i + ".";
      list.add(norm(random, p + "input_layernorm", hidden));
      list.add(matrix(random, p + "self_attn.q_proj", queryWidth, hidden));
      list.add(matrix(random, p + "self_attn.k_proj", kvWidth, hidden));
      list.add(matrix(random, p + "self_attn.v_proj", kvWidth, hidden));
      if (family == Family.QWEN2) {
        list.add(bias(random, p + "self_attn.q_proj", queryWidth));
        list.add(bias(random, p + "self_attn.k_proj", kvWidth));
        list.add(bias(random, p + "self_attn.v_proj", kvWidth));
      }
      if (family == Family.QWEN3) {
        list.add(norm(random, p + "self_attn.q_norm", HEAD_DIM));
        list.add(norm(random, p + "self_attn.k_norm", HEAD_DIM));
      }
      list.add(matrix(random, p + "self_attn.o_proj", hidden, queryWidth));
      list.add(norm(random, p + "post_attention_layernorm", hidden));
      list.add(matrix(random, p + "mlp.gate_proj", shape.feedForward, hidden));
      list.add(matrix(random, p + "mlp.up_proj", shape.feedForward, hidden));
      list.add(matrix(random, p + "mlp.down_proj", hidden, shape.feedForward));
    }
    list.add(norm(random, "model.norm", hidden));
    if (!tied(family)) list.add(matrix(random, "lm_head", TinyVocabulary.SIZE, hidden));
    return list;
  }

  /** The weights as a writer, to change before they are written. */
  public static SafetensorsWriter safetensors(Family family, long seed, QuantType... types) {
    SafetensorsWriter writer = new SafetensorsWriter();
    int matrices = 0;
    for (Weight w : weights(family, seed, Shape.of(types))) {
      QuantType type = w.shape.length == 1 ? QuantType.F32 : type(types, matrices++);
      writer.tensor(w.name, type, BlockCodec.quantise(type, w.values), w.shape);
    }
    return writer;
  }

  /** A GGUF file as a writer, to change before it is written. */
  public static GgufWriter gguf(Family family, long seed, QuantType... types) {
    Shape shape = Shape.of(types);
    GgufWriter writer = new GgufWriter();
    keys(writer, family, shape);
    int matrices = 0;
    for (Weight w : weights(family, seed, shape)) {
      QuantType type = w.shape.length == 1 ? QuantType.F32 : type(types, matrices++);
      float[] values = w.values;
      boolean turned = w.name.contains("q_proj") || w.name.contains("k_proj");
      if (turned && arch(family).equals("llama")) values = interleave(values, w.shape);
      writer.tensor(ggufName(w.name), type, BlockCodec.quantise(type, values), w.shape);
    }
    return writer;
  }

  private static void keys(GgufWriter writer, Family family, Shape shape) {
    String arch = arch(family);
    writer
        .put("general.architecture", arch)
        .put("general.name", "tiny " + arch)
        .put(arch + ".block_count", LAYERS)
        .put(arch + ".context_length", CONTEXT)
        .put(arch + ".embedding_length", shape.hidden)
        .put(arch + ".feed_forward_length", shape.feedForward)
        .put(arch + ".attention.head_count", shape.queryHeads)
        .put(arch + ".attention.head_count_kv", KV_HEADS)
        .put(arch + ".attention.key_length", HEAD_DIM)
        .put(arch + ".attention.value_length", HEAD_DIM)
        .put(arch + ".attention.layer_norm_rms_epsilon", 1e-5f)
        .put(arch + ".rope.freq_base", (float) ropeBase(family))
        .put(arch + ".rope.dimension_count", HEAD_DIM)
        .put("tokenizer.ggml.model", "gpt2")
        .put("tokenizer.ggml.pre", arch.startsWith("qwen") ? "qwen2" : "smollm")
        .put("tokenizer.ggml.tokens", TinyVocabulary.tokens())
        .put("tokenizer.ggml.token_type", TinyVocabulary.types())
        .put("tokenizer.ggml.merges", TinyVocabulary.merges())
        .put("tokenizer.ggml.bos_token_id", TinyVocabulary.BOS)
        .put("tokenizer.ggml.eos_token_id", TinyVocabulary.EOS)
        .put("tokenizer.ggml.add_bos_token", false)
        .put("tokenizer.chat_template", TinyVocabulary.CHAT_TEMPLATE);
    if (family == Family.MISTRAL) writer.put(arch + ".attention.sliding_window", MISTRAL_WINDOW);
  }

  /** Mistral models are published in GGUF as what their decoder is: llama. */
  private static String arch(Family family) {
    return family == Family.MISTRAL ? "llama" : family.fileName();
  }

  /** Row j * half + i of each head goes to row 2 i + j, as the converter to GGUF does. */
  private static float[] interleave(float[] values, long[] shape) {
    int width = shape.length == 1 ? 1 : (int) shape[1];
    float[] result = new float[values.length];
    for (int row = 0; row < shape[0]; row++) {
      int head = row / HEAD_DIM;
      int j = row % HEAD_DIM / (HEAD_DIM / 2);
      int i = row % (HEAD_DIM / 2);
      System.arraycopy(values, row * width, result, (head * HEAD_DIM + 2 * i + j) * width, width);
    }
    return result;
  }

  private static String ggufName(String name) {
    String[][] pairs = {
      {"model.embed_tokens", "token_embd"},
      {"model.layers", "blk"},
      {"model.norm", "output_norm"},
      {"lm_head", "output"},
      {"input_layernorm", "attn_norm"},
      {"post_attention_layernorm", "ffn_norm"},
      {"self_attn.q_proj", "attn_q"},
      {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},
      {"self_attn.q_norm", "attn_q_norm"},
      {"self_attn.k_norm", "attn_k_norm"},
      {"self_attn.o_proj", "attn_output"},
      {"mlp.gate_proj", "ffn_gate"},
      {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"}
    };
    for (String[] pair : pairs) name = name.replace(pair[0], pair[1]);
    return name;
  }

  /** The config.json of a family's tiny model as key to JSON text, to change before writing. */
  public static Map<String, String> configKeys(Family family, Shape shape) {
    Map<String, String> keys = new LinkedHashMap<>();
    keys.put("model_type", TinyVocabulary.quote(family.fileName()));
    keys.put("hidden_act", "\"silu\"");
    keys.put("hidden_size", "" + shape.hidden);
    keys.put("intermediate_size", "" + shape.feedForward);
    keys.put("num_hidden_layers", "" + LAYERS);
    keys.put("num_attention_heads", "" + shape.queryHeads);
    keys.put("num_key_value_heads", "" + KV_HEADS);
    keys.put("head_dim", "" + HEAD_DIM);
    keys.put("vocab_size", "" + TinyVocabulary.SIZE);
    keys.put("max_position_embeddings", "" + CONTEXT);
    keys.put("rms_norm_eps", "1e-05");
    keys.put("rope_theta", "" + ropeBase(family));
    keys.put("tie_word_embeddings", "" + tied(family));
    keys.put("sliding_window", family == Family.MISTRAL ? "" + MISTRAL_WINDOW : "null");
    keys.put("bos_token_id", "1");
    keys.put("eos_token_id", "2");
    return keys;
  }

  /** JSON text of keys. */
  public static String json(Map<String, String> keys) {
    List<String> parts = new ArrayList<>();
    keys.forEach((key, value) -> parts.add(TinyVocabulary.quote(key) + ":" + value));
    return "{" + String.join(",", parts) + "}";
  }

  private static String config(Family family, Shape shape) {
    return json(configKeys(family, shape));
  }

  private static QuantType type(QuantType[] types, int n) {
    return types.length == 0 ? QuantType.F32 : types[n % types.length];
  }

  private static Weight matrix(Random random, String name, int rows, int columns) {
    float[] values = new float[rows * columns];
    double size = 1 / Math.sqrt(columns);
    for (int i = 0; i < values.length; i++) values[i] = (float) (random.nextGaussian() * size);
    return new Weight(name + ".weight", values, rows, columns);
  }

  private static Weight norm(Random random, String name, int size) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) values[i] = (float) (1 + 0.1 * random.nextGaussian());
    return new Weight(name + ".weight", values, size);
  }

  private static Weight bias(Random random, String name, int size) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) values[i] = (float) (0.1 * random.nextGaussian());
    return new Weight(name + ".bias", values, size);
  }
}
