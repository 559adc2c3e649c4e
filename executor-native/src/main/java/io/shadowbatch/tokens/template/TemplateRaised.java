package io.shadowbatch.tokens.template;

/** The template itself refused the conversation through {@code raise_exception}. */
public final class TemplateRaised extends TemplateException {
  private static final long serialVersionUID = 1L;

  private final String reason;

  TemplateRaised(int line, String reason) {
    super(line, "raised: " + reason);
    this.reason = reason;
  }

  /** The text that the template gave. */
  public String reason() {
    return reason;
  }
}
