package io.shadowbatch.eval;

import io.shadowbatch.engine.ModelText;
import io.shadowbatch.model.ModelHeader;
import io.shadowbatch.tokens.Tokenizer;
import io.shadowbatch.tokens.template.ChatTemplate;
import io.shadowbatch.tokens.template.TemplateContext;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;

/**
 * What a model's chat template writes around messages, as tokens: head, user's message, tail,
 * answer, next, user's message, tail. Joining tokens in place of text keeps every length exact.
 */
record ChatFrame(Tokenizer tokenizer, int[] head, int[] tail, int[] next) {
  private static final List<String> MARKS = List.of("FIRSTMARK", "SECONDMARK", "THIRDMARK");
  private static final String PLAIN = "FIRSTMARK\n\nAnswer: SECONDMARK\n\nTHIRDMARK\n\nAnswer: ";

  /** The frame of a model; of plain text if the model has no chat template. */
  static ChatFrame of(ModelHeader header) {
    Tokenizer tokenizer = ModelText.tokenizer(header);
    String source = header.spec().text().chatTemplate();
    String text = PLAIN;
    if (source != null) {
      List<Map<String, Object>> messages =
          List.of(
              Map.of("role", "user", "content", MARKS.get(0)),
              Map.of("role", "assistant", "content", MARKS.get(1)),
              Map.of("role", "user", "content", MARKS.get(2)));
      text = ChatTemplate.parse(source).render(messages, context(header, tokenizer));
    }
    int[] at = MARKS.stream().mapToInt(text::indexOf).toArray();
    if (at[0] < 0 || at[1] < at[0] || at[2] < at[1]) {
      throw new IllegalArgumentException(
          "the model's chat template changes its messages: '" + text + "'; use another model");
    }
    String head = text.substring(0, at[0]);
    String next = text.substring(at[1] + MARKS.get(1).length(), at[2]);
    String tail = text.substring(at[2] + MARKS.get(2).length());
    return new ChatFrame(
        tokenizer, tokenizer.encode(head), tokenizer.encode(tail), tokenizer.encode(next));
  }

  private static TemplateContext context(ModelHeader header, Tokenizer tokenizer) {
    int bos = header.spec().text().bosId();
    List<Integer> eos = header.spec().text().eosIds();
    return TemplateContext.of(
        bos < 0 ? null : special(tokenizer, bos),
        eos.isEmpty() ? null : special(tokenizer, eos.get(0)),
        Instant.EPOCH,
        ZoneOffset.UTC);
  }

  private static String special(Tokenizer tokenizer, int id) {
    return tokenizer.decodeWithSpecials(new int[] {id}, 0, 1);
  }

  /** Tokens of a text. */
  int[] encode(String text) {
    return tokenizer.encode(text);
  }
}
