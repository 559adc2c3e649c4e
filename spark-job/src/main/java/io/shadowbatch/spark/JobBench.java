package io.shadowbatch.spark;

import io.shadowbatch.engine.KvChoice.Asked;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.spark.PreparedRows.Prepared;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.sql.Row;

/**
 * Measures what Spark adds: the demo's prompts through the bare engine and through the whole job,
 * in one process, warm, alternating. Prints one line.
 */
public final class JobBench {

  private static final int ROUNDS = 5;
  private static final int WARM_UPS = 6;

  private JobBench() {}

  /** Options are the job's; {@code --model} is needed, {@code --max-tokens} is 48 if not given. */
  public static void main(String[] args) throws Exception {
    Map<String, List<String>> given = new LinkedHashMap<>();
    for (int i = 0; i + 1 < args.length; i += 2) {
      given.put(args[i].replaceFirst("^--", ""), List.of(args[i + 1]));
    }
    Path folder = Files.createTempDirectory("shadowbatch-bench");
    given.putIfAbsent("max-tokens", List.of("48"));
    given.put("input", List.of(folder.resolve("prompts").toString()));
    given.put("output", List.of(folder.resolve("completions").toString()));
    given.put("on-existing", List.of("overwrite"));
    try (Session session = Session.open()) {
      measure(session, given);
    }
  }

  private static void measure(Session session, Map<String, List<String>> given) {
    Settings settings = Settings.merge(given, Session.properties(), null);
    Map<String, List<String>> brief = new LinkedHashMap<>(given);
    brief.put("max-tokens", List.of("1"));
    Settings warmUp = Settings.merge(brief, Session.properties(), null);
    String input = given.get("input").get(0);
    for (int i = 0; i < WARM_UPS; i++) {
      DemoPrompts.write(session.spark(), input);
      new ShadowBatchJob(session.spark(), warmUp, Instant.now(), System.err).run();
    }
    List<Double> bare = new ArrayList<>();
    List<Double> job = new ArrayList<>();
    for (int round = 0; round < ROUNDS; round++) {
      DemoPrompts.write(session.spark(), input, "Answer A" + round);
      bare.add(bare(session, settings));
      DemoPrompts.write(session.spark(), input, "Answer B" + round);
      job.add(job(session, settings));
      System.err.printf(
          Locale.ROOT,
          "round %d: engine %.2f s, job %.2f s%n",
          round,
          bare.get(round),
          job.get(round));
    }
    System.out.printf(
        Locale.ROOT,
        "job-bench engine_s=%.3f job_s=%.3f ratio=%.3f rounds=%d max_tokens=%s spark=%s%n",
        median(bare),
        median(job),
        median(job) / median(bare),
        ROUNDS,
        given.get("max-tokens").get(0),
        session.spark().version());
  }

  /** Seconds of the whole job, its last record included. */
  private static double job(Session session, Settings settings) {
    long begin = System.nanoTime();
    new ShadowBatchJob(session.spark(), settings, Instant.now(), System.err).run();
    return (System.nanoTime() - begin) / 1e9;
  }

  /** Seconds that the engine alone takes for the prompts, which are rendered before. */
  private static double bare(Session session, Settings settings) {
    JobConfig config = JobConfig.of(settings, Instant.now());
    JobPlan plan = JobPlan.open(session.spark(), config);
    CompletionSource source = ExecutorEngine.get(plan.model(), plan.engine());
    KvRule rule = new KvRule(plan.engine().kv().mode(), source.choice());
    return bare(source, prompts(plan), rule);
  }

  private static List<Prepared> prompts(JobPlan plan) {
    List<Prepared> prompts = new ArrayList<>();
    for (Row row :
        PrefixOrdering.apply(plan.prepared(), plan.sharing(), plan.planner(), 1).collectAsList()) {
      prompts.add(PreparedRows.read(row, plan.table().kept().size()));
    }
    return prompts;
  }

  /** With {@code --kv-mode auto} it chooses as if no prompt began like another. */
  private static double bare(CompletionSource source, List<Prepared> prompts, KvRule rule) {
    long begin = System.nanoTime();
    Iterator<Request> requests =
        new Iterator<>() {
          private int next;

          @Override
          public boolean hasNext() {
            return next < prompts.size();
          }

          @Override
          public Request next() {
            Prepared prompt = prompts.get(next);
            int[] tokens = source.encode(new String(prompt.prompt(), StandardCharsets.UTF_8));
            SamplingParams params = RowParams.sampling(RowParams.parsed(prompt.params()), 0);
            int answer = params.maxTokens();
            Asked asked = RowGroup.ALONE.asked(prompt.prompt().length, 1, tokens.length, answer);
            return new Request(next++, tokens, params, rule.of(asked));
          }
        };
    Iterator<Completion> completions = source.run(requests, () -> false);
    while (completions.hasNext()) completions.next();
    return (System.nanoTime() - begin) / 1e9;
  }

  private static double median(List<Double> values) {
    return values.stream().sorted().toList().get(values.size() / 2);
  }
}
