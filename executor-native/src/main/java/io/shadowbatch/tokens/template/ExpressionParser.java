package io.shadowbatch.tokens.template;

import io.shadowbatch.tokens.template.Nodes.Call;
import io.shadowbatch.tokens.template.Token.Kind;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Parses expressions by Jinja's own precedence. */
final class ExpressionParser {
  private static final int DEPTH_MAX = 100;
  private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");
  private static final Set<String> REFUSED_NAMES =
      Set.of("varargs", "kwargs", "caller", "self", "super");

  private final TokenStream tokens;
  private int depth;
  int conditions; // above 0 inside an 'if': unknown filters and tests fail when reached

  ExpressionParser(TokenStream tokens) {
    this.tokens = tokens;
  }

  /** One expression, or several with commas, which make a tuple. */
  Expr tuple() {
    return tuple(true, false);
  }

  /** As {@link #tuple}, where a following {@code if} belongs to the statement. */
  Expr tupleBeforeIf() {
    return tuple(false, false);
  }

  private Expr tuple(boolean withIf, boolean inParentheses) {
    int line = tokens.line();
    List<Expr> items = new ArrayList<>();
    boolean isTuple = false;
    while (true) {
      if (tokens.is(Kind.OUTPUT_END) || tokens.is(Kind.BLOCK_END) || tokens.isOperator(")")) {
        break;
      }
      items.add(withIf ? expression() : or());
      if (!tokens.skipOperator(",")) {
        break;
      }
      isTuple = true;
    }
    if (!isTuple && items.size() == 1) {
      return items.get(0);
    }
    if (items.isEmpty() && !inParentheses) {
      throw tokens.unexpected("an expression");
    }
    return Nodes.at(line, Nodes.tuple(items));
  }

  private void enter() {
    if (++depth > DEPTH_MAX) {
      throw new TemplateException(tokens.line(), "expression nested deeper than " + DEPTH_MAX);
    }
  }

  Expr expression() {
    enter();
    int line = tokens.line();
    Expr value = or();
    while (tokens.skipName("if")) {
      Expr test = or();
      Expr no = tokens.skipName("else") ? expression() : null;
      value = Nodes.at(line, Nodes.condition(test, value, no));
    }
    depth--;
    return value;
  }

  private Expr or() {
    int line = tokens.line();
    Expr left = and();
    while (tokens.skipName("or")) {
      left = Nodes.at(line, Nodes.or(left, and()));
    }
    return left;
  }

  private Expr and() {
    int line = tokens.line();
    Expr left = not();
    while (tokens.skipName("and")) {
      left = Nodes.at(line, Nodes.and(left, not()));
    }
    return left;
  }

  private Expr not() {
    if (!tokens.isName("not")) {
      return comparison();
    }
    enter();
    int line = tokens.line();
    tokens.next();
    Expr inner = Nodes.at(line, Nodes.not(not()));
    depth--;
    return inner;
  }

  private Expr comparison() {
    int line = tokens.line();
    Expr first = sum();
    List<Nodes.Comparison> rest = new ArrayList<>();
    while (true) {
      if (tokens.is(Kind.OPERATOR) && COMPARISONS.contains(tokens.current().text())) {
        String operator = tokens.next().text();
        rest.add(new Nodes.Comparison(operator, sum()));
      } else if (tokens.skipName("in")) {
        rest.add(new Nodes.Comparison("in", sum()));
      } else if (tokens.isName("not") && tokens.peek().isName("in")) {
        tokens.next();
        tokens.next();
        rest.add(new Nodes.Comparison("not in", sum()));
      } else {
        return rest.isEmpty() ? first : Nodes.at(line, Nodes.compare(first, rest));
      }
    }
  }

  private Expr sum() {
    int line = tokens.line();
    Expr left = concat();
    while (tokens.isOperator("+") || tokens.isOperator("-")) {
      String operator = tokens.next().text();
      left = Nodes.at(line, Nodes.binary(operator, left, concat()));
    }
    return left;
  }

