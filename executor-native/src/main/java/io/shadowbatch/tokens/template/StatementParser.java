package io.shadowbatch.tokens.template;

import io.shadowbatch.tokens.template.Token.Kind;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Parses text, outputs and block tags. */
final class StatementParser {
  private static final int DEPTH_MAX = 100;
  private static final Set<String> CONSTANTS =
      Set.of("true", "True", "false", "False", "none", "None");

  private final TokenStream tokens;
  private final ExpressionParser expressions;
  private int depth;
  private int loops;

  private StatementParser(TokenStream tokens) {
    this.tokens = tokens;
    this.expressions = new ExpressionParser(tokens);
  }

  static List<Statement> parse(String source) {
    StatementParser parser = new StatementParser(new TokenStream(Lexer.tokens(source)));
    List<Statement> body = parser.body(Set.of());
    if (!parser.tokens.is(Kind.END)) {
      throw parser.tokens.unexpected("the end of the template");
    }
    return body;
  }

  /** Statements up to a block tag of one of the given names, whose name is then the next token. */
  private List<Statement> body(Set<String> ends) {
    if (++depth > DEPTH_MAX) {
      throw new TemplateException(tokens.line(), "blocks nested deeper than " + DEPTH_MAX);
    }
    List<Statement> out = new ArrayList<>();
    while (!tokens.is(Kind.END)) {
      if (tokens.is(Kind.DATA)) {
        out.add(Blocks.text(tokens.next().text()));
      } else if (tokens.is(Kind.OUTPUT_BEGIN)) {
        tokens.next();
        out.add(Blocks.output(expressions.tuple()));
        tokens.expect(Kind.OUTPUT_END, "'}}'");
      } else {
        int line = tokens.expect(Kind.BLOCK_BEGIN, "a block").line();
        if (tokens.is(Kind.NAME) && ends.contains(tokens.current().text())) {
          depth--;
          return out;
        }
        out.add(Blocks.at(line, statement(line)));
      }
    }
    if (!ends.isEmpty()) {
      throw tokens.unexpected("one of " + new java.util.TreeSet<>(ends));
    }
    depth--;
    return out;
  }

  private void endTag(String name) {
    if (!tokens.skipName(name)) {
      throw tokens.unexpected("'" + name + "'");
    }
    closeTag();
  }

  private void closeTag() {
    tokens.expect(Kind.BLOCK_END, "'%}'");
  }

  private Statement statement(int line) {
    Token name = tokens.expect(Kind.NAME, "a statement");
    return switch (name.text()) {
      case "if" -> {
        expressions.conditions++;
        Statement statement = ifStatement();
        expressions.conditions--;
        yield statement;
      }
      case "for" -> forStatement();
      case "set" -> setStatement();
      case "macro" -> macro();
      case "filter" -> filterBlock();
      case "break", "continue" -> jump(name);
      default ->
          throw new TemplateException(line, "statement '" + name.text() + "' is not supported");
    };
  }

  private Statement jump(Token name) {
    if (loops == 0) {
      throw new TemplateException(name.line(), "'" + name.text() + "' outside of a loop");
    }
    closeTag();
    Statement.Flow flow =
        name.text().equals("break") ? Statement.Flow.BREAK : Statement.Flow.CONTINUE;
    return run -> flow;
  }

  private Statement ifStatement() {
    List<Blocks.Branch> branches = new ArrayList<>();
    Expr test = expressions.tupleBeforeIf();
    closeTag();
    while (true) {
      branches.add(new Blocks.Branch(test, body(Set.of("elif", "else", "endif"))));
      if (tokens.skipName("elif")) {
        test = expressions.tupleBeforeIf();
        closeTag();
      } else if (tokens.skipName("else")) {
        closeTag();
        branches.add(new Blocks.Branch(Nodes.constant(true), body(Set.of("endif"))));
        endTag("endif");
        return Blocks.choose(branches);
      } else {
        endTag("endif");
        return Blocks.choose(branches);
      }
    }
  }

