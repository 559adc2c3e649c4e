package io.shadowbatch.tokens.template;

import java.time.ZonedDateTime;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** One rendering: its variables, its output, and the count of what it may still use. */
final class Run {
  private final String source;
  private final TemplateLimits limits;
  private long steps;
  private int depth;

  /** Where evaluation is, for messages. */
  int line = 1;

  /** What {@code strftime_now} shows. */
  final ZonedDateTime now;

  Scope scope;
  StringBuilder out = new StringBuilder();

  /** Variables of one block, and the block around it. */
  static final class Scope {
    final Scope parent;
    final Map<String, Object> names = new HashMap<>();

    Scope(Scope parent) {
      this.parent = parent;
    }
  }

  Run(String source, TemplateLimits limits, ZonedDateTime now, Map<String, Object> variables) {
    this.source = source;
    this.limits = limits;
    this.now = now;
    this.scope = new Scope(null);
    scope.names.putAll(variables);
    scope = new Scope(scope);
  }

  TemplateException fail(String message) {
    return new TemplateException(line, message);
  }

  /**
   * A value for an error's message, which must not tell what messages say: quoted if the template
   * itself says it, else its length.
   */
  String shown(String text) {
    return source.contains(text) ? "'" + text + "'" : "a text of " + text.length() + " characters";
  }

  void step() {
    charge(1);
  }

  /** Counts work that is not one node: {@code items} list items or 16-character pieces. */
  void charge(long items) {
    steps += items;
    if (steps > limits.steps()) {
      throw fail("the template took more than " + limits.steps() + " steps");
    }
  }

  void enter() {
    if (++depth > limits.depth()) {
      throw fail("nested deeper than " + limits.depth());
    }
  }

  void leave() {
    depth--;
  }

  void checkChars(long chars) {
    if (chars > limits.chars()) {
      throw fail("text must be at most " + limits.chars() + " characters, got " + chars);
    }
  }

  /** Bounds a produced string. */
  String text(String produced) {
    checkChars(produced.length());
    charge(produced.length() / 16);
    return produced;
  }

  void checkItems(long items) {
    if (items > limits.items()) {
      throw fail("a list must have at most " + limits.items() + " items, got " + items);
    }
    charge(items / 16);
  }

  List<Object> list(List<Object> produced) {
    checkItems(produced.size());
    return produced;
  }

  void write(String text) {
    checkChars((long) out.length() + text.length());
    charge(text.length() / 16);
    out.append(text);
  }

  Object lookup(String name) {
    for (Scope s = scope; s != null; s = s.parent) {
      Object found = s.names.get(name);
      if (found != null) {
        return found;
      }
    }
    Object global = Globals.ALL.get(name);
    return global != null ? global : new Undefined("'" + name + "'");
  }

  void assign(String name, Object value) {
    scope.names.put(name, value);
  }
}
