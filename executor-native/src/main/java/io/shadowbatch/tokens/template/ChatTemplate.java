package io.shadowbatch.tokens.template;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A chat template: renders messages to the text that a model was trained on.
 *
 * <p>Thread-safe. It evaluates a subset of Jinja with bounded steps, sizes and depth, and reaches
 * no Java object beyond the data it is given. It does not tokenise.
 */
public final class ChatTemplate {
  private static final int SOURCE_CHARS_MAX = 1 << 20;

  private final String source;
  private final List<Statement> body;
  private final TemplateLimits limits;

  private ChatTemplate(String source, List<Statement> body, TemplateLimits limits) {
    this.source = source;
    this.body = body;
    this.limits = limits;
  }

  /**
   * Parses a template.
   *
   * @throws TemplateException if it is malformed, longer than 1 Mi characters, or uses a statement,
   *     filter or test that is not supported
   */
  public static ChatTemplate parse(String source) {
    return parse(source, TemplateLimits.DEFAULT);
  }

  static ChatTemplate parse(String source, TemplateLimits limits) {
    if (source.length() > SOURCE_CHARS_MAX) {
      throw new TemplateException(
          0,
          "the source must be at most " + SOURCE_CHARS_MAX + " characters, got " + source.length());
    }
    return new ChatTemplate(source, StatementParser.parse(source), limits);
  }

  /**
   * Renders messages.
   *
   * @param messages maps with {@code role}, {@code content} and whatever else the template reads
   * @throws TemplateRaised if the template refuses the messages through {@code raise_exception}
   * @throws TemplateException if evaluation fails, meets something that is not supported, or passes
   *     a limit; its message holds no text of the messages
   */
  public String render(List<Map<String, Object>> messages, TemplateContext context) {
    Map<String, Object> variables = new HashMap<>(context.variables());
    variables.put("messages", messages);
    variables.replaceAll((name, value) -> Values.of(value, limits.depth()));
    Run run = new Run(source, limits, context.now().atZone(context.zone()), variables);
    try {
      Statement.all(body, run);
    } catch (StackOverflowError e) {
      throw run.fail("nested too deeply for this thread's stack");
    }
    return run.out.toString();
  }
}
