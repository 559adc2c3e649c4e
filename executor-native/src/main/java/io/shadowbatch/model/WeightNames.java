package io.shadowbatch.model;

/**
 * What a file format calls the decoder's weights; {@code %d} is the layer.
 *
 * <p>All supported families use the same names within a format; those that a family lacks are
 * simply not asked for.
 */
record WeightNames(
    String embedding,
    String outputNorm,
    String head,
    String attentionNorm,
    String query,
    String key,
    String value,
    String queryNorm,
    String keyNorm,
    String output,
    String feedForwardNorm,
    String gate,
    String up,
    String down) {

  /** ggml's gguf-py, {@code TENSOR_NAMES}. */
  static final WeightNames GGUF =
      new WeightNames(
          "token_embd",
          "output_norm",
          "output",
          "blk.%d.attn_norm",
          "blk.%d.attn_q",
          "blk.%d.attn_k",
          "blk.%d.attn_v",
          "blk.%d.attn_q_norm",
          "blk.%d.attn_k_norm",
          "blk.%d.attn_output",
          "blk.%d.ffn_norm",
          "blk.%d.ffn_gate",
          "blk.%d.ffn_up",
          "blk.%d.ffn_down");

  /** The module names of transformers. */
  static final WeightNames HUGGING_FACE =
      new WeightNames(
          "model.embed_tokens",
          "model.norm",
          "lm_head",
          "model.layers.%d.input_layernorm",
          "model.layers.%d.self_attn.q_proj",
          "model.layers.%d.self_attn.k_proj",
          "model.layers.%d.self_attn.v_proj",
          "model.layers.%d.self_attn.q_norm",
          "model.layers.%d.self_attn.k_norm",
          "model.layers.%d.self_attn.o_proj",
          "model.layers.%d.post_attention_layernorm",
          "model.layers.%d.mlp.gate_proj",
          "model.layers.%d.mlp.up_proj",
          "model.layers.%d.mlp.down_proj");
}