  private Expr concat() {
    int line = tokens.line();
    Expr first = product();
    if (!tokens.isOperator("~")) {
      return first;
    }
    List<Expr> parts = new ArrayList<>(List.of(first));
    while (tokens.skipOperator("~")) {
      parts.add(product());
    }
    return Nodes.at(line, Nodes.concat(parts));
  }

  private Expr product() {
    int line = tokens.line();
    Expr left = power();
    while (tokens.isOperator("*")
        || tokens.isOperator("/")
        || tokens.isOperator("//")
        || tokens.isOperator("%")) {
      String operator = tokens.next().text();
      left = Nodes.at(line, Nodes.binary(operator, left, power()));
    }
    return left;
  }

  private Expr power() {
    int line = tokens.line();
    Expr left = unary(true);
    while (tokens.skipOperator("**")) {
      left = Nodes.at(line, Nodes.binary("**", left, unary(true)));
    }
    return left;
  }

  private Expr unary(boolean withFilters) {
    enter();
    int line = tokens.line();
    Expr node;
    if (tokens.isOperator("-") || tokens.isOperator("+")) {
      boolean negative = tokens.next().text().equals("-");
      node = Nodes.at(line, Nodes.signed(negative, unary(false)));
    } else {
      node = primary();
    }
    node = postfix(node);
    if (withFilters) {
      node = filters(node);
    }
    depth--;
    return node;
  }

  private Expr primary() {
    Token token = tokens.next();
    int line = token.line();
    switch (token.kind()) {
      case NAME:
        return name(token);
      case STRING:
        StringBuilder text = new StringBuilder(token.text());
        while (tokens.is(Kind.STRING)) {
          text.append(tokens.next().text());
        }
        return Nodes.constant(text.toString());
      case INTEGER:
        try {
          return Nodes.constant(Long.parseLong(token.text()));
        } catch (NumberFormatException e) {
          throw new TemplateException(line, "integer out of 64 bits: " + token.text());
        }
      case FLOAT:
        return Nodes.constant(Double.valueOf(token.text()));
      default:
        break;
    }
    if (token.isOperator("(")) {
      Expr inner = tuple(true, true);
      tokens.expectOperator(")");
      return inner;
    } else if (token.isOperator("[")) {
      return Nodes.at(line, Nodes.list(commaList("]")));
    } else if (token.isOperator("{")) {
      return dict(line);
    }
    tokens.back();
    throw tokens.unexpected("an expression");
  }

  private Expr name(Token token) {
    String name = token.text();
    switch (name) {
      case "true", "True":
        return Nodes.constant(true);
      case "false", "False":
        return Nodes.constant(false);
      case "none", "None":
        return Nodes.constant(None.NONE);
      default:
        break;
    }
    if (REFUSED_NAMES.contains(name)) {
      throw new TemplateException(token.line(), "the name '" + name + "' is not supported");
    }
    return Nodes.at(token.line(), run -> run.lookup(name));
  }

  private List<Expr> commaList(String close) {
    List<Expr> items = new ArrayList<>();
    while (!tokens.skipOperator(close)) {
      if (!items.isEmpty()) {
        tokens.expectOperator(",");
        if (tokens.skipOperator(close)) {
          break;
        }
      }
      items.add(expression());
    }
    return items;
  }

  private Expr dict(int line) {
    List<Expr> keys = new ArrayList<>();
    List<Expr> values = new ArrayList<>();
    while (!tokens.skipOperator("}")) {
      if (!keys.isEmpty()) {
        tokens.expectOperator(",");
        if (tokens.skipOperator("}")) {
          break;
        }
      }
      keys.add(expression());
      tokens.expectOperator(":");
      values.add(expression());
    }
    return Nodes.at(line, Nodes.dict(keys, values));
  }

  private Expr postfix(Expr start) {
    Expr node = start;
    while (true) {
      int line = tokens.line();
      if (tokens.skipOperator(".")) {
        node = dotted(line, node);
      } else if (tokens.skipOperator("[")) {
        node = subscript(line, node);
      } else if (tokens.skipOperator("(")) {
        node = Nodes.at(line, Nodes.call(line, node, arguments()));
      } else {
        return node;
      }
    }
  }

