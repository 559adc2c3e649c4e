package io.shadowbatch.bench;

import io.shadowbatch.bench.Workload.Prompt;
import io.shadowbatch.engine.Engine;
import io.shadowbatch.engine.EngineConfig;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.model.ModelSpec;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Runs workloads that share prefixes in different ways with and without prefix sharing, each run on
 * an engine of its own, and prints what was computed, how long it took and what was expected. Fails
 * if two baselines generate different tokens.
 */
public final class WorkloadBench {
  private static final String USAGE =
      """
      bench workloads --model FILE [--workloads M2,M16,..] [--baselines NONE,SHARED,..]
          [--rounds N] [--threads N] [--batch-tokens N] [--kv-tokens N] [--seed N] [--out FILE]

      workloads (all by default; REL stands for both orders of columns):
        M2 M4 M16 M64  64 prompts of 256 shared + 32 own tokens, degree 2..64, 16 out
        MB             256 of 512 + 32, degree 16, 16 out, room for 5120 tokens only
        MX             8 groups of 8 of 512 + 16, 2 out; 8 of 8 of 64 + 16, 48 out
        SD             128 of system 64, one of 24 documents (Zipf, ~160), 4 instructions, query
        FS             96 of 8 tasks of ~192 + ~24, 1 out
        REL_GOOD/_BAD  128 rows of 3 columns, the shared ones first / the unique one first
        CV             12 conversations of 3..7 turns, all turns
        UQ             32 of 288 that share nothing
        DUP            32 of 288, each twice; duplicates are computed as far as reuse does not help:
                       leaving them out is the job's business, not the engine's
      Greedy, end token ignored, token ids uniform random from the seed. The suite's other two have
      commands of their own: TL (tails of tasks) is bench tails, PL (planning) bench plan.

      baselines (all by default):
        NONE        no prefix reuse, requests shuffled
        LRU_RANDOM  prefixes reused, shuffled
        CAPPED      prefixes reused, depth-first order, at most 16 requests at a time
        LRU_SORTED  the same, limited by memory only
        SHARED      the same, and rows that read the same page go through it together (the default)

      defaults: rounds 3, threads 2, batch-tokens 256, kv-tokens 0: 1 GiB for keys and values, which
      is room for all but MB. The expected ratios are of a simulation with room for 5k tokens
      (--kv-tokens 5120), at most 16 requests at a time, where dropping that cap changed nothing,
      and steps of 64 tokens.
      """;

  private final EngineConfig config;
  private final PrintStream out;
  private final ModelSpec spec;

  /** Opens the model once, to pack its weights and to warm up. */
  WorkloadBench(EngineConfig config, long seed, PrintStream out) throws IOException {
    this.config = config;
    this.out = out;
    try (Engine engine = Engine.open(config)) {
      this.spec = engine.spec();
      out.printf(
          Locale.ROOT,
          "%s, %d threads, batch %d tokens, seed %d%n",
          engine.describe(),
          config.threads(),
          config.batchTokens(),
          seed);
    }
    List<Prompt> warmUp = Workloads.of("UQ", seed, spec.vocabulary()).prompts().subList(0, 2);
    WorkloadRun.of(config, warmUp, List.of(0, 1));
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
    Map<String, Integer> numbers = new HashMap<>();
    Map.of("--rounds", 3, "--threads", 2, "--batch-tokens", 256, "--kv-tokens", 0, "--seed", 7)
        .forEach((name, initial) -> numbers.put(name, number(options.remove(name), initial)));
    Path model = Path.of(options.remove("--model"));
    List<String> ids = ids(options.remove("--workloads"));
    List<SharingMode> baselines = baselines(options.remove("--baselines"));
    String file = options.remove("--out");
    // Occupancy is a share of the step: its size is not left to the engine's calibration.
    if (!options.isEmpty() || numbers.get("--rounds") < 1 || numbers.get("--batch-tokens") < 16) {
      throw new IllegalArgumentException("wrong: " + options + numbers + "\n" + USAGE);
    }
    EngineConfig config =
        new EngineConfig(
            model,
            "cpu",
            numbers.get("--threads"),
            1L << 30,
            numbers.get("--batch-tokens"),
            0,
            null,
            null);
    int seed = numbers.get("--seed");
    WorkloadBench bench = new WorkloadBench(config, seed, System.out);
    System.out.println(WorkloadResult.HEADER);
    List<String> lines = new ArrayList<>();
    for (String id : ids) {
      Workload w = Workloads.of(id, seed, bench.spec.vocabulary());
      int cap = numbers.get("--kv-tokens");
      if (cap > 0) w = new Workload(w.id(), w.prompts(), cap);
      for (WorkloadResult r : bench.run(w, baselines, numbers.get("--rounds"))) {
        System.out.println(r.row());
        lines.add(r.json());
      }
      // After each workload, so that a run that is given up leaves what it has.
      if (file != null) Files.write(Path.of(file), lines);
    }
    lines.forEach(System.out::println);
  }

  private static int number(String text, int initial) {
    return text == null ? initial : Integer.parseInt(text);
  }

  private static List<String> ids(String text) {
    if (text == null) return Workloads.IDS;
    return Stream.of(text.toUpperCase(Locale.ROOT).split(","))
        .flatMap(id -> id.equals("REL") ? Stream.of("REL_GOOD", "REL_BAD") : Stream.of(id))
        .toList();
  }

  private static List<SharingMode> baselines(String text) {
    if (text == null) return List.of(SharingMode.values());
    return Stream.of(text.toUpperCase(Locale.ROOT).split(",")).map(SharingMode::valueOf).toList();
  }

  /** Rounds of all baselines in turn, so that a busy moment of the machine meets them alike. */
  List<WorkloadResult> run(Workload workload, List<SharingMode> baselines, int rounds)
      throws IOException {
    List<int[]> prompts = workload.prompts().stream().map(Prompt::tokens).toList();
    TokenTrie trie = TokenTrie.of(prompts, KvLayout.TILE);
    List<Integer> shuffled = IntStream.range(0, prompts.size()).boxed().toList();
    Map<SharingMode, List<WorkloadRun>> runs = new EnumMap<>(SharingMode.class);
    Integer answers = null;
    for (int round = 0; round < rounds; round++) {
      for (SharingMode b : baselines) {
        List<Integer> order = b.order() == SharingMode.Order.SORTED ? trie.order() : shuffled;
        WorkloadRun run = WorkloadRun.of(b.of(capped(workload)), workload.prompts(), order);
        if (answers != null && answers != run.answers()) {
          throw new IllegalStateException(workload.id() + ": " + b + " generates other tokens");
        }
        answers = run.answers();
        runs.computeIfAbsent(b, k -> new ArrayList<>()).add(run);
      }
    }
    int batch = config.batchTokens();
    double none = Double.NaN;
    if (runs.containsKey(SharingMode.NONE)) {
      List<WorkloadRun> all = runs.get(SharingMode.NONE);
      none = new WorkloadResult(workload, trie, SharingMode.NONE, all, batch, 0).median().seconds();
    }
    List<WorkloadResult> results = new ArrayList<>();
    for (SharingMode b : baselines) {
      results.add(new WorkloadResult(workload, trie, b, runs.get(b), batch, none));
    }
    return results;
  }

  private EngineConfig capped(Workload workload) {
    if (workload.kvTokens() == 0) return config;
    KvLayout layout = spec.kvLayout(config.codec(spec));
    return config.withKvBytes(workload.kvTokens() / KvLayout.TILE * layout.pageBytes());
  }
}
