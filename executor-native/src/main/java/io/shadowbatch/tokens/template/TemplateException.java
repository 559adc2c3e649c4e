package io.shadowbatch.tokens.template;

/** A template that is refused, or that failed while rendering; the message names line and cause. */
public class TemplateException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  TemplateException(int line, String message) {
    super("template line " + line + ": " + message);
  }
}
