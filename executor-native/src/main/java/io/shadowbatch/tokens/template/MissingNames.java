package io.shadowbatch.tokens.template;

/** Filters and tests that do not exist: refused at once, or when reached inside a condition. */
final class MissingNames {
  private MissingNames() {}

  static Filter filter(Token name, boolean conditional) {
    TemplateException refusal = refusal(name, "filter", conditional);
    return (run, value, args) -> {
      throw refusal;
    };
  }

  static Test test(Token name, boolean conditional) {
    TemplateException refusal = refusal(name, "test", conditional);
    return (run, value, args) -> {
      throw refusal;
    };
  }

  private static TemplateException refusal(Token name, String kind, boolean conditional) {
    TemplateException e =
        new TemplateException(name.line(), kind + " '" + name.text() + "' is not supported");
    if (!conditional) {
      throw e;
    }
    return e;
  }
}
