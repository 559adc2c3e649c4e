package io.shadowbatch.engine;

import io.shadowbatch.model.ModelHeader;
import io.shadowbatch.tokens.GgufVocabulary;
import io.shadowbatch.tokens.Tokenizer;
import io.shadowbatch.weights.VocabularyFacts;

/** The tokenizer that a model's files describe. */
public final class ModelText {
  private ModelText() {}

  /**
   * Opens the tokenizer of a model.
   *
   * @throws io.shadowbatch.tokens.TokenizerException if it is of a kind that is not known
   */
  public static Tokenizer tokenizer(ModelHeader header) {
    VocabularyFacts v = header.vocabulary();
    if (v == null) return Tokenizer.open(header.spec().text().tokenizerJson());
    return Tokenizer.of(
        new GgufVocabulary(
            v.model(),
            v.pre() == null ? "" : v.pre(),
            v.tokens(),
            v.types() == null ? new int[0] : v.types(),
            v.merges() == null ? new String[0] : v.merges(),
            v.scores() == null ? new float[0] : v.scores(),
            v.bosId(),
            v.eosId(),
            v.unkId(),
            v.addBos(),
            v.addEos(),
            v.addSpacePrefix(),
            false));
  }
}
