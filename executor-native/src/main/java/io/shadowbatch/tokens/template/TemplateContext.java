package io.shadowbatch.tokens.template;

import java.time.Instant;
import java.time.ZoneId;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What a chat template sees besides the messages.
 *
 * @param variables names such as {@code bos_token}, {@code tools} or {@code enable_thinking};
 *     values are maps, lists, strings, numbers, booleans or null
 * @param now what {@code strftime_now} shows; the job's time, so that all rows agree
 * @param zone the zone of that time
 */
public record TemplateContext(Map<String, Object> variables, Instant now, ZoneId zone) {
  /** Takes a copy of the variables. */
  public TemplateContext {
    variables = java.util.Collections.unmodifiableMap(new HashMap<>(variables));
  }

  /** A context with a generation prompt, without tools; a null token stays undefined. */
  public static TemplateContext of(String bosToken, String eosToken, Instant now, ZoneId zone) {
    Map<String, Object> variables = new HashMap<>();
    if (bosToken != null) {
      variables.put("bos_token", bosToken);
    }
    if (eosToken != null) {
      variables.put("eos_token", eosToken);
    }
    variables.put("add_generation_prompt", true);
    variables.put("tools", null);
    variables.put("documents", null);
    return new TemplateContext(variables, now, zone);
  }

  /** The same with one variable more, or another value for it. */
  public TemplateContext with(String name, Object value) {
    Map<String, Object> more = new HashMap<>(variables);
    more.put(name, value);
    return new TemplateContext(more, now, zone);
  }

  /** The same with tool descriptions, as the template's {@code tools}. */
  public TemplateContext withTools(List<Map<String, Object>> tools) {
    return with("tools", tools);
  }

  /** The same, ending after the last message. */
  public TemplateContext withoutGenerationPrompt() {
    return with("add_generation_prompt", false);
  }
}
