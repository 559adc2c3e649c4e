package io.shadowbatch.house;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The house style, as far as a program can see it. */
class TidyTest {

  private static final int FILE_LINES_MAX = 400;
  private static final int FUNCTION_LINES_MAX = 60;
  private static final int LINE_CHARS_MAX = 100;

  private static final Pattern NAME =
      Pattern.compile(".*(Impl|Manager|Helper|Util|Utils|Base|Abstract|Factory).*\\.java");
  private static final Pattern UNFINISHED =
      Pattern.compile("\\b(TO" + "DO|FIX" + "ME|XX" + "X)\\b");
  private static final Pattern WORKPLACE =
      Pattern.compile(
          "/(wo" + "rk)/|\\.\\./sha" + "red|/opt/" + "sb|repo1\\.mav" + "en|pypi\\.o" + "rg");
  private static final Pattern GETTER =
      Pattern.compile("^\\s+(public|static|protected)?\\s*[\\w<>\\[\\], ]+ get[A-Z]\\w*\\(.*\\{");
  private static final Pattern FLAG =
      Pattern.compile("^  public (?!record)[^=]*\\(.*\\bboolean \\w+[,)]");
  private static final Pattern METHOD = Pattern.compile("^( {2}| {4})(?! )\\S.*[^;]\\{$");
  private static final Pattern TYPE =
      Pattern.compile("\\b(class|interface|enum|record)\\b .*|^\\s*static \\{$");

  /** Goal: files, functions and lines stay short enough to be read. */
  @Test
  void sizes() {
    List<String> wrong = new ArrayList<>();
    for (Path file : Sources.java()) {
      List<String> lines = Sources.lines(file);
      String path = Sources.shown(file);
      if (lines.size() > FILE_LINES_MAX) wrong.add(path + ": " + lines.size() + " lines");
      for (int i = 0; i < lines.size(); i++) {
        String line = lines.get(i);
        boolean free = line.startsWith("import ") || line.contains("tidy: long");
        if (line.length() > LINE_CHARS_MAX && !free) wrong.add(path + ":" + (i + 1) + ": wide");
        int length = functionLines(lines, i);
        if (length > FUNCTION_LINES_MAX) {
          wrong.add(path + ":" + (i + 1) + ": function of " + length + " lines");
        }
      }
    }
    assertThat(wrong).isEmpty();
  }

  /** Lines of the function that begins here, or 0. */
  private static int functionLines(List<String> lines, int start) {
    String line = lines.get(start);
    if (opensType(lines, start)) return 0;
    if (!METHOD.matcher(line).matches() || TYPE.matcher(line).find()) return 0;
    if (line.contains(" new ") || line.contains("tidy: long")) return 0;
    if (start > 0 && lines.get(start - 1).contains("tidy: long")) return 0;
    String end = line.substring(0, line.length() - line.stripLeading().length()) + "}";
    for (int i = start + 1; i < lines.size(); i++) {
      if (lines.get(i).equals(end)) return i - start + 1;
    }
    return 0;
  }

  /** Whether the brace of this line belongs to a type whose header began some lines before. */
  private static boolean opensType(List<String> lines, int at) {
    for (int i = at; i >= Math.max(0, at - 12); i--) {
      if (TYPE.matcher(lines.get(i)).find()) return true;
      if (i < at && lines.get(i).matches(".*[;}{]$|^\\s*\\*/.*")) return false;
    }
    return false;
  }

  /** Goal: names say what a thing is; no getters, no flags in public methods. */
  @Test
  void names() {
    List<String> wrong = new ArrayList<>();
    for (Path file : Sources.java()) {
      String path = Sources.shown(file);
      if (NAME.matcher(file.getFileName().toString()).matches()) wrong.add(path);
      if (!path.contains("src/main")) continue;
      String before = "";
      for (String line : Sources.lines(file)) {
        boolean ours = !before.contains("@Override"); // libraries have names of their own
        before = line;
        if (ours && GETTER.matcher(line).find()) wrong.add(path + ": " + line.strip());
        if (FLAG.matcher(line).find()) wrong.add(path + ": " + line.strip());
      }
    }
    assertThat(wrong).isEmpty();
  }

  /** Goal: nothing is unfinished, and nothing names the place where it was written. */
  @Test
  void nothingUnfinished() {
    List<String> wrong = new ArrayList<>();
    for (Path file : Sources.all()) {
      String path = Sources.shown(file);
      if (path.matches(".*\\.(gguf|bin|png|parquet|safetensors|gz|zip)")) continue;
      boolean golden = path.contains("src/test/resources/");
      int at = 0;
      for (String line : Sources.lines(file)) {
        at++;
        if (!golden && UNFINISHED.matcher(line).find()) wrong.add(path + ":" + at + ": unfinished");
        if (WORKPLACE.matcher(line).find()) wrong.add(path + ":" + at + ": names a place");
      }
    }
    assertThat(wrong).isEmpty();
  }

  /** Goal: every test resource is used by a test. */
  @Test
  void testResourcesAreUsed() {
    StringBuilder tests = new StringBuilder();
    for (Path file : Sources.java()) {
      if (Sources.shown(file).contains("src/test/")) {
        tests.append(String.join("\n", Sources.lines(file)));
      }
    }
    for (Path file : Sources.all()) {
      String path = Sources.shown(file);
      if (!path.contains("src/test/resources/")) continue;
      String inside = path.replaceFirst(".*src/test/resources/", "");
      boolean named =
          tests.indexOf(file.getFileName().toString()) >= 0
              || tests.indexOf(inside.replaceFirst("/.*", "") + "/") >= 0;
      assertThat(named).as(path + " is used by no test").isTrue();
    }
  }
}
