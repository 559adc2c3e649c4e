package io.shadowbatch.model;

import io.shadowbatch.weights.VocabularyFacts;

/**
 * What is known of a model without reading weights.
 *
 * @param vocabulary the GGUF file's, or null if {@link TextFacts#tokenizerJson} is the tokenizer
 */
public record ModelHeader(ModelSpec spec, VocabularyFacts vocabulary) {}
