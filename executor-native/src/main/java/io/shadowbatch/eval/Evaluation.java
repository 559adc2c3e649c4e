package io.shadowbatch.eval;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.model.Decoder;
import io.shadowbatch.model.Model;
import io.shadowbatch.model.ModelSpec;
import io.shadowbatch.model.PackOptions;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Says how far policies for keys and values move a model's answers, and what they save. */
public final class Evaluation {
  private static final String USAGE =
      """
      eval --model FILE --suite S[,S] --policy P [--policy P ..] [--dense P] [--json FILE]
          [--limit N] [--tokens N] [--threads N] [--seed N] [--answers FILE] [--packs FOLDER]

      suites:
        needle4k  20 prompts of 4096 tokens, a pass key at 10 depths
        nat2k     32 passages of prose of 2048 tokens, the last 64 scored
        nat4k     6 of 4096, the last 64 scored
        group4k   8 texts of 4096, 16 questions about each, up to 16 rows
        turns4k   8 texts of 4096, 5 questions one after the other, up to 32 rows
        gen1k     16 prompts of 1024, 1024 rows drawn from the dense run
        json4k    16 prompts of 4096 with 8 fields, up to 112 rows
      policies:
        full              all keys and values, in the engine's form for the model
        int8, fp16        all, in that form
        int4:group=32     rounded to 4 bits for each token and 32 dimensions
        shadow:budget=512,outliers=16,chunk=8,from=1024,codec=auto,rank=0,store=fp16
                          ShadowKV: prompts from 1024 tokens on are read in part; codec int8 or
                          fp16; keys of a rank, as fp16 or int8 factors
        streaming:budget=512, h2o:budget=512, window:budget=512,queries=32
                          of a prompt's beginning only chunks of 8 are kept: the first and the
                          latest, or those that all or the last 32 of its queries attend to most
      --dense    what all are compared with (default full)
      --limit    only the first N cases of a suite
      --tokens   length of prompts in place of the suite's
      --json     a line for each suite and policy
      --answers  what was said where there is a right answer
      --packs    where packed weights are kept
      defaults: limit 0 (all), tokens 0 (the suite's), threads 2, seed 7
      """;

  /** What the command line says. */
  private record Options(
      Path model,
      List<Suite> suites,
      List<EvalPolicy> policies,
      EvalPolicy dense,
      Map<String, String> files,
      Map<String, Integer> numbers) {}

  private final Options options;
  private final PrintStream out;

  private Evaluation(Options options, PrintStream out) {
    this.options = options;
    this.out = out;
  }

  public static void main(String[] args) throws IOException {
    if (!passes(args)) System.exit(1);
  }

  /**
   * Runs the command.
   *
   * @return false if a policy fails a gate, which the output names
   * @throws IllegalArgumentException if the arguments are wrong
   */
  public static boolean passes(String[] args) throws IOException {
    return run(List.of(args), System.out);
  }

  static boolean run(List<String> args, PrintStream out) throws IOException {
    if (args.contains("--help")) {
      out.print(USAGE);
      return true;
    }
    return new Evaluation(options(args), out).run();
  }

  private static Options options(List<String> args) {
    Map<String, Integer> numbers = new LinkedHashMap<>();
    numbers.put("--limit", 0);
    numbers.put("--tokens", 0);
    numbers.put("--threads", 2);
    numbers.put("--seed", 7);
    Map<String, String> texts = new LinkedHashMap<>();
    List<String> known = List.of("--model", "--suite", "--dense", "--json", "--answers", "--packs");
    List<EvalPolicy> policies = new ArrayList<>();
    for (int i = 0; i < args.size(); i += 2) {
      String name = args.get(i);
      if (i + 1 == args.size()) throw wrong(name + " has no value");
      String value = args.get(i + 1);
      if (name.equals("--policy")) policies.add(EvalPolicy.parse(value));
      else if (known.contains(name)) texts.put(name, value);
      else if (!numbers.containsKey(name)) throw wrong("there is no option " + name);
      else if (value.matches("[0-9]{1,9}")) numbers.put(name, Integer.parseInt(value));
      else throw wrong(name + ": expected a whole number from 0, got '" + value + "'");
    }
    for (String needed : List.of("--model", "--suite")) {
      if (!texts.containsKey(needed)) throw wrong(needed + " is needed");
    }
    if (policies.isEmpty()) throw wrong("at least one --policy is needed");
    List<Suite> suites = new ArrayList<>();
    for (String name : texts.get("--suite").split(",")) {
      Suite suite = Suite.of(name);
      int tokens = numbers.get("--tokens");
      suites.add(tokens == 0 ? suite : suite.withTokens(tokens));
    }
    String dense = texts.getOrDefault("--dense", EvalPolicy.full().text());
    Path model = Path.of(texts.get("--model"));
    return new Options(model, suites, policies, EvalPolicy.parse(dense), texts, numbers);
  }