  private Statement forStatement() {
    int line = tokens.line();
    Blocks.Target target = target(false);
    if (!tokens.skipName("in")) {
      throw tokens.unexpected("'in'");
    }
    Expr iterable = expressions.tupleBeforeIf();
    Expr filter = tokens.skipName("if") ? expressions.expression() : null;
    if (tokens.isName("recursive")) {
      throw new TemplateException(line, "'recursive' loops are not supported");
    }
    closeTag();
    loops++;
    List<Statement> body = body(Set.of("else", "endfor"));
    loops--;
    List<Statement> otherwise = List.of();
    if (tokens.skipName("else")) {
      closeTag();
      otherwise = body(Set.of("endfor"));
    }
    endTag("endfor");
    return new ForLoop(line, target, iterable, filter, body, otherwise);
  }

  private Blocks.Target target(boolean fieldAllowed) {
    int line = tokens.line();
    if (fieldAllowed && tokens.is(Kind.NAME) && tokens.peek().isOperator(".")) {
      String name = tokens.next().text();
      tokens.next();
      return Blocks.field(line, name, tokens.expect(Kind.NAME, "a field name").text());
    }
    boolean parentheses = tokens.skipOperator("(");
    List<String> names = new ArrayList<>();
    boolean isTuple = false;
    while (tokens.is(Kind.NAME) && !(isTuple && tokens.isName("in"))) {
      names.add(assignable(tokens.next()));
      if (!tokens.skipOperator(",")) {
        break;
      }
      isTuple = true;
    }
    if (parentheses) {
      tokens.expectOperator(")");
    }
    if (names.isEmpty()) {
      throw tokens.unexpected("a name");
    }
    return isTuple ? Blocks.names(line, names) : Blocks.name(names.get(0));
  }

  private static String assignable(Token name) {
    if (CONSTANTS.contains(name.text())) {
      throw new TemplateException(name.line(), "cannot assign to '" + name.text() + "'");
    }
    return name.text();
  }

  private Statement setStatement() {
    Blocks.Target target = target(true);
    if (tokens.skipOperator("=")) {
      Expr value = expressions.tuple();
      closeTag();
      return Blocks.set(target, value);
    }
    Blocks.Captured captured = new Blocks.Captured();
    Expr value = filtersOf(captured);
    closeTag();
    captured.body = bodyWithoutJumps("endset");
    return Blocks.set(target, value);
  }

  private Expr filtersOf(Expr start) {
    Expr value = start;
    while (tokens.skipOperator("|")) {
      value = expressions.filter(value);
    }
    return value;
  }

  private List<Statement> bodyWithoutJumps(String end) {
    int outer = loops;
    loops = 0;
    List<Statement> body = body(Set.of(end));
    loops = outer;
    endTag(end);
    return body;
  }

  private Statement filterBlock() {
    Blocks.Captured captured = new Blocks.Captured();
    Expr value = filtersOf(expressions.filter(captured));
    closeTag();
    captured.body = bodyWithoutJumps("endfilter");
    return Blocks.output(value);
  }

  private Statement macro() {
    String name = tokens.expect(Kind.NAME, "a macro name").text();
    tokens.expectOperator("(");
    Map<String, Expr> parameters = new LinkedHashMap<>();
    boolean defaults = false;
    while (!tokens.skipOperator(")")) {
      if (!parameters.isEmpty()) {
        tokens.expectOperator(",");
      }
      Token parameter = tokens.expect(Kind.NAME, "a parameter name");
      Expr value = tokens.skipOperator("=") ? expressions.expression() : null;
      if (defaults && value == null) {
        throw new TemplateException(parameter.line(), "a plain parameter follows a default");
      }
      defaults |= value != null;
      if (parameters.containsKey(assignable(parameter))) {
        throw new TemplateException(
            parameter.line(), "parameter '" + parameter.text() + "' is given twice");
      }
      parameters.put(parameter.text(), value);
    }
    closeTag();
    List<Statement> body = bodyWithoutJumps("endmacro");
    return run -> {
      run.assign(name, new Macro(name, parameters, body, run.scope));
      return Statement.Flow.NEXT;
    };
  }
}
