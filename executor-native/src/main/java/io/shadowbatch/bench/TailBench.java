package io.shadowbatch.bench;

import com.sun.management.OperatingSystemMXBean;
import io.shadowbatch.bench.Workload.Prompt;
import io.shadowbatch.engine.Engine;
import io.shadowbatch.engine.EngineConfig;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.schedule.SchedulerMetrics;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/**
 * Workload TL: what it costs that tasks end. Prompts are cut into tasks; one or two slots feed one
 * engine, each taking the next task when its own has all answers, as Spark's slots of an executor
 * do. With one slot the engine drains between tasks.
 *
 * <p>The ideal is an engine that is never short of work. Its speed is that of a single feed of such
 * prompts while as many as a feed may submit are in the engine: from the moment that enough were
 * answered for their ages to be mixed, to the moment that the feed has no more. Then
 *
 * <pre>
 *   ideal seconds = tokens to compute * seconds of that time / tokens computed in it
 *   tokens to compute = prompt tokens in depth-first order that no prompt before shares
 *                       + generated tokens but the last of each prompt
 * </pre>
 *
 * so that idle room in steps, recomputed prefixes and gaps between tasks all count as loss. The
 * speed is taken before and after the cases of each round, for a machine may change its own. The
 * same ratio of the process's CPU time stands beside that of wall time: where others use the
 * machine it is the steadier one, but it does not see cores that idle.
 */
public final class TailBench {
  private static final String USAGE =
      """
      bench tails --model FILE [--rounds N] [--threads N] [--batch-tokens N] [--seed N] [--out FILE]

      TL: groups of 16 prompts of 128 shared + 16 own tokens, outputs lognormal of mean 24, at most
      96, end token ignored, cut into tasks of 32, 128 and 512 prompts that one or two slots feed to
      one engine. Prints makespan over ideal, medians of the rounds: 1 is an engine that is never
      short of work; cpu is the same of CPU time, for busy machines. Two slots with tasks of 512
      should stay below 1.10. A round computes 250,000 tokens.

      defaults: rounds 1, threads 2, batch-tokens 256
      """;

  /** Answered before the ideal's clock starts, so that prompts of all ages run. */
  private static final int SETTLED = 384;

  private static final int STEADY = 768;

  /**
   * A way to feed prompts.
   *
   * @param prompts in all: several tasks for each slot, but for tasks that one slot drains alone
   */
  record Case(int taskPrompts, int slots, int prompts) {}

  /** With 47 tokens to compute a prompt, and the ideal's prompts, 250,000 tokens a round. */
  private static final List<Case> CASES =
      List.of(
          new Case(32, 1, 256),
          new Case(32, 2, 256),
          new Case(128, 1, 256),
          new Case(128, 2, 512),
          new Case(512, 1, 512),
          new Case(512, 2, 2048));

  private static final String HEADER =
      "workload task slots prompts tasks   tokens   makespan s (min..max)        ideal s"
          + "    makespan/ideal (min..max)     cpu";

  /** What something took. */
  record Time(double wall, double cpu) {
    static Time now() {
      OperatingSystemMXBean system =
          ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
      return new Time(System.nanoTime() / 1e9, system.getProcessCpuTime() / 1e9);
    }

    Time since(Time begin) {
      return new Time(wall - begin.wall, cpu - begin.cpu);
    }

    Time times(double factor) {
      return new Time(wall * factor, cpu * factor);
    }

    Time plus(Time other) {
      return new Time(wall + other.wall, cpu + other.cpu);
    }
  }

  /** One case in one round. */
  record Run(Time taken, Time ideal) {
    double ratio() {
      return taken.wall / ideal.wall;
    }

    double cpuRatio() {
      return taken.cpu / ideal.cpu;
    }
  }

  private final EngineConfig config;
  private final List<Prompt> prompts;
  private final int[][] answers;

  /** For prompts as many as the largest case needs. */
  TailBench(EngineConfig config, List<Prompt> prompts) {
    this.config = config;
    this.prompts = prompts;
    this.answers = new int[prompts.size()][];
  }

