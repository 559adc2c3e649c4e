package io.shadowbatch.tokens.template;

import io.shadowbatch.tokens.template.Token.Kind;
import java.util.List;

/** A place in the tokens of a template. */
final class TokenStream {
  private final List<Token> tokens;
  private int at;

  TokenStream(List<Token> tokens) {
    this.tokens = tokens;
  }

  Token current() {
    return tokens.get(at);
  }

  Token peek() {
    return tokens.get(Math.min(at + 1, tokens.size() - 1));
  }

  Token next() {
    Token token = tokens.get(at);
    if (at + 1 < tokens.size()) {
      at++;
    }
    return token;
  }

  void back() {
    at--;
  }

  int line() {
    return current().line();
  }

  boolean is(Kind kind) {
    return current().is(kind);
  }

  boolean isName(String name) {
    return current().isName(name);
  }

  boolean isOperator(String operator) {
    return current().isOperator(operator);
  }

  boolean skipName(String name) {
    boolean found = isName(name);
    if (found) {
      next();
    }
    return found;
  }

  boolean skipOperator(String operator) {
    boolean found = isOperator(operator);
    if (found) {
      next();
    }
    return found;
  }

  Token expect(Kind kind, String what) {
    if (!is(kind)) {
      throw unexpected(what);
    }
    return next();
  }

  void expectOperator(String operator) {
    if (!skipOperator(operator)) {
      throw unexpected("'" + operator + "'");
    }
  }

  TemplateException unexpected(String expected) {
    return new TemplateException(line(), "expected " + expected + ", got " + current().shown());
  }

  /** Whether a test without parentheses takes what follows as its argument. */
  boolean beginsTestArgument() {
    Token t = current();
    return switch (t.kind()) {
      case NAME -> !t.isName("else") && !t.isName("or") && !t.isName("and");
      case STRING, INTEGER, FLOAT -> true;
      default -> t.isOperator("[") || t.isOperator("{");
    };
  }
}
