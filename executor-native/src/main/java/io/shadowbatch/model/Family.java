package io.shadowbatch.model;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** The model families whose decoder is known. What they differ in is in {@link ModelSpec}. */
public enum Family {
  /** Llama 1 to 3.2, SmolLM2; in GGUF files Mistral too, which is the same decoder. */
  LLAMA,
  /** Mistral 7B, Nemo: a window over the keys in v0.1. */
  MISTRAL,
  /** Qwen2, Qwen2.5: biases of query, key and value. */
  QWEN2,
  /** Qwen3: query and key heads are normed. */
  QWEN3;

  /** The name in files: {@code general.architecture} and {@code model_type}. */
  public String fileName() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The names of all families. */
  static List<String> fileNames() {
    return Arrays.stream(values()).map(Family::fileName).toList();
  }
}
