package io.shadowbatch.tokens.template;

import io.shadowbatch.tokens.template.Token.Kind;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * Cuts a template into tokens and applies whitespace control.
 *
 * <p>As transformers sets Jinja up: {@code trim_blocks} (a newline after a block tag is dropped),
 * {@code lstrip_blocks} (blanks before a block tag that begins its line are dropped), and one
 * newline at the end of the template is dropped.
 */
final class Lexer {
  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int at;
  private int line = 1;
  private boolean lineStarting = true;

  private Lexer(String source) {
    String unix = source.replace("\r\n", "\n").replace('\r', '\n');
    this.source = unix.endsWith("\n") ? unix.substring(0, unix.length() - 1) : unix;
  }

  static List<Token> tokens(String source) {
    Lexer lexer = new Lexer(source);
    lexer.run();
    return lexer.tokens;
  }

  private void run() {
    while (at < source.length()) {
      int tag = nextTag(at);
      if (tag < 0) {
        addData(source.substring(at));
        break;
      }
      char kind = source.charAt(tag + 1);
      char sign = tag + 2 < source.length() ? source.charAt(tag + 2) : ' ';
      boolean signed = sign == '-' || sign == '+';
      addData(stripped(source.substring(at, tag), sign, kind != '{'));
      countLines(at, tag);
      at = tag + (signed ? 3 : 2);
      if (kind == '#') {
        skipComment(tag);
      } else if (kind == '%' && startsRaw()) {
        raw();
      } else {
        inside(kind == '{' ? "}}" : "%}");
      }
    }
    tokens.add(new Token(Kind.END, "", line));
  }

  private int nextTag(int from) {
    for (int i = from; i + 1 < source.length(); i++) {
      char next = source.charAt(i + 1);
      if (source.charAt(i) == '{' && (next == '{' || next == '%' || next == '#')) {
        return i;
      }
    }
    return -1;
  }

  private String stripped(String text, char sign, boolean blockLike) {
    if (sign == '-') {
      return PyText.strip(text, null, false, true);
    }
    if (sign == '+' || !blockLike) {
      return text;
    }
    int lineStart = text.lastIndexOf('\n') + 1;
    boolean onlyBlanks = lineStart < text.length() && isBlank(text, lineStart);
    return (lineStart > 0 || lineStarting) && onlyBlanks ? text.substring(0, lineStart) : text;
  }

  private static boolean isBlank(String text, int from) {
    for (int i = from; i < text.length(); i++) {
      if (!PyText.isSpace(text.charAt(i))) {
        return false;
      }
    }
    return true;
  }

  private void addData(String text) {
    if (!text.isEmpty()) {
      tokens.add(new Token(Kind.DATA, text, line));
    }
  }

  private void countLines(int from, int to) {
    for (int i = from; i < to; i++) {
      if (source.charAt(i) == '\n') {
        line++;
      }
    }
  }

  private void skipComment(int tag) {
    int end = source.indexOf("#}", tag + 2);
    if (end < 0) {
      throw new TemplateException(line, "comment is not closed, expected '#}'");
    }
    countLines(at, end);
    char sign = end > tag + 2 ? source.charAt(end - 1) : ' ';
    at = end + 2;
    afterTag(sign, true);
  }

  /** Eats what whitespace control says after a closing tag. */
  private void afterTag(char sign, boolean trimNewline) {
    int from = at;
    if (sign == '-') {
      while (at < source.length() && PyText.isSpace(source.charAt(at))) {
        at++;
      }
    } else if (sign != '+' && trimNewline && at < source.length() && source.charAt(at) == '\n') {
      at++;
    }
    countLines(from, at);
    lineStarting = at > 0 && source.charAt(at - 1) == '\n';
  }

  private int skipSpaces(int from) {
    int i = from;
    while (i < source.length() && PyText.isSpace(source.charAt(i))) {
      i++;
    }
    return i;
  }

  private boolean startsRaw() {
    int i = skipSpaces(at);
    if (!source.startsWith("raw", i)) {
      return false;
    }
    i = skipSpaces(i + 3);
    return source.startsWith("%}", i) || source.startsWith("-%}", i);
  }

  private void raw() {
    int close = source.indexOf("%}", at);
    countLines(at, close);
    char sign = source.charAt(close - 1);
    at = close + 2;
    afterTag(sign, false);
    for (int tag = source.indexOf("{%", at); tag >= 0; tag = source.indexOf("{%", tag + 2)) {
      char before = tag + 2 < source.length() ? source.charAt(tag + 2) : ' ';
      int i = skipSpaces(tag + (before == '-' || before == '+' ? 3 : 2));
      if (!source.startsWith("endraw", i)) {
        continue;
      }
      i = skipSpaces(i + 6);
      char after = i < source.length() ? source.charAt(i) : ' ';
      int end = after == '-' || after == '+' ? i + 1 : i;
      if (source.startsWith("%}", end)) {
        addData(stripped(source.substring(at, tag), before, true));
        countLines(at, end);
        at = end + 2;
        afterTag(after, true);
        return;
      }
    }
    throw new TemplateException(line, "raw block is not closed, expected 'endraw'");
  }

  private void inside(String close) {
    boolean output = close.equals("}}");
    tokens.add(new Token(output ? Kind.OUTPUT_BEGIN : Kind.BLOCK_BEGIN, "", line));
    Deque<Character> open = new ArrayDeque<>();
    while (true) {
      int from = at;
      at = skipSpaces(at);
      countLines(from, at);
      if (at >= source.length()) {
        throw new TemplateException(line, "tag is not closed, expected '" + close + "'");
      }
      if (open.isEmpty() && endsHere(close, output)) {
        tokens.add(new Token(output ? Kind.OUTPUT_END : Kind.BLOCK_END, "", line));
        return;
      }
      at = new TokenReader(source, at, line, tokens, open).next();
      line = tokens.get(tokens.size() - 1).line() + newlinesIn(tokens.get(tokens.size() - 1));
    }
  }

  private static int newlinesIn(Token token) {
    return token.is(Kind.STRING) ? (int) token.text().chars().filter(c -> c == '\n').count() : 0;
  }

  private boolean endsHere(String close, boolean output) {
    char sign = source.charAt(at);
    boolean signed = sign == '-' || (sign == '+' && !output);
    if (!source.startsWith(close, signed ? at + 1 : at)) {
      return false;
    }
    at += signed ? 3 : 2;
    afterTag(signed ? sign : ' ', !output);
    return true;
  }
}