  private Expr dotted(int line, Expr object) {
    Token part = tokens.next();
    if (part.is(Kind.NAME)) {
      return Nodes.at(line, Nodes.attribute(object, part.text()));
    } else if (part.is(Kind.INTEGER) && part.text().length() < 10) {
      return Nodes.at(line, Nodes.item(object, Nodes.constant(Long.parseLong(part.text()))));
    }
    tokens.back();
    throw tokens.unexpected("a name or an index");
  }

  private Expr subscript(int line, Expr object) {
    Expr from = tokens.isOperator(":") ? null : expression();
    if (from != null && tokens.skipOperator("]")) {
      return Nodes.at(line, Nodes.item(object, from));
    }
    if (tokens.isOperator(",")) {
      throw new TemplateException(line, "an index with commas is not supported");
    }
    tokens.expectOperator(":");
    Expr to = tokens.isOperator(":") || tokens.isOperator("]") ? null : expression();
    Expr step = null;
    if (tokens.skipOperator(":") && !tokens.isOperator("]")) {
      step = expression();
    }
    tokens.expectOperator("]");
    return Nodes.at(line, Nodes.slice(object, from, to, step));
  }

  private Call arguments() {
    List<Expr> positional = new ArrayList<>();
    Map<String, Expr> named = new LinkedHashMap<>();
    while (!tokens.skipOperator(")")) {
      if (!positional.isEmpty() || !named.isEmpty()) {
        tokens.expectOperator(",");
        if (tokens.skipOperator(")")) {
          break;
        }
      }
      if (tokens.isOperator("*") || tokens.isOperator("**")) {
        throw new TemplateException(tokens.line(), "* and ** arguments are not supported");
      }
      if (tokens.is(Kind.NAME) && tokens.peek().isOperator("=")) {
        String name = tokens.next().text();
        tokens.next();
        if (named.put(name, expression()) != null) {
          throw new TemplateException(tokens.line(), "argument '" + name + "' is given twice");
        }
      } else if (!named.isEmpty()) {
        throw new TemplateException(tokens.line(), "a plain argument follows a named one");
      } else {
        positional.add(expression());
      }
    }
    return new Call(positional, named);
  }

  private Expr filters(Expr start) {
    Expr node = start;
    while (true) {
      int line = tokens.line();
      if (tokens.skipOperator("|")) {
        node = filter(node);
      } else if (tokens.skipName("is")) {
        node = test(line, node);
      } else if (tokens.skipOperator("(")) {
        node = Nodes.at(line, Nodes.call(line, node, arguments()));
      } else {
        return node;
      }
    }
  }

  /** The filter whose name comes next, applied to {@code value}. */
  Expr filter(Expr value) {
    Token name = tokens.expect(Kind.NAME, "a filter name");
    Filter filter = Filters.named(name.text());
    if (filter == null || tokens.isOperator(".")) {
      filter = MissingNames.filter(name, isConditional());
    }
    Call call = tokens.skipOperator("(") ? arguments() : Call.EMPTY;
    return Nodes.at(name.line(), Nodes.filter(value, filter, call));
  }

  private boolean isConditional() {
    return conditions > 0 && !tokens.isOperator(".");
  }

  private Expr test(int line, Expr value) {
    boolean negated = tokens.skipName("not");
    Token name = tokens.expect(Kind.NAME, "a test name");
    Test test = Tests.named(name.text());
    if (test == null || tokens.isOperator(".")) {
      test = MissingNames.test(name, isConditional());
    }
    Call call = Call.EMPTY;
    if (tokens.skipOperator("(")) {
      call = arguments();
    } else if (tokens.beginsTestArgument()) {
      if (tokens.isName("is")) {
        throw new TemplateException(line, "tests cannot be chained with 'is'");
      }
      call = new Call(List.of(postfix(primary())), Map.of());
    }
    Expr node = Nodes.at(name.line(), Nodes.test(value, test, call));
    return negated ? Nodes.at(line, Nodes.not(node)) : node;
  }
}
