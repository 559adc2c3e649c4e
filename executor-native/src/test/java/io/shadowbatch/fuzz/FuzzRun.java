package io.shadowbatch.fuzz;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Fuzzes targets one after the other with Jazzer, each in a process of its own whose heap, memory
 * and time for an input are bounded, and prints a line for each. Arguments: {@code runs=1000000
 * seed=1 keep=false}, then names of target classes. With {@code keep=true} the corpus is minimised
 * and put into {@code src/test/resources/fuzz/}. The first finding ends the run; its input is
 * named.
 */
public final class FuzzRun {
  private static final Path WORK = Path.of("target", "fuzz");
  private static final Pattern DONE = Pattern.compile("Done (\\d+) runs in (\\d+) second.*");
  private static final Pattern COVERED = Pattern.compile("#\\d+\\s+\\S+ +cov: (\\d+) .*");
  private static final int FINDING_LINES_MAX = 60;

  private final Class<?> target;
  private final Path folder;
  private final String runs;
  private final String seed;
  private String covered = "?";

  private FuzzRun(Class<?> target, String runs, String seed) {
    this.target = target;
    this.runs = runs;
    this.seed = seed;
    folder = WORK.resolve(FuzzCorpus.name(target));
  }

  /** See the class. Ends with code 1 after a finding. */
  public static void main(String[] args) throws Exception {
    String runs = "1000000";
    String seed = "1";
    boolean keep = false;
    List<Class<?>> targets = new ArrayList<>();
    for (String arg : args) {
      String value = arg.substring(arg.indexOf('=') + 1);
      if (arg.startsWith("runs=")) runs = value;
      else if (arg.startsWith("seed=")) seed = value;
      else if (arg.startsWith("keep=")) keep = Boolean.parseBoolean(value);
      else targets.add(Class.forName(arg));
    }
    for (Class<?> target : targets) {
      FuzzRun run = new FuzzRun(target, runs, seed);
      if (!run.fuzz()) System.exit(1);
      if (keep) run.keep();
    }
  }

  private boolean fuzz() throws Exception {
    Path corpus = emptied("corpus");
    Path seeds = emptied("seeds");
    FuzzTarget honest = (FuzzTarget) target.getDeclaredConstructor().newInstance();
    Path words = Files.write(folder.resolve("words"), dictionary(honest.words()));
    int count = 0;
    for (byte[] input : honest.seeds()) {
      Files.write(seeds.resolve("seed-%03d".formatted(count++)), input);
    }
    for (Map.Entry<String, byte[]> input : FuzzCorpus.kept(target).entrySet()) {
      Files.write(seeds.resolve(input.getKey()), input.getValue());
    }
    List<String> tail = new ArrayList<>();
    long start = System.nanoTime();
    boolean passed =
        jazzer(tail, "-runs=" + runs, "-seed=" + seed, "-dict=" + words, "" + corpus, "" + seeds);
    long seconds = Math.max(1, (System.nanoTime() - start) / 1_000_000_000);
    String name = FuzzCorpus.name(target);
    if (!passed) {
      System.out.println("fuzz " + name + ", seed " + seed + ": FOUND");
      tail.forEach(System.out::println);
      return false;
    }
    System.out.printf(
        "fuzz %s, seed %s: %s inputs, %d seconds, %d/s, coverage %s, nothing found%n",
        name, seed, runs, seconds, Long.parseLong(runs) / seconds, covered);
    return true;
  }

  /** In libFuzzer's form: a line for each, quoted, bytes in hexadecimal. */
  private static List<String> dictionary(List<String> words) {
    List<String> lines = new ArrayList<>();
    for (String word : words) {
      StringBuilder line = new StringBuilder("\"");
      for (byte b : word.getBytes(StandardCharsets.UTF_8)) line.append("\\x%02x".formatted(b));
      lines.add(line.append('"').toString());
    }
    return lines;
  }

  private void keep() throws IOException, InterruptedException {
    Path small = emptied("small");
    List<String> tail = new ArrayList<>();
    Path corpus = folder.resolve("corpus");
    boolean merged =
        jazzer(tail, "-merge=1", "" + small, "" + corpus, "" + folder.resolve("seeds"));
    if (!merged) throw new IOException("corpus could not be merged: " + tail);
    FuzzCorpus.keep(target, small);
  }

  private boolean jazzer(List<String> tail, String... more)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-Xmx512m", "-XX:MaxDirectMemorySize=64m", "-Xss1m"));
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add("com.code_intelligence.jazzer.Jazzer");
    command.add("--target_class=" + target.getName());
    command.add("--instrumentation_includes=io.shadowbatch.**");
    command.add("--custom_hook_includes=io.shadowbatch.**");
    command.add("--reproducer_path=" + folder);
    command.addAll(List.of("-timeout=120", "-rss_limit_mb=3072", "-max_len=8192"));
    command.add("-artifact_prefix=" + folder + "/");
    command.addAll(List.of(more));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    boolean done = false;
    try (BufferedReader out =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = out.readLine(); line != null; line = out.readLine()) {
        done |= DONE.matcher(line).matches();
        Matcher now = COVERED.matcher(line);
        if (now.matches()) covered = now.group(1);
        tail.add(line);
        if (tail.size() > FINDING_LINES_MAX) tail.remove(0);
      }
    }
    return process.waitFor() == 0 && (done || more[0].startsWith("-merge"));
  }

  private Path emptied(String name) throws IOException {
    Path made = folder.resolve(name);
    if (Files.exists(made)) {
      try (Stream<Path> old = Files.walk(made)) {
        for (Path path : old.sorted(Comparator.reverseOrder()).toList()) Files.delete(path);
      }
    }
    return Files.createDirectories(made);
  }
}