  private static IllegalArgumentException wrong(String what) {
    return new IllegalArgumentException(what + "\n" + USAGE);
  }

  private boolean run() throws IOException {
    int threads = options.numbers.get("--threads");
    int seed = options.numbers.get("--seed");
    PackOptions pack = PackOptions.standard().threads(threads);
    String packs = options.files.get("--packs");
    if (packs != null) pack = pack.in(Path.of(packs));
    try (Kernels kernels = Backend.open("cpu", threads);
        Model model = Model.open(options.model, kernels, pack)) {
      ModelSpec spec = model.spec();
      ChatFrame frame = ChatFrame.of(model.header());
      Map<Suite, List<EvalCase>> suites = cases(frame, seed);
      int longest = 1;
      for (var suite : suites.entrySet()) {
        for (EvalCase c : suite.getValue()) {
          longest = Math.max(longest, c.longest());
          checkContext(suite.getKey(), c, spec);
        }
      }
      out.printf("%s, %d threads, seed %d%n", kernels.describe(), threads, seed);
      RopeTable rope = RopeTable.of(kernels, spec.rope().frequencies(), longest);
      EvalPolicies stores = new EvalPolicies(kernels, spec, rope);
      for (EvalPolicy p : options.policies) stores.open(p, 1).close(); // errors come first
      Decoder decoder = new Decoder(kernels, spec, model.weights(), CaseRun.STEP);
      List<String> said = new ArrayList<>();
      SuiteRun run =
          new SuiteRun(
              decoder,
              stores,
              frame,
              options.dense,
              options.policies,
              said::add,
              System.err::println);
      return print(run, suites, seed, said);
    }
  }

  private Map<Suite, List<EvalCase>> cases(ChatFrame frame, long seed) {
    NaturalText text = NaturalText.load();
    int limit = options.numbers.get("--limit");
    Map<Suite, List<EvalCase>> suites = new LinkedHashMap<>();
    for (Suite suite : options.suites) {
      List<EvalCase> all = Cases.of(suite, frame, text, seed);
      suites.put(suite, limit == 0 ? all : all.subList(0, Math.min(limit, all.size())));
    }
    return suites;
  }

  private static void checkContext(Suite suite, EvalCase c, ModelSpec spec) {
    if (c.longest() <= spec.contextLength()) return;
    throw new IllegalArgumentException(
        "%s: %d tokens with the answer, the model has %d; give --tokens a smaller number"
            .formatted(suite.name(), c.longest(), spec.contextLength()));
  }

  private boolean print(
      SuiteRun run, Map<Suite, List<EvalCase>> suites, long seed, List<String> said)
      throws IOException {
    out.println(SuiteResult.HEADER);
    List<String> lines = new ArrayList<>();
    boolean passed = true;
    for (var suite : suites.entrySet()) {
      List<SuiteResult> results = run.of(suite.getKey(), suite.getValue(), seed);
      for (SuiteResult result : results) {
        out.println(result.row());
        lines.add(result.json());
        passed &= !result.failsGate();
      }
      results.stream().filter(SuiteResult::failsGate).forEach(r -> out.println(r.gate()));
      // After each suite, so that a run that is given up leaves what it has.
      write("--json", lines);
      write("--answers", said);
    }
    return passed;
  }

  private void write(String option, List<String> lines) throws IOException {
    String file = options.files.get(option);
    if (file != null) Files.write(Path.of(file), lines);
  }
}
