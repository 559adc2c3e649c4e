package io.shadowbatch.model;

import java.nio.file.Path;
import java.util.List;

/**
 * What a model's files say about text around the decoder: where the tokenizer is, which tokens are
 * special, how a chat becomes a prompt.
 *
 * @param eosIds tokens that end a completion; may be empty
 * @param bosId -1 if there is none
 * @param addBos whether prompts begin with bos
 * @param chatTemplate Jinja text, or null
 * @param tokenizerJson file with the tokenizer, or null if it is the GGUF file's vocabulary
 */
public record TextFacts(
    List<Integer> eosIds, int bosId, boolean addBos, String chatTemplate, Path tokenizerJson) {
  public TextFacts {
    eosIds = List.copyOf(eosIds);
  }
}
