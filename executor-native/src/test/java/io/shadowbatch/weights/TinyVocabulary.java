package io.shadowbatch.weights;

import java.util.ArrayList;
import java.util.List;

/** A byte-level BPE vocabulary of 300 tokens: 3 special, 256 bytes, 41 merges. */
public final class TinyVocabulary {
  public static final int SIZE = 300;
  public static final int EOS = 2;
  public static final int BOS = 1;
  public static final String CHAT_TEMPLATE =
      "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
          + "{{ message['content'] }}<|im_end|>\n{% endfor %}"
          + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  private static final List<String> SPECIAL =
      List.of("<|endoftext|>", "<|im_start|>", "<|im_end|>");
  private static final String PAIRS =
      "t h,th e,i n,a n,e r,o n,r e,\u0120 t,\u0120 a,\u0120 the,an d,in g,\u0120 and,o r,e n,"
          + "a t,e s,\u0120 s,\u0120 w,i s,o u,\u0120 b,i t,\u0120 c,s t,a l,l e,\u0120 o,"
          + "\u0120o f,l l,\u0120 p,r o,\u0120 f,i c,\u0120 m,e d,\u0120t o,v e,o w,a r,\u0120 d";

  private TinyVocabulary() {}

  /** The merges, each "left right". */
  public static String[] merges() {
    return PAIRS.split(",");
  }

  /** Texts of all tokens by id. */
  public static String[] tokens() {
    List<String> tokens = new ArrayList<>(SPECIAL);
    int moved = 0;
    List<String> late = new ArrayList<>();
    for (int b = 0; b < 256; b++) {
      boolean shown = b >= 33 && b <= 126 || b >= 161 && b <= 172 || b >= 174;
      if (shown) tokens.add(String.valueOf((char) b));
      else late.add(String.valueOf((char) (256 + moved++)));
    }
    tokens.addAll(late);
    for (String pair : merges()) tokens.add(pair.replace(" ", ""));
    return tokens.toArray(new String[0]);
  }

  /** Kinds of all tokens as GGUF has them: 3 control, 1 normal. */
  public static int[] types() {
    int[] types = new int[SIZE];
    for (int i = 0; i < SIZE; i++) types[i] = i < SPECIAL.size() ? 3 : 1;
    return types;
  }

  /** The same as a tokenizer.json. */
  public static String tokenizerJson() {
    StringBuilder vocabulary = new StringBuilder();
    String[] tokens = tokens();
    for (int i = 0; i < tokens.length; i++) {
      vocabulary.append(i == 0 ? "" : ",").append(quote(tokens[i])).append(':').append(i);
    }
    StringBuilder merges = new StringBuilder();
    for (String merge : merges()) {
      merges.append(merges.isEmpty() ? "" : ",").append(quote(merge));
    }
    StringBuilder added = new StringBuilder();
    for (int i = 0; i < SPECIAL.size(); i++) {
      added.append(i == 0 ? "" : ",");
      added.append(
          ("{\"id\":%d,\"content\":%s,\"single_word\":false,\"lstrip\":false,"
                  + "\"rstrip\":false,\"normalized\":false,\"special\":true}")
              .formatted(i, quote(SPECIAL.get(i))));
    }
    String byteLevel =
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
            + "\"use_regex\":true}";
    return ("{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[%s],"
            + "\"normalizer\":null,\"pre_tokenizer\":%s,\"post_processor\":null,\"decoder\":%s,"
            + "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
            + "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,"
            + "\"fuse_unk\":false,\"byte_fallback\":false,\"vocab\":{%s},\"merges\":[%s]}}")
        .formatted(added, byteLevel, byteLevel, vocabulary, merges);
  }

  static String quote(String text) {
    return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + '"';
  }
}
