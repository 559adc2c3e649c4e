package io.shadowbatch.tokens;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * How the text is cut before the merges of a byte-level BPE run: what a {@code tokenizer.ggml.pre}
 * name stands for.
 *
 * @param splits patterns applied one after the other; each match and each gap becomes a piece
 * @param nfc whether text is brought to Unicode normal form C first
 * @param ignoreMerges whether a piece that is itself a token skips the merges
 */
record PreTokenizer(List<String> splits, boolean nfc, boolean ignoreMerges) {
  private static final String GPT2 =
      "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

  private static final String LLAMA3_HEAD =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";

  private static final String TAIL = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

  private static final String UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
  private static final String LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
  private static final String SUFFIX = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
  private static final String LEAD = "[^\\r\\n\\p{L}\\p{N}]?";

  /** Names whose files mean "add BOS" when they do not say. */
  static final Set<String> BOS_BY_DEFAULT = Set.of("llama3", "llama-v3", "llama-bpe", "tekken");

  private static final Map<String, PreTokenizer> KNOWN = known();

  private static Map<String, PreTokenizer> known() {
    Map<String, PreTokenizer> map = new TreeMap<>();
    // GPT-2, and Phi-2, which took its vocabulary over
    PreTokenizer gpt2 = new PreTokenizer(List.of(GPT2), false, false);
    map.put("gpt-2", gpt2);
    map.put("phi-2", gpt2);
    // StarCoder, Granite code (refact), SmolLM: every digit alone, then GPT-2
    PreTokenizer digits = new PreTokenizer(List.of("\\p{N}", GPT2), false, false);
    map.put("smollm", digits);
    map.put("starcoder", digits);
    map.put("refact", digits);
    // what GGUF writers call "default": punctuation, GPT-2 words, then digits in threes
    map.put("default", new PreTokenizer(defaultSplits(), false, false));
    // Llama 3: digits in threes, whole-piece lookup before merging
    PreTokenizer llama3 =
        new PreTokenizer(
            List.of(LLAMA3_HEAD + "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" + TAIL),
            false,
            true);
    map.put("llama3", llama3);
    map.put("llama-v3", llama3);
    map.put("llama-bpe", llama3);
    // Qwen 2, 2.5 and 3: every digit alone, NFC
    map.put(
        "qwen2",
        new PreTokenizer(
            List.of(LLAMA3_HEAD + "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" + TAIL), true, false));
    // o200k vocabularies (GPT-4o, gpt-oss): case-aware words with their contraction
    map.put("gpt-4o", new PreTokenizer(List.of(caseAware(SUFFIX, "\\p{N}{1,3}")), false, true));
    // Mistral Nemo and later (Tekken): case-aware words, every digit alone
    map.put("tekken", new PreTokenizer(List.of(caseAware("", "\\p{N}")), false, true));
    return map;
  }

  private static List<String> defaultSplits() {
    String words = GPT2.substring(0, GPT2.length() - "|\\s+".length());
    return List.of("[\\p{P}\\$\\+<=>\\^~\\|]+", words, "\\p{N}+", "[0-9][0-9][0-9]");
  }

  private static String caseAware(String suffix, String digits) {
    return LEAD
        + UPPER
        + "*"
        + LOWER
        + "+"
        + suffix
        + "|"
        + LEAD
        + UPPER
        + "+"
        + LOWER
        + "*"
        + suffix
        + "|"
        + digits
        + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|"
        + TAIL;
  }

  /**
   * The pre-tokenizer of that name.
   *
   * @throws TokenizerException if the name is not known: guessing would change token ids silently
   */
  static PreTokenizer of(String name) {
    PreTokenizer found = KNOWN.get(name);
    if (found == null) {
      throw new TokenizerException(
          "pre-tokenizer '" + name + "' is not known, expected one of " + KNOWN.keySet());
    }
    return found;
  }
}
