package io.shadowbatch.tokens.template;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/**
 * Our output equals that of Python's jinja2, which {@code make_template_goldens.py} recorded. A
 * developer can add a file made from other templates: {@code -Dshadowbatch.templates=FILE}.
 */
class TemplateGoldenTest {
  private static final Instant NOW = Instant.parse("2024-07-05T09:03:07Z");
  private static final ObjectMapper JSON = new ObjectMapper();

  /** What jinja2 renders and we refuse, by name. */
  private static final List<String> REFUSED_ON_PURPOSE =
      List.of(
          "snippet 49 / tools", // the text of a sliced range
          "snippet 90 / tools"); // a dunder attribute, which jinja2 shows as nothing

  /** Random cases that may be refused: slices of numbers, which jinja2 folds to undefined. */
  private static final int FUZZ_REFUSED_MAX = 9;

  private final Map<String, Map<String, Object>> conversations = new LinkedHashMap<>();
  private final List<String> silent = new ArrayList<>();
  private final List<String> refused = new ArrayList<>();
  private final List<String> missed = new ArrayList<>();
  private int same;

  @Test
  void outputEqualsJinja() throws IOException {
    try (InputStream in =
        TemplateGoldenTest.class.getResourceAsStream("/golden/templates/templates.jsonl")) {
      check(new String(in.readAllBytes(), StandardCharsets.UTF_8));
    }
    report();
    assertThat(silent).as("rendered, but not as jinja2").isEmpty();
    assertThat(missed).as("rendered, where jinja2 fails").isEmpty();
    assertThat(refused.stream().filter(s -> !s.startsWith("fuzz")).map(s -> s.split(" \"")[0]))
        .as("refused, where jinja2 renders")
        .containsExactlyElementsOf(REFUSED_ON_PURPOSE);
    assertThat(refused).hasSizeLessThanOrEqualTo(REFUSED_ON_PURPOSE.size() + FUZZ_REFUSED_MAX);
    assertThat(same).isGreaterThan(600);
  }

  @Test
  void otherTemplatesOfADeveloperNeverDifferSilently() throws IOException {
    String file = System.getProperty("shadowbatch.templates");
    if (file == null) {
      System.out.println("skipped: no -Dshadowbatch.templates=FILE given");
      return;
    }
    check(Files.readString(Path.of(file)));
    report();
    assertThat(silent).as("rendered, but not as jinja2").isEmpty();
  }

  private void report() {
    System.out.println(
        "templates: "
            + same
            + " as jinja2, "
            + silent.size()
            + " different, "
            + refused.size()
            + " refused, "
            + missed.size()
            + " errors missed");
    silent.forEach(s -> System.out.println("DIFFERENT " + s));
    refused.forEach(s -> System.out.println("REFUSED " + s));
    missed.forEach(s -> System.out.println("MISSED " + s));
  }

  private void check(String lines) throws IOException {
    for (String line : lines.split("\n")) {
      JsonNode row = JSON.readTree(line);
      if (row.has("conversation")) {
        @SuppressWarnings("unchecked")
        Map<String, Object> variables = JSON.convertValue(row.get("variables"), Map.class);
        conversations.put(row.get("conversation").textValue(), variables);
        continue;
      }
      Iterator<Map.Entry<String, JsonNode>> expected = row.get("expected").fields();
      while (expected.hasNext()) {
        Map.Entry<String, JsonNode> entry = expected.next();
        checkOne(
            row.get("case").textValue() + " / " + entry.getKey(),
            row.get("template").textValue(),
            conversations.get(entry.getKey()),
            entry.getValue());
      }
    }
  }

  private void checkOne(
      String name, String template, Map<String, Object> variables, JsonNode expected) {
    String shown = template.length() > 300 ? "" : " " + JSON.valueToTree(template);
    String got;
    try {
      got = render(template, variables);
    } catch (TemplateRaised e) {
      if (e.reason().equals(expected.path("raised").textValue())) {
        same++;
      } else {
        refused.add(name + shown + " -> raised " + e.reason());
      }
      return;
    } catch (TemplateException e) {
      if (expected.isNull()) {
        same++;
      } else {
        refused.add(name + shown + " -> " + e.getMessage());
      }
      return;
    }
    if (expected.isTextual() && expected.textValue().equals(got)) {
      same++;
    } else if (expected.isTextual()) {
      silent.add(name + shown + "\n  want " + expected + "\n  got  " + JSON.valueToTree(got));
    } else {
      missed.add(name + shown + " -> " + JSON.valueToTree(got));
    }
  }

  private static String render(String template, Map<String, Object> variables) {
    Map<String, Object> rest = new HashMap<>(variables);
    @SuppressWarnings("unchecked")
    List<Map<String, Object>> messages = (List<Map<String, Object>>) rest.remove("messages");
    return ChatTemplate.parse(template)
        .render(messages, new TemplateContext(rest, NOW, ZoneOffset.UTC));
  }
}
