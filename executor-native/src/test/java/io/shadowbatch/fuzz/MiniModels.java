package io.shadowbatch.fuzz;

import io.shadowbatch.weights.GgufWriter;
import io.shadowbatch.weights.QuantType;

/** The smallest models that open: one layer, one head, five tokens, weights of zeros. */
final class MiniModels {
  static final int WIDTH = 32;
  static final String TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}";
  static final String[] TOKENS = {"<s>", "</s>", "a", "b", "ab"};

  private static final int BLOCK_BYTES = 18;

  private MiniModels() {}

  /** A GGUF file with a byte-level vocabulary. */
  static GgufWriter gguf(String arch) {
    GgufWriter writer = new GgufWriter();
    writer
        .put("general.architecture", arch)
        .put("general.alignment", 32)
        .put(arch + ".block_count", 1)
        .put(arch + ".context_length", 64)
        .put(arch + ".embedding_length", WIDTH)
        .put(arch + ".feed_forward_length", WIDTH)
        .put(arch + ".attention.head_count", 1)
        .put(arch + ".attention.head_count_kv", 1)
        .put(arch + ".attention.key_length", WIDTH)
        .put(arch + ".attention.layer_norm_rms_epsilon", 1e-5f)
        .put(arch + ".rope.freq_base", 10000f)
        .put(arch + ".rope.scaling.factor", 2f)
        .put("tokenizer.chat_template", TEMPLATE);
    vocabulary(writer, "gpt2");
    writer.put("tokenizer.ggml.pre", "smollm");
    writer.put("tokenizer.ggml.merges", new String[] {"a b"});
    weights(writer, arch);
    return writer;
  }

  /** The same with scored pieces, bytes of every array type, and longer keys. */
  static GgufWriter pieces() {
    GgufWriter writer = gguf("llama").remove("tokenizer.ggml.pre").remove("tokenizer.ggml.merges");
    vocabulary(writer, "llama");
    return writer
        .put("tokenizer.ggml.scores", new float[] {0, 0, -1, -2, -3})
        .put("tokenizer.ggml.add_space_prefix", false)
        .put("x.bytes", new byte[] {1, 2})
        .put("x.longs", new long[] {3, 4})
        .put("x.double", 0.5)
        .put("x.nested", new Object[] {new int[] {1}, new String[] {"y"}});
  }

  private static void vocabulary(GgufWriter writer, String model) {
    writer
        .put("tokenizer.ggml.model", model)
        .put("tokenizer.ggml.tokens", TOKENS)
        .put("tokenizer.ggml.token_type", new int[] {3, 3, 1, 1, 1})
        .put("tokenizer.ggml.bos_token_id", 0)
        .put("tokenizer.ggml.eos_token_id", 1)
        .put("tokenizer.ggml.add_bos_token", true);
  }

  private static void weights(GgufWriter writer, String arch) {
    matrix(writer, "token_embd", TOKENS.length);
    vector(writer, "output_norm.weight");
    for (String name : new String[] {"attn_norm", "ffn_norm"}) {
      vector(writer, "blk.0." + name + ".weight");
    }
    for (String name : new String[] {"attn_q", "attn_k", "attn_v"}) {
      matrix(writer, "blk.0." + name, WIDTH);
      if (arch.equals("qwen2")) vector(writer, "blk.0." + name + ".bias");
    }
    if (arch.equals("qwen3")) {
      vector(writer, "blk.0.attn_q_norm.weight");
      vector(writer, "blk.0.attn_k_norm.weight");
    }
    for (String name : new String[] {"attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
      matrix(writer, "blk.0." + name, WIDTH);
    }
  }

  private static void matrix(GgufWriter writer, String name, int rows) {
    writer.tensor(name + ".weight", QuantType.Q4_0, new byte[rows * BLOCK_BYTES], rows, WIDTH);
  }

  private static void vector(GgufWriter writer, String name) {
    writer.tensor(name, QuantType.F32, new byte[4 * WIDTH], WIDTH);
  }

  /** A config.json of the same model. */
  static String config(String family) {
    return """
        {"model_type":"%s","architectures":["XForCausalLM"],"hidden_act":"silu",\
        "hidden_size":32,"intermediate_size":32,"num_hidden_layers":1,"num_attention_heads":1,\
        "num_key_value_heads":1,"head_dim":32,"vocab_size":5,"max_position_embeddings":64,\
        "rms_norm_eps":1e-5,"rope_theta":1e4,"tie_word_embeddings":true,"sliding_window":null,\
        "rope_scaling":{"rope_type":"llama3","factor":2.0,"low_freq_factor":1,\
        "high_freq_factor":4.0,"original_max_position_embeddings":32},\
        "layer_types":["full_attention"],"bos_token_id":0,"eos_token_id":[1,2]}"""
        .formatted(family);
  }

  /** The header of its safetensors file: JSON without the length in front. */
  static String safetensors(String extra) {
    StringBuilder out = new StringBuilder("{\"__metadata__\":{\"format\":\"pt\"}");
    int at = 0;
    at = tensor(out, "model.embed_tokens.weight", at, TOKENS.length, WIDTH);
    at = tensor(out, "model.norm.weight", at, WIDTH);
    String layer = "model.layers.0.";
    at = tensor(out, layer + "input_layernorm.weight", at, WIDTH);
    at = tensor(out, layer + "post_attention_layernorm.weight", at, WIDTH);
    for (String name : new String[] {"q_proj", "k_proj", "v_proj", "o_proj"}) {
      at = tensor(out, layer + "self_attn." + name + ".weight", at, WIDTH, WIDTH);
    }
    for (String name : new String[] {"gate_proj", "up_proj", "down_proj"}) {
      at = tensor(out, layer + "mlp." + name + ".weight", at, WIDTH, WIDTH);
    }
    return out.append(extra).append('}').toString();
  }

  private static int tensor(StringBuilder out, String name, int at, int... shape) {
    int bytes = 2;
    for (int size : shape) bytes *= size;
    out.append(
        ",\"%s\":{\"dtype\":\"BF16\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
            .formatted(name, java.util.Arrays.toString(shape), at, at + bytes));
    return at + bytes;
  }

  /** A tokenizer.json of the same vocabulary. */
  static String tokenizer(String decoder) {
    return """
        {"version":"1.0","added_tokens":[{"id":0,"content":"<s>","single_word":false,\
        "lstrip":false,"rstrip":false,"normalized":false,"special":true},\
        {"id":1,"content":"</s>","single_word":false,"lstrip":false,"rstrip":false,\
        "normalized":true,"special":false}],\
        "normalizer":{"type":"NFC"},\
        "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":false,\
        "use_regex":true},\
        "decoder":%s,"model":{"type":"BPE","unk_token":null,"fuse_unk":false,\
        "byte_fallback":false,"vocab":{"<s>":0,"</s>":1,"a":2,"b":3,"ab":4},"merges":["a b"]}}"""
        .formatted(decoder);
  }
}
