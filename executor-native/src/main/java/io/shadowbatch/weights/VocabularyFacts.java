package io.shadowbatch.weights;

/**
 * The tokenizer of a GGUF file, as its {@code tokenizer.ggml} keys say; what to do with it is the
 * business of the tokens package.
 *
 * @param model kind of tokenizer: {@code gpt2} (byte-level BPE), {@code llama} (scored pieces), ..
 * @param pre name of the pre-tokenizer, or null
 * @param types kind of each token, or null
 * @param merges or null
 * @param scores of the tokens, or null
 * @param bosId -1 if there is none; so for eosId, unkId and padId
 */
public record VocabularyFacts(
    String model,
    String pre,
    String[] tokens,
    int[] types,
    String[] merges,
    float[] scores,
    int bosId,
    int eosId,
    int unkId,
    int padId,
    boolean addBos,
    boolean addEos,
    boolean addSpacePrefix) {

  private static final String PREFIX = "tokenizer.ggml.";

  /** Reads the vocabulary, or returns null if the file has none. */
  public static VocabularyFacts of(Metadata data) throws ModelFileException {
    if (!data.has(PREFIX + "model")) return null;
    String model = data.text(PREFIX + "model");
    String pre = data.textOr(PREFIX + "pre", null);
    String[] tokens = data.texts(PREFIX + "tokens");
    int[] types = data.integers(PREFIX + "token_type");
    float[] scores = data.floats(PREFIX + "scores");
    sameLength(data, "token_type", types == null ? tokens.length : types.length, tokens.length);
    sameLength(data, "scores", scores == null ? tokens.length : scores.length, tokens.length);
    boolean pieces = model.equals("llama");
    return new VocabularyFacts(
        model,
        pre,
        tokens,
        types,
        data.has(PREFIX + "merges") ? data.texts(PREFIX + "merges") : null,
        scores,
        id(data, "bos_token_id", tokens.length),
        id(data, "eos_token_id", tokens.length),
        id(data, "unknown_token_id", tokens.length),
        id(data, "padding_token_id", tokens.length),
        flag(data, "add_bos_token", pieces || isLlama3(pre)),
        flag(data, "add_eos_token", false),
        flag(data, "add_space_prefix", pieces));
  }

  /** Pre-tokenizers whose models begin every text with bos, when the file does not say. */
  private static boolean isLlama3(String pre) {
    return "llama-bpe".equals(pre) || "llama3".equals(pre) || "llama-v3".equals(pre);
  }

  /** The id under a key of the vocabulary, or -1. Some writers say "none" as 2^32 - 1. */
  public static int id(Metadata data, String key, int tokens) throws ModelFileException {
    Object value = data.raw(PREFIX + key);
    if (value instanceof Long n && (n == -1 || n == 0xffffffffL)) return -1;
    return data.integerOr(PREFIX + key, 0, tokens - 1, -1);
  }

  private static boolean flag(Metadata data, String key, boolean fallback)
      throws ModelFileException {
    return data.has(PREFIX + key) ? data.isTrue(PREFIX + key) : fallback;
  }

  private static void sameLength(Metadata data, String key, int found, int tokens)
      throws ModelFileException {
    if (found == tokens) return;
    throw data.wrong(PREFIX + key, found, "as many items as there are tokens: " + tokens);
  }
}
