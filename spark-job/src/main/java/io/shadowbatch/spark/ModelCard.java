package io.shadowbatch.spark;

import java.io.Serializable;

/**
 * What the driver knows of the model from its header, shipped to the executors.
 *
 * @param location as the user wrote it
 * @param name last part of the location
 * @param fingerprint of the model's bytes
 * @param chatTemplate Jinja text, or null if the model has none
 * @param bosText text of the token that begins a prompt, or empty
 * @param eosText text of the token that ends a turn, or empty
 * @param contextTokens most tokens of prompt and completion
 * @param gpuWeightBytes of 16-bit matrices, as a GPU holds them
 * @param kvBytesPerToken of one token in all layers
 * @param sparseBytesPerToken of these, and of what is kept to choose by, those that stay on the
 *     device for a token of a prompt that is read in part; 0 where none is
 * @param keyWidth of a token's keys, all KV heads together
 * @param chunkTokens tokens that are picked together
 * @param window fewest positions that a layer sees; 0 if all see all
 */
record ModelCard(
    String location,
    String name,
    String fingerprint,
    String family,
    String chatTemplate,
    String bosText,
    String eosText,
    int contextTokens,
    long gpuWeightBytes,
    long kvBytesPerToken,
    double sparseBytesPerToken,
    int keyWidth,
    int chunkTokens,
    int window)
    implements Serializable {

  /** The same at another place. */
  ModelCard at(String other) {
    return new ModelCard(
        other,
        name,
        fingerprint,
        family,
        chatTemplate,
        bosText,
        eosText,
        contextTokens,
        gpuWeightBytes,
        kvBytesPerToken,
        sparseBytesPerToken,
        keyWidth,
        chunkTokens,
        window);
  }
}
