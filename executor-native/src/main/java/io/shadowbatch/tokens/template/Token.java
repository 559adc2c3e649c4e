package io.shadowbatch.tokens.template;

/** One lexical unit of a template. */
record Token(Kind kind, String text, int line) {
  enum Kind {
    DATA,
    OUTPUT_BEGIN,
    OUTPUT_END,
    BLOCK_BEGIN,
    BLOCK_END,
    NAME,
    STRING,
    INTEGER,
    FLOAT,
    OPERATOR,
    END
  }

  boolean is(Kind other) {
    return kind == other;
  }

  boolean isName(String name) {
    return kind == Kind.NAME && text.equals(name);
  }

  boolean isOperator(String operator) {
    return kind == Kind.OPERATOR && text.equals(operator);
  }

  String shown() {
    return switch (kind) {
      case OUTPUT_END -> "'}}'";
      case BLOCK_END -> "'%}'";
      case END -> "end of template";
      case DATA -> "text";
      default -> "'" + text + "'";
    };
  }
}
