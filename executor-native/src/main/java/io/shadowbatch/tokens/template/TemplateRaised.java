package io.shadowbatch.tokens.template;

/**
 * The template itself refused the conversation through {@code raise_exception}. The message quotes
 * the reason only if all of it stands in the template.
 */
public final class TemplateRaised extends TemplateException {
  private static final long serialVersionUID = 1L;

  private final String reason;

  TemplateRaised(int line, String reason, String shown) {
    super(line, "raised: " + shown);
    this.reason = reason;
  }

  /** The text that the template gave; it may hold what the conversation says. */
  public String reason() {
    return reason;
  }
}
