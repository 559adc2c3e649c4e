package io.shadowbatch.house;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;

/** The repository's own files. */
final class Sources {

  static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

  private Sources() {}

  /** Folders and files that are made; those of a running build come and go. */
  private static final Set<String> MADE = Set.of("target", ".git", "shared", ".jqwik-database");

  /** All text files that belong to the repository. */
  static List<Path> all() {
    List<Path> files = new ArrayList<>();
    try {
      Files.walkFileTree(ROOT, new Own(files));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Collections.sort(files);
    return files;
  }

  /** Collects files, and does not look into folders that are made. */
  private static final class Own extends SimpleFileVisitor<Path> {
    private final List<Path> files;

    Own(List<Path> files) {
      this.files = files;
    }

    @Override
    public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
      boolean made = MADE.contains(folder.getFileName().toString()) && !folder.equals(ROOT);
      return made ? FileVisitResult.SKIP_SUBTREE : FileVisitResult.CONTINUE;
    }

    @Override
    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
      boolean made = MADE.contains(file.getFileName().toString());
      if (attributes.isRegularFile() && !made) files.add(file);
      return FileVisitResult.CONTINUE;
    }
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