  public static void main(String[] args) throws IOException {
    if (List.of(args).contains("--help")) {
      System.out.print(USAGE);
      return;
    }
    Map<String, String> options = new HashMap<>();
    for (int i = 0; i + 1 < args.length; i += 2) options.put(args[i], args[i + 1]);
    if (!options.containsKey("--model") || args.length % 2 != 0) {
      throw new IllegalArgumentException("--model FILE is needed\n" + USAGE);
    }
    Path model = Path.of(options.remove("--model"));
    int rounds = number(options, "--rounds", 1);
    int threads = number(options, "--threads", 2);
    int batch = number(options, "--batch-tokens", 256);
    int seed = number(options, "--seed", 7);
    String file = options.remove("--out");
    if (!options.isEmpty()) {
      throw new IllegalArgumentException("no such options: " + options + "\n" + USAGE);
    }
    EngineConfig config = new EngineConfig(model, "cpu", threads, 1L << 30, batch, 0, null, null);
    int vocabulary;
    try (Engine engine = Engine.open(config)) {
      vocabulary = engine.spec().vocabulary();
      System.out.printf("%s, %d threads, seed %d%n", engine.describe(), threads, seed);
    }
    int most = CASES.stream().mapToInt(Case::prompts).max().orElseThrow();
    TailBench bench = new TailBench(config, Workloads.tails(most, seed, vocabulary));
    List<String> lines = bench.table(CASES, rounds, System.out);
    if (file != null) Files.write(Path.of(file), lines);
    lines.forEach(System.out::println);
  }

  private static int number(Map<String, String> options, String name, int initial) {
    String text = options.remove(name);
    if (text == null) return initial;
    if (text.matches("[1-9]\\d{0,8}")) return Integer.parseInt(text);
    throw new IllegalArgumentException(
        "%s: expected a whole number above 0, got %s".formatted(name, text));
  }

  /** Measures and prints a table; a line of JSON for each case. */
  List<String> table(List<Case> cases, int rounds, PrintStream out) throws IOException {
    List<List<Run>> runs = new ArrayList<>();
    cases.forEach(c -> runs.add(new ArrayList<>()));
    for (int round = 0; round < rounds; round++) {
      Time before = perToken(SETTLED, STEADY);
      List<Time> taken = new ArrayList<>();
      for (Case c : cases) taken.add(makespan(c));
      Time perToken = before.plus(perToken(SETTLED, STEADY)).times(0.5);
      for (int i = 0; i < cases.size(); i++) {
        runs.get(i).add(new Run(taken.get(i), perToken.times(tokens(cases.get(i)))));
      }
    }
    out.println(HEADER);
    List<String> lines = new ArrayList<>();
    for (int i = 0; i < cases.size(); i++) {
      out.println(row(cases.get(i), runs.get(i)));
      lines.add(json(cases.get(i), runs.get(i)));
    }
    return lines;
  }

  /** Tokens that must be computed for a case if none is computed twice. */
  long tokens(Case c) {
    List<Prompt> all = prompts.subList(0, c.prompts());
    TokenTrie trie = TokenTrie.of(all.stream().map(Prompt::tokens).toList(), KvLayout.TILE);
    return trie.planned() + all.stream().mapToLong(p -> p.outputs() - 1).sum();
  }

  /** From the first request of the first task to the last answer of the last. */
  Time makespan(Case c) throws IOException {
    AtomicInteger next = new AtomicInteger();
    int[][] generated = new int[c.prompts()][];
    ExecutorService slots = Executors.newFixedThreadPool(c.slots());
    try (Engine engine = WorkloadRun.open(config)) {
      Time begin = Time.now();
      List<Future<?>> ended = new ArrayList<>();
      for (int slot = 0; slot < c.slots(); slot++) {
        ended.add(
            slots.submit(
                () -> {
                  int from = next.getAndAdd(c.taskPrompts());
                  for (; from < c.prompts(); from = next.getAndAdd(c.taskPrompts())) {
                    int to = Math.min(c.prompts(), from + c.taskPrompts());
                    List<Integer> task = IntStream.range(from, to).boxed().toList();
                    WorkloadRun.answer(engine, prompts, task, generated);
                  }
                }));
      }
      for (Future<?> slot : ended) slot.get();
      Time taken = Time.now().since(begin);
      check(c, generated);
      return taken;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    } catch (ExecutionException e) {
      throw new IllegalStateException(c + " failed", e.getCause());
    } finally {
      slots.shutdownNow();
    }
  }

