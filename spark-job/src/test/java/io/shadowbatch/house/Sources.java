package io.shadowbatch.house;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** The repository's own files. */
final class Sources {

  static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

  private Sources() {}

  /** All text files that belong to the repository. */
  static List<Path> all() {
    try (Stream<Path> files = Files.walk(ROOT)) {
      return files
          .filter(Files::isRegularFile)
          .filter(f -> !inBuild(ROOT.relativize(f)))
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static boolean inBuild(Path relative) {
    for (Path part : relative) {
      String name = part.toString();
      if (name.equals("target") || name.equals(".git") || name.equals("shared")) return true;
      if (name.equals(".jqwik-database")) return true;
    }
    return false;
  }

  static List<Path> java() {
    return all().stream().filter(f -> f.toString().endsWith(".java")).toList();
  }

  static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file);
    } catch (IOException e) {
      throw new UncheckedIOException(file.toString(), e);
    }
  }

  static String shown(Path file) {
    return ROOT.relativize(file).toString();
  }
}
