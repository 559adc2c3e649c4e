package io.shadowbatch.tokens.template;

import io.shadowbatch.tokens.template.Token.Kind;
import java.util.Deque;
import java.util.List;

/** Reads one token inside a tag. */
final class TokenReader {
  private static final List<String> OPERATORS =
      List.of(
          "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{",
          "}", ">", "<", "=", ".", ":", "|", ",");

  private final String source;
  private final int start;
  private final int line;
  private final List<Token> tokens;
  private final Deque<Character> open;

  TokenReader(String source, int start, int line, List<Token> tokens, Deque<Character> open) {
    this.source = source;
    this.start = start;
    this.line = line;
    this.tokens = tokens;
    this.open = open;
  }

  /** Adds the token that begins at the start; returns where it ends. */
  int next() {
    char c = source.charAt(start);
    if (c == '\'' || c == '"') {
      return string(c);
    }
    if (c >= '0' && c <= '9') {
      return number();
    }
    if (Character.isUnicodeIdentifierStart(source.codePointAt(start)) || c == '_') {
      return name();
    }
    for (String operator : OPERATORS) {
      if (source.startsWith(operator, start)) {
        balance(c);
        return add(Kind.OPERATOR, start + operator.length());
      }
    }
    throw new TemplateException(line, "unexpected character '" + c + "'");
  }

  private int add(Kind kind, int end) {
    tokens.add(new Token(kind, source.substring(start, end), line));
    return end;
  }

  private void balance(char c) {
    if ("([{".indexOf(c) >= 0) {
      open.push(c);
    } else if (")]}".indexOf(c) >= 0) {
      char expected = c == ')' ? '(' : c == ']' ? '[' : '{';
      if (open.isEmpty() || open.pop() != expected) {
        throw new TemplateException(line, "unexpected '" + c + "'");
      }
    }
  }

  private int name() {
    int i = start;
    while (i < source.length()
        && (Character.isUnicodeIdentifierPart(source.codePointAt(i)) || source.charAt(i) == '_')
        && !Character.isIdentifierIgnorable(source.codePointAt(i))) {
      i += Character.charCount(source.codePointAt(i));
    }
    return add(Kind.NAME, i);
  }

  private int digits(int from) {
    int i = from;
    while (i < source.length() && isDigit(i)) {
      i++;
      if (i + 1 < source.length() && source.charAt(i) == '_' && isDigit(i + 1)) {
        i++;
      }
    }
    return i;
  }

  private boolean isDigit(int i) {
    return i < source.length() && source.charAt(i) >= '0' && source.charAt(i) <= '9';
  }

  private int number() {
    int end = digits(start);
    // a number after a dot is an index: x.0.1
    boolean index = start > 0 && source.charAt(start - 1) == '.';
    boolean isFloat = false;
    if (!index && end < source.length() && source.charAt(end) == '.' && isDigit(end + 1)) {
      end = digits(end + 1);
      isFloat = true;
    }
    if (!index
        && end < source.length()
        && (source.charAt(end) == 'e' || source.charAt(end) == 'E')) {
      int exponent = end + 1;
      if (exponent < source.length() && "+-".indexOf(source.charAt(exponent)) >= 0) {
        exponent++;
      }
      if (isDigit(exponent)) {
        end = digits(exponent);
        isFloat = true;
      }
    }
    boolean leadingZero = end > start + 1 && source.charAt(start) == '0' && !isFloat;
    if (leadingZero || (end < source.length() && Character.isLetter(source.charAt(end)))) {
      throw new TemplateException(
          line,
          "number format is not supported: '"
              + source.substring(start, Math.min(source.length(), end + 1))
              + "'");
    }
    int where = add(isFloat ? Kind.FLOAT : Kind.INTEGER, end);
    Token last = tokens.remove(tokens.size() - 1);
    tokens.add(new Token(last.kind(), last.text().replace("_", ""), line));
    return where;
  }

  private int string(char quote) {
    StringBuilder out = new StringBuilder();
    int i = start + 1;
    while (i < source.length() && source.charAt(i) != quote) {
      if (source.charAt(i) != '\\') {
        out.append(source.charAt(i++));
        continue;
      }
      if (i + 1 >= source.length()) {
        break;
      }
      i = escape(i + 1, out);
    }
    if (i >= source.length()) {
      throw new TemplateException(line, "string is not closed, expected " + quote);
    }
    tokens.add(new Token(Kind.STRING, out.toString(), line));
    return i + 1;
  }

  private int escape(int at, StringBuilder out) {
    char c = source.charAt(at);
    int plain = "ntr\\'\"bfa".indexOf(c);
    if (plain >= 0) {
      out.append("\n\t\r\\'\"\b\f\u0007".charAt(plain));
      return at + 1;
    }
    switch (c) {
      case 'v':
        out.append('\u000b');
        return at + 1;
      case '\n':
        return at + 1;
      case 'x':
        return hex(at, 2, out);
      case 'u':
        return hex(at, 4, out);
      case 'U':
        return hex(at, 8, out);
      case 'N':
        throw new TemplateException(line, "string escape \\N is not supported");
      default:
        break;
    }
    if (c < '0' || c > '7') {
      out.append('\\').append(c);
      return at + 1;
    }
    int i = at;
    int value = 0;
    while (i < at + 3
        && i < source.length()
        && source.charAt(i) >= '0'
        && source.charAt(i) <= '7') {
      value = value * 8 + source.charAt(i++) - '0';
    }
    out.append((char) value);
    return i;
  }

  private int hex(int at, int count, StringBuilder out) {
    int end = at + 1 + count;
    try {
      int value = Integer.parseUnsignedInt(source.substring(at + 1, end), 16);
      out.appendCodePoint(value);
      return end;
    } catch (IllegalArgumentException | StringIndexOutOfBoundsException e) {
      throw new TemplateException(
          line, "string escape \\" + source.charAt(at) + " needs " + count + " hex digits");
    }
  }
}
