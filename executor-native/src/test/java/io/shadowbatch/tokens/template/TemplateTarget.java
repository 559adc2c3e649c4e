package io.shadowbatch.tokens.template;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.fuzz.FuzzTarget;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A chat template over one conversation, with a hundredth of the usual limits, so that a template
 * that uses them up costs little. No message of an error may hold what the conversation says.
 */
public final class TemplateTarget implements FuzzTarget {
  private static final String SECRET = "Zq7 Vx9";
  private static final int SEED_CHARS_MAX = 2000;
  private static final TemplateLimits LIMITS = new TemplateLimits(40_000, 1 << 17, 10_000, 300);
  private static final TemplateContext CONTEXT =
      TemplateContext.of("<s>", "</s>", Instant.parse("2024-07-05T09:03:07Z"), ZoneOffset.UTC);
  private static final List<Map<String, Object>> CHAT =
      List.of(
          Map.of("role", "system", "content", SECRET),
          Map.of("role", "user", "content", List.of(Map.of("type", "text", "text", SECRET))),
          Map.of("role", "assistant", "content", " " + SECRET, "n", 3, "f", 0.5, "b", true));
  private static final TemplateTarget ONE = new TemplateTarget();

  /** For Jazzer. */
  public static void fuzzerTestOneInput(byte[] input) {
    ONE.accepts(input);
  }

  @Override
  public List<byte[]> seeds() {
    List<byte[]> seeds = new ArrayList<>();
    try (InputStream in =
        TemplateTarget.class.getResourceAsStream("/golden/templates/templates.jsonl")) {
      for (String line : new String(in.readAllBytes(), StandardCharsets.UTF_8).split("\n")) {
        JsonNode template = new ObjectMapper().readTree(line).get("template");
        if (template == null || template.textValue().length() > SEED_CHARS_MAX) continue;
        byte[] seed = template.textValue().getBytes(StandardCharsets.UTF_8);
        if (accepts(seed)) seeds.add(seed);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return seeds;
  }

  @Override
  public boolean accepts(byte[] input) {
    String template = new String(input, StandardCharsets.UTF_8);
    try {
      ChatTemplate.parse(template, LIMITS).render(CHAT, CONTEXT);
      return true;
    } catch (TemplateException e) {
      // a template that says the same, which Jazzer guesses, may be quoted
      if (e.getMessage().contains(SECRET) && !template.contains(SECRET)) {
        throw new IllegalStateException("an error tells what a message says: " + e.getMessage(), e);
      }
      return false;
    }
  }
}
