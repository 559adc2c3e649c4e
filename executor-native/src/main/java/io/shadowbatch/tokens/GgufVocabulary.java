package io.shadowbatch.tokens;

/**
 * The {@code tokenizer.ggml.*} metadata of a GGUF file, as plain data.
 *
 * @param model {@code tokenizer.ggml.model}: {@code gpt2} (byte-level BPE) or {@code llama}
 *     (SentencePiece-style BPE)
 * @param pre {@code tokenizer.ggml.pre}, empty when the file has none; read for {@code gpt2} only
 * @param tokens the token texts, index = id
 * @param types the token types, index = id: 1 normal, 2 unknown, 3 control, 4 user defined, 5
 *     unused, 6 byte; empty means all normal
 * @param merges {@code "left right"} in rank order; empty for {@code llama}
 * @param scores the token scores, index = id; empty for {@code gpt2}
 * @param bosId beginning of sequence, or -1
 * @param eosId end of sequence, or -1
 * @param unkId unknown token, or -1
 * @param addBos whether {@link Tokenizer#encodeWithModelSpecials} begins with {@code bosId}
 * @param addEos whether {@link Tokenizer#encodeWithModelSpecials} ends with {@code eosId}
 * @param addSpacePrefix {@code tokenizer.ggml.add_space_prefix}; read for {@code llama} only
 * @param removeExtraWhitespaces {@code tokenizer.ggml.remove_extra_whitespaces}; refused when true
 */
public record GgufVocabulary(
    String model,
    String pre,
    String[] tokens,
    int[] types,
    String[] merges,
    float[] scores,
    int bosId,
    int eosId,
    int unkId,
    boolean addBos,
    boolean addEos,
    boolean addSpacePrefix,
    boolean removeExtraWhitespaces) {
  static final int NORMAL = 1;
  static final int UNKNOWN = 2;
  static final int CONTROL = 3;
  static final int USER_DEFINED = 4;
  static final int UNUSED = 5;
  static final int BYTE = 6;

  /**
   * Checks that the parts fit together.
   *
   * @throws TokenizerException if lengths differ or an id is out of range
   */
  public GgufVocabulary {
    if (types.length == 0) {
      types = new int[tokens.length];
      java.util.Arrays.fill(types, NORMAL);
    }
    if (types.length != tokens.length) {
      throw new TokenizerException(
          "vocabulary: expected " + tokens.length + " token types, got " + types.length);
    }
    checkId("bos", bosId, addBos, tokens.length);
    checkId("eos", eosId, addEos, tokens.length);
    checkId("unknown", unkId, false, tokens.length);
  }

  /**
   * What a file without {@code tokenizer.ggml.add_bos_token} means: SentencePiece-style models and
   * the Llama 3 and Tekken families begin with BOS, others do not.
   */
  public static boolean addsBosByDefault(String model, String pre) {
    return "llama".equals(model) || PreTokenizer.BOS_BY_DEFAULT.contains(pre);
  }

  private static void checkId(String what, int id, boolean needed, int size) {
    if (id < (needed ? 0 : -1) || id >= size) {
      throw new TokenizerException(
          "vocabulary: " + what + " id must be in [0, " + size + "), got " + id);
    }
  }
}
