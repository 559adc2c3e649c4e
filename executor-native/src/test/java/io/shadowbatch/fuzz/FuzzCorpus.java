package io.shadowbatch.fuzz;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import java.util.zip.ZipOutputStream;

/**
 * The kept inputs of a target, in {@code src/test/resources/fuzz/} of its module: {@code
 * name/*.bin} are those that once showed a bug, named by it, and {@code name/corpus.zip} the fewest
 * that reach all code which fuzzing has reached.
 */
final class FuzzCorpus {
  private static final Path RESOURCES = Path.of("src", "test", "resources", "fuzz");
  private static final String ZIP = "corpus.zip";

  private FuzzCorpus() {}

  /** The target's name in files: TokenizerJsonTarget is tokenizer-json. */
  static String name(Class<?> target) {
    String words = target.getSimpleName().replaceFirst("Target$", "");
    return words.replaceAll("(?<=[a-z])(?=[A-Z])", "-").toLowerCase(Locale.ROOT);
  }

  /** Kept inputs by name, in order. */
  static Map<String, byte[]> kept(Class<?> target) throws IOException {
    Map<String, byte[]> inputs = new TreeMap<>();
    Path folder = RESOURCES.resolve(name(target));
    if (!Files.isDirectory(folder)) return inputs;
    for (Path file : files(folder)) {
      String name = file.getFileName().toString();
      if (name.equals(ZIP)) unzip(file, inputs);
      else inputs.put(name, Files.readAllBytes(file));
    }
    return inputs;
  }

  /** Makes the files of a folder the target's corpus. */
  static void keep(Class<?> target, Path corpus) throws IOException {
    Path folder = Files.createDirectories(RESOURCES.resolve(name(target)));
    try (ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(folder.resolve(ZIP)))) {
      for (Path file : files(corpus)) {
        ZipEntry entry = new ZipEntry(file.getFileName().toString());
        entry.setTime(0); // equal corpora make equal files
        out.putNextEntry(entry);
        out.write(Files.readAllBytes(file));
      }
    }
  }

  private static void unzip(Path file, Map<String, byte[]> inputs) throws IOException {
    try (ZipInputStream in =
        new ZipInputStream(Files.newInputStream(file), StandardCharsets.UTF_8)) {
      for (ZipEntry e = in.getNextEntry(); e != null; e = in.getNextEntry()) {
        inputs.put(e.getName(), in.readAllBytes());
      }
    }
  }

  private static List<Path> files(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return new ArrayList<>(files.sorted().toList());
    }
  }
}