  /** How tasks are cut and fed must change no token. */
  private void check(Case c, int[][] generated) {
    for (int i = 0; i < c.prompts(); i++) {
      if (answers[i] == null) answers[i] = generated[i];
      if (!Arrays.equals(answers[i], generated[i])) {
        throw new IllegalStateException(c + ": prompt " + i + " generates other tokens");
      }
    }
  }

  /** A single feed's requests, which says when its ideal time begins and ends. */
  private final class Steady implements Iterator<Request> {
    private final Engine engine;
    private final int settled;
    private final int count;
    private int given;
    private Time time = new Time(0, 0);
    private long tokens;

    Steady(Engine engine, int settled, int count) {
      this.engine = engine;
      this.settled = settled;
      this.count = count;
    }

    @Override
    public boolean hasNext() {
      return given < count;
    }

    @Override
    public Request next() {
      if (given == settled) mark(-1);
      Prompt prompt = prompts.get(given % prompts.size());
      Request request = WorkloadRun.request(given++, prompt);
      if (given == count) mark(1);
      return request;
    }

    private void mark(int sign) {
      SchedulerMetrics done = engine.metrics().scheduler();
      time = time.plus(Time.now().times(sign));
      tokens += sign * (done.prefillTokens() + done.decodeTokens());
    }
  }

  /** A token's time while prompts {@code settled} to {@code count} of one feed go in. */
  Time perToken(int settled, int count) throws IOException {
    try (Engine engine = WorkloadRun.open(config)) {
      Steady requests = new Steady(engine, settled, count);
      Iterator<Completion> completions = engine.run(requests, () -> false);
      while (requests.hasNext() && completions.hasNext()) completions.next();
      if (requests.tokens < 1) {
        throw new IllegalStateException(
            "no token was computed between prompts %d and %d".formatted(settled, count));
      }
      return requests.time.times(1.0 / requests.tokens);
    }
  }

  private static double[] sorted(List<Run> runs, ToDoubleFunction<Run> value) {
    return runs.stream().mapToDouble(value).sorted().toArray();
  }

  private String row(Case c, List<Run> runs) {
    double[] seconds = sorted(runs, r -> r.taken.wall);
    double[] ratios = sorted(runs, Run::ratio);
    return String.format(
        Locale.ROOT,
        "TL       %4d %5d %7d %5d %8d %8.3f (%.3f..%.3f) %14.3f %8.3f (%.3f..%.3f) %10.3f",
        c.taskPrompts(),
        c.slots(),
        c.prompts(),
        tasks(c),
        tokens(c),
        seconds[seconds.length / 2],
        seconds[0],
        seconds[seconds.length - 1],
        sorted(runs, r -> r.ideal.wall)[runs.size() / 2],
        ratios[ratios.length / 2],
        ratios[0],
        ratios[ratios.length - 1],
        sorted(runs, Run::cpuRatio)[runs.size() / 2]);
  }

  private String json(Case c, List<Run> runs) {
    double[] ratios = sorted(runs, Run::ratio);
    return String.format(
        Locale.ROOT,
        "{\"workload\": \"TL\", \"task_prompts\": %d, \"slots\": %d, \"prompts\": %d,"
            + " \"tasks\": %d,"
            + " \"tokens\": %d, \"rounds\": %d, \"makespan_s\": %.4f, \"ideal_s\": %.4f,"
            + " \"ratio\": %.4f, \"ratio_min\": %.4f, \"ratio_max\": %.4f,"
            + " \"cpu_ratio\": %.4f}",
        c.taskPrompts(),
        c.slots(),
        c.prompts(),
        tasks(c),
        tokens(c),
        runs.size(),
        sorted(runs, r -> r.taken.wall)[runs.size() / 2],
        sorted(runs, r -> r.ideal.wall)[runs.size() / 2],
        ratios[ratios.length / 2],
        ratios[0],
        ratios[ratios.length - 1],
        sorted(runs, Run::cpuRatio)[runs.size() / 2]);
  }

  private static int tasks(Case c) {
    return (c.prompts() + c.taskPrompts() - 1) / c.taskPrompts();
  }
}
