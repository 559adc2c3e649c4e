package io.shadowbatch.plan;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/**
 * CPU time of planning: {@code java -cp <job jar> io.shadowbatch.plan.PlanBench [prompts ...]}.
 * Prompts are synthetic, 4 to 5 KB, 16 to a shared prefix; making them is not counted.
 */
public final class PlanBench {

  private static final int DEGREE = 16;
  private static final int PREFIX_BYTES = 3_600;
  private static final int OWN_BYTES_MIN = 400;
  private static final int OWN_BYTES_MAX = 1_400;
  private static final double BYTES_PER_TOKEN = 4;
  private static final long SEED = 7;

  private PlanBench() {}

  /** Prints microseconds of CPU a prompt; by default for a hundred thousand and a million. */
  public static void main(String[] arguments) {
    int[] sizes = {20_000, 100_000, 1_000_000};
    if (arguments.length > 0)
      sizes = Arrays.stream(arguments).mapToInt(Integer::parseInt).toArray();
    for (int size : sizes) measure(size);
  }

  private static void measure(int prompts) {
    List<SortedPrompt<Integer>> signed = new ArrayList<>(prompts);
    long[] hashing = sign(signed, prompts);
    long begin = cpuNanos();
    signed.sort((a, b) -> Arrays.compareUnsigned(a.signature(), b.signature()));
    long sorting = cpuNanos() - begin;
    begin = cpuNanos();
    PrefixGroupPlanner<Integer> planner =
        new PrefixGroupPlanner<>(signed.iterator(), PlanRules.of(BYTES_PER_TOKEN));
    while (planner.hasNext()) planner.next();
    long planning = cpuNanos() - begin;
    System.out.printf(
        Locale.ROOT,
        "%d prompts of %d bytes, seed %d: us of CPU a prompt: SHA-256 %.2f, block hashes %.2f,"
            + " sort %.2f, plan %.2f, in all %.2f; saved %.1f %%, optimum %.1f %%%n",
        prompts,
        planner.statistics().promptBytes() / Math.max(1, prompts),
        SEED,
        micros(hashing[0], prompts),
        micros(hashing[1], prompts),
        micros(sorting, prompts),
        micros(planning, prompts),
        micros(hashing[0] + hashing[1] + sorting + planning, prompts),
        100 * planner.statistics().savedShare(),
        100 * planner.statistics().optimumShare());
  }

  /** Signs prompts group by group, for a million of them fill more memory than their hashes. */
  private static long[] sign(List<SortedPrompt<Integer>> signed, int prompts) {
    Random random = new Random(SEED);
    byte[] prefix = new byte[PREFIX_BYTES];
    byte[][] texts = new byte[DEGREE][];
    byte[][] hashes = new byte[DEGREE][];
    long[] nanos = new long[2];
    while (signed.size() < prompts) {
      random.nextBytes(prefix);
      for (int i = 0; i < DEGREE; i++) {
        int own = OWN_BYTES_MIN + random.nextInt(OWN_BYTES_MAX - OWN_BYTES_MIN + 1);
        texts[i] = Arrays.copyOf(prefix, PREFIX_BYTES + own);
        for (int at = PREFIX_BYTES; at < texts[i].length; at++) {
          texts[i][at] = (byte) random.nextInt();
        }
      }
      long begin = cpuNanos();
      for (int i = 0; i < DEGREE; i++) hashes[i] = PrefixSignature.sha256(texts[i]);
      long between = cpuNanos();
      for (int i = 0; i < DEGREE && signed.size() < prompts; i++) {
        byte[] signature = PrefixSignature.of(texts[i], hashes[i]);
        signed.add(new SortedPrompt<>(signature, texts[i].length, 100, signed.size()));
      }
      nanos[0] += between - begin;
      nanos[1] += cpuNanos() - between;
    }
    return nanos;
  }

  private static long cpuNanos() {
    return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
  }

  private static double micros(long nanos, int prompts) {
    return nanos / 1e3 / Math.max(1, prompts);
  }
}
