package io.shadowbatch.bench;

import com.sun.management.OperatingSystemMXBean;
import io.shadowbatch.engine.Engine;
import io.shadowbatch.engine.EngineConfig;
import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;

/**
 * Times the whole engine on seeded random tokens, greedy, end token ignored; one JSON line a run.
 *
 * <p>Workloads: prefill512 (one prompt of 512 tokens, 1 out), prefill8x512 (eight of them),
 * decode32 (32 prompts of 16, 128 out each), group32 (32 prompts of one prefix of 1536 plus 64 own,
 * 32 out each, everything from cold).
 */
public final class EngineBench {
  private static final String USAGE =
      "EngineBench --model FILE [--threads N] [--rounds N] [--batch-tokens N] [--kv-codec C]"
          + " [--backend B] [--workloads a,b]";

  private final Random random = new Random(7);
  private final Engine engine;

  private EngineBench(Engine engine) {
    this.engine = engine;
  }

  public static void main(String[] args) throws IOException {
    Map<String, String> options = new HashMap<>();
    for (int i = 0; i + 1 < args.length; i += 2) options.put(args[i], args[i + 1]);
    if (!options.containsKey("--model") || args.length % 2 != 0) {
      throw new IllegalArgumentException(USAGE);
    }
    int threads = Integer.parseInt(options.getOrDefault("--threads", "2"));
    EngineConfig config =
        new EngineConfig(
            Path.of(options.get("--model")),
            options.getOrDefault("--backend", "cpu"),
            threads,
            2L << 30,
            Integer.parseInt(options.getOrDefault("--batch-tokens", "512")),
            4608,
            options.containsKey("--kv-codec")
                ? KvCodec.valueOf(options.get("--kv-codec").toUpperCase(Locale.ROOT))
                : null,
            null);
    long t0 = System.nanoTime();
    try (Engine engine = Engine.open(config)) {
      System.out.printf(
          Locale.ROOT,
          "{\"name\": \"load\", \"wall\": %.2f, \"engine\": \"%s\"}%n",
          (System.nanoTime() - t0) / 1e9,
          engine.describe());
      List<String> names =
          List.of(
              options
                  .getOrDefault("--workloads", "prefill512,prefill8x512,decode32,group32")
                  .split(","));
      new EngineBench(engine)
          .rounds(names, Integer.parseInt(options.getOrDefault("--rounds", "5")));
    }
  }

  private void rounds(List<String> names, int rounds) {
    run("warm-up", List.of(tokens(512), tokens(512)), 8, 0);
    for (int i = 0; i < rounds; i++) {
      for (String name : names) workload(name);
    }
  }

  private void workload(String name) {
    switch (name) {
      case "prefill512" -> run(name, List.of(tokens(512)), 1, 512);
      case "prefill8x512" -> run(name, prompts(8, 512), 1, 4096);
      case "decode32" -> run(name, prompts(32, 16), 128, 4096);
      case "group32" -> {
        int[] prefix = tokens(1536);
        List<int[]> group = new ArrayList<>();
        for (int[] own : prompts(32, 64)) {
          int[] prompt = Arrays.copyOf(prefix, 1600);
          System.arraycopy(own, 0, prompt, 1536, 64);
          group.add(prompt);
        }
        run(name, group, 32, 1024);
      }
      default -> throw new IllegalArgumentException("workload " + name + "; " + USAGE);
    }
  }

  private List<int[]> prompts(int count, int length) {
    List<int[]> prompts = new ArrayList<>();
    for (int i = 0; i < count; i++) prompts.add(tokens(length));
    return prompts;
  }

  private int[] tokens(int length) {
    int vocabulary = Math.min(49_000, engine.spec().vocabulary());
    return random.ints(length, 10, vocabulary).toArray();
  }

  private void run(String name, List<int[]> prompts, int out, int counted) {
    SamplingParams params =
        new SamplingParams(out, out, 0, 1, 0, 0, 0, List.of(), List.of(), 0, 0, 1, -1, true);
    List<Request> requests = new ArrayList<>();
    for (int[] prompt : prompts) requests.add(new Request(requests.size(), prompt, params));
    EngineMetrics before = engine.metrics();
    long cpu = cpuNanos();
    long t0 = System.nanoTime();
    Iterator<Completion> answers = engine.run(requests.iterator(), () -> false);
    int tokens = 0;
    while (answers.hasNext()) tokens += answers.next().tokenIds().length;
    double wall = (System.nanoTime() - t0) / 1e9;
    double cpuSeconds = (cpuNanos() - cpu) / 1e9;
    if (tokens != out * prompts.size()) {
      throw new IllegalStateException(
          name + ": expected " + out * prompts.size() + " tokens, got " + tokens);
    }
    EngineMetrics after = engine.metrics();
    System.out.printf(
        Locale.ROOT,
        "{\"name\": \"%s\", \"wall\": %.4f, \"cpu\": %.4f, \"tok_s\": %.1f, \"tok_cpu_s\": %.1f,"
            + " \"prefill_tokens\": %d, \"steps\": %d, \"compute_s\": %.4f, \"sample_s\": %.4f}%n",
        name,
        wall,
        cpuSeconds,
        counted / wall,
        counted / cpuSeconds,
        after.scheduler().prefillTokens() - before.scheduler().prefillTokens(),
        after.scheduler().steps() - before.scheduler().steps(),
        after.computeSeconds() - before.computeSeconds(),
        after.sampleSeconds() - before.sampleSeconds());
  }

  private static long cpuNanos() {
    return ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getProcessCpuTime();
  }
}
