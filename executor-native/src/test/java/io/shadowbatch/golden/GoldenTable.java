package io.shadowbatch.golden;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/** How far a scorer is from float32 references, prompt by prompt and all in all. */
public final class GoldenTable {
  private final List<Double> probe = new ArrayList<>();
  private final List<Double> top20 = new ArrayList<>();
  private final List<Double> shares = new ArrayList<>();
  private int tails;
  private int tailsEqual;
  private int equalContinuations;
  private double widestGap;

  /** Scores one reference; the continuation is skipped where {@code tokens} is 0. */
  public void add(Scorer scorer, JsonNode reference, int tokens) {
    int[] ids = ints(reference.get("ids"));
    JsonNode tail = reference.get("tail");
    Set<Integer> positions = new HashSet<>();
    for (JsonNode t : tail) positions.add(t.get(0).asInt());
    positions.add(ids.length - 1);
    int[] wanted = positions.stream().mapToInt(Integer::intValue).sorted().toArray();
    float[][] logits = scorer.logits(ids, 0, wanted);
    for (JsonNode t : tail) {
      int at = Arrays.binarySearch(wanted, t.get(0).asInt());
      tails++;
      tailsEqual += Scorer.best(logits[at]) == t.get(1).asInt() ? 1 : 0;
    }
    float[] last = logits[wanted.length - 1];
    compareLast(last, reference.get("last"));
    if (tokens > 0) follow(scorer, ids, last, reference.get("greedy"), tokens);
  }

  private void compareLast(float[] last, JsonNode reference) {
    double sum = 0;
    JsonNode probes = reference.get("probe");
    for (int i = 0; i < probes.size(); i++) {
      double d = last[(int) (i * 769L % last.length)] - probes.get(i).asDouble();
      sum += d * d;
    }
    probe.add(Math.sqrt(sum / probes.size()));
    double largest = 0;
    for (JsonNode t : reference.get("top")) {
      largest = Math.max(largest, Math.abs(last[t.get(0).asInt()] - t.get(1).asDouble()));
    }
    top20.add(largest);
  }

  private void follow(Scorer scorer, int[] prompt, float[] last, JsonNode greedy, int tokens) {
    int[] ids = prompt;
    float[] logits = last;
    int length = Math.min(tokens, greedy.size());
    int same = 0;
    while (same < length) {
      int token = Scorer.best(logits);
      if (token != greedy.get(same).get(0).asInt()) {
        widestGap = Math.max(widestGap, greedy.get(same).get(1).asDouble());
        break;
      }
      if (++same == length) break;
      ids = Arrays.copyOf(ids, ids.length + 1);
      ids[ids.length - 1] = token;
      logits = scorer.logits(ids, ids.length - 1, new int[] {ids.length - 1})[0];
    }
    equalContinuations += same == length ? 1 : 0;
    shares.add(same / (double) length);
  }

  public double probeMedian() {
    return median(probe);
  }

  public double probeWorst() {
    return worst(probe);
  }

  public double top20Median() {
    return median(top20);
  }

  public double top20Worst() {
    return worst(top20);
  }

  public double tailAgreement() {
    return tailsEqual / (double) tails;
  }

  public double shareMean() {
    return shares.stream().mapToDouble(d -> d).average().orElse(1);
  }

  int equalContinuations() {
    return equalContinuations;
  }

  public double widestGap() {
    return widestGap;
  }

  public String text(String title) {
    return String.format(
        Locale.ROOT,
        "%s%n"
            + "  probe logits, rms: median / worst prompt         %.4f / %.4f%n"
            + "  largest difference in top 20: median / worst     %.4f / %.4f%n"
            + "  top-1 agreement over the tails                   %.4f (%d of %d)%n"
            + "  greedy continuations equal to the end            %d of %d%n"
            + "  mean share before the first difference           %.3f%n"
            + "  reference's gap at a first difference, largest   %.4f",
        title,
        probeMedian(),
        probeWorst(),
        top20Median(),
        top20Worst(),
        tailAgreement(),
        tailsEqual,
        tails,
        equalContinuations,
        shares.size(),
        shareMean(),
        widestGap);
  }

  private static double median(List<Double> values) {
    double[] sorted = values.stream().mapToDouble(d -> d).sorted().toArray();
    int n = sorted.length;
    return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  }

  private static double worst(List<Double> values) {
    return values.stream().mapToDouble(d -> d).max().orElse(0);
  }

  public static int[] ints(JsonNode array) {
    int[] ints = new int[array.size()];
    for (int i = 0; i < ints.length; i++) ints[i] = array.get(i).asInt();
    return ints;
  }
}
