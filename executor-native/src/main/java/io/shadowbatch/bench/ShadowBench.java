package io.shadowbatch.bench;

import io.shadowbatch.engine.DeviceCosts;
import io.shadowbatch.engine.EngineConfig;
import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.engine.ReadCosts;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kv.HostMemory;
import io.shadowbatch.kv.KvSpan;
import io.shadowbatch.kv.KvStore;
import io.shadowbatch.kv.ShadowKvStore;
import io.shadowbatch.kv.ShadowSpec;
import io.shadowbatch.model.Decoder;
import io.shadowbatch.model.Model;
import io.shadowbatch.model.ModelSpec;
import io.shadowbatch.model.PackOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * Times steps in which rows decode behind prompts of seeded random tokens, read whole and in part,
 * by prompt length and by rows that share the prompt; beside it what {@link KvChoice} predicts.
 * Steps are run alternately; medians; one line a cell.
 */
public final class ShadowBench {
  private static final String USAGE =
      "bench shadow --model FILE [--threads 1] [--tokens 2048,4096,8000] [--groups 1,4,16]"
          + " [--budget 512] [--outliers 16] [--kv-codec int8|fp16] [--rank N] [--rounds 21]";
  private static final int OWN = 96;
  private static final int CHUNK = 256;

  private final ModelSpec model;
  private final Decoder decoder;
  private final KvStore store;
  private final int rounds;
  private final int[] tokens;
  private int nextSequence = 1;

  private ShadowBench(ModelSpec model, Decoder decoder, KvStore store, int rounds, int longest) {
    this.model = model;
    this.decoder = decoder;
    this.store = store;
    this.rounds = rounds;
    this.tokens = new Random(7).ints(longest + 2 * OWN, 0, model.vocabulary()).toArray();
  }

  /** What was asked for. */
  private record Asked(EngineConfig config, int[] tokens, int[] groups, int rounds) {}

  public static void main(String[] args) throws IOException {
    Asked asked = asked(args);
    StepCosts steps = DeviceCosts.of(asked.config);
    ReadCosts reads = DeviceCosts.reads(asked.config);
    int longest = Arrays.stream(asked.tokens).max().getAsInt();
    int most = Arrays.stream(asked.groups).max().getAsInt();
    EngineConfig config = asked.config;
    try (Kernels kernels = Backend.open(config.backend(), config.threads());
        Model model = Model.open(config.model(), kernels, PackOptions.standard())) {
      ModelSpec spec = model.spec();
      KvLayout layout = spec.kvLayout(config.codec(spec));
      List<AttentionShape> shapes =
          IntStream.range(0, spec.layers()).mapToObj(i -> spec.attention(i, layout)).toList();
      RopeTable rope = RopeTable.of(kernels, spec.rope().frequencies(), longest + 2 * OWN);
      long bytes = 2 * (longest / KvLayout.TILE + 8L * most + 8) * layout.pageBytes();
      ShadowSpec shadow = config.shadow();
      HostMemory host = HostMemory.of(bytes);
      try (KvStore store =
          new ShadowKvStore(kernels, shapes, rope, shadow, bytes, host, PrefixAttention.SHARED)) {
        Decoder decoder = new Decoder(kernels, spec, model.weights(), CHUNK);
        ShadowBench bench = new ShadowBench(spec, decoder, store, asked.rounds, longest);
        System.out.printf(
            "%s, %s keys and values, %s%n", kernels.describe(), layout.codec(), shadow);
        bench.run(asked, new KvChoice(steps, reads, shadow, 1, 1, 1));
      }
    }
  }

  private static Asked asked(String[] args) {
    Map<String, String> options = new HashMap<>();
    for (int i = 0; i + 1 < args.length; i += 2) options.put(args[i], args[i + 1]);
    if (!options.containsKey("--model") || args.length % 2 != 0) {
      throw new IllegalArgumentException(USAGE);
    }
    int rank = number(options, "--rank", 0);
    ShadowSpec spec =
        ShadowSpec.STANDARD
            .with(number(options, "--budget", 512), number(options, "--outliers", 16))
            .from(0);
    if (rank > 0) spec = spec.holding(KeyStore.LOWRANK_INT8, rank);
    String codec = options.get("--kv-codec");
    EngineConfig config =
        new EngineConfig(
                Path.of(options.get("--model")),
                "cpu",
                number(options, "--threads", 1),
                1L << 30,
                CHUNK,
                0,
                codec == null ? null : KvCodec.valueOf(codec.toUpperCase(Locale.ROOT)),
                null)
            .with(spec, HostMemory.of(1L << 30));
    return new Asked(
        config,
        numbers(options.getOrDefault("--tokens", "2048,4096,8000")),
        numbers(options.getOrDefault("--groups", "1,4,16")),
        number(options, "--rounds", 21));
  }

  private static int number(Map<String, String> options, String name, int initial) {
    return Integer.parseInt(options.getOrDefault(name, Integer.toString(initial)));
  }

  private static int[] numbers(String text) {
    return Arrays.stream(text.split(",")).mapToInt(Integer::parseInt).toArray();
  }

  private void run(Asked asked, KvChoice choice) {
    prefill(0, 0, tokens.length - OWN);
    double base = median(step(rows(1, 64)));
    int agreed = 0;
    int cells = 0;
    System.out.println(" prompt  rows   dense ms  shadow ms   gain  attention  predicted  choice");
    for (int prompt : asked.tokens) {
      for (int group : asked.groups) {
        Rows whole = rows(group, prompt);
        Rows part = rows(group, prompt);
        part.sequences.forEach(s -> store.seal(s, prompt + OWN - 1));
        double[] dense = new double[rounds];
        double[] sparse = new double[rounds];
        for (int i = 0; i < rounds; i++) {
          dense[i] = seconds(whole);
          sparse[i] = seconds(part);
        }
        double few = group == 1 ? base : median(step(rows(group, 64)));
        double gain = median(dense) / median(sparse);
        double attention = (median(dense) - few) / Math.max(1e-9, median(sparse) - few);
        var request = new KvChoice.Asked(prompt + OWN - 1, prompt, group, 0);
        double predicted = choice.gain(request, group);
        boolean same = predicted >= KvChoice.GAIN_LEAST == gain >= KvChoice.GAIN_LEAST;
        agreed += same ? 1 : 0;
        cells++;
        System.out.printf(
            Locale.ROOT,
            "%7d %5d %10.2f %10.2f %6.2f %10.2f %10.2f  %s%n",
            prompt,
            group,
            1e3 * median(dense),
            1e3 * median(sparse),
            gain,
            attention,
            predicted,
            same ? "right" : "wrong");
        whole.sequences.forEach(store::release);
        part.sequences.forEach(store::release);
      }
    }
    System.out.printf(
        Locale.ROOT,
        "step without a prompt %.2f ms; the choice is right in %d of %d cells%n",
        1e3 * base,
        agreed,
        cells);
  }

  /** Rows that decode behind one prompt. */
  private record Rows(List<Integer> sequences, TokenBatch batch) {}

  private Rows rows(int rows, int prompt) {
    List<Slice> slices = new ArrayList<>();
    List<Integer> sequences = new ArrayList<>();
    int[] ids = new int[rows];
    int[] positions = new int[rows];
    int[] logitRows = new int[rows];
    for (int row = 0; row < rows; row++) {
      int sequence = nextSequence++;
      try (KvSpan span = store.share(0, 0, prompt)) {
        if (!store.attach(sequence, span, 0)) throw new IllegalStateException("no page is free");
      }
      int page = (prompt + KvLayout.TILE - 1) / KvLayout.TILE;
      prefill(sequence, prompt, prompt + OWN - 1);
      reserve(sequence, Math.max(page * KvLayout.TILE, prompt + OWN));
      sequences.add(sequence);
      slices.add(new Slice(sequence, row, 1));
      ids[row] = tokens[row];
      positions[row] = prompt + OWN - 1;
      logitRows[row] = row;
    }
    return new Rows(sequences, new TokenBatch(rows, ids, positions, slices, logitRows));
  }

  private double[] step(Rows rows) {
    double[] seconds = new double[rounds];
    for (int i = 0; i < rounds; i++) seconds[i] = seconds(rows);
    rows.sequences.forEach(store::release);
    return seconds;
  }

  private double seconds(Rows rows) {
    long begin = System.nanoTime();
    decoder.forward(rows.batch, store);
    int n = rows.batch.logitRows().length;
    for (int from = 0; from < n; from += decoder.logitRowsMax()) {
      decoder.logits(from, Math.min(n, from + decoder.logitRowsMax()));
    }
    return (System.nanoTime() - begin) / 1e9;
  }

  private void prefill(int sequence, int from, int to) {
    reserve(sequence, to);
    for (int at = from; at < to; at += CHUNK) {
      int n = Math.min(CHUNK, to - at);
      int first = at;
      int[] positions = IntStream.range(first, first + n).toArray();
      int[] ids = Arrays.copyOfRange(tokens, first, first + n);
      List<Slice> slices = List.of(new Slice(sequence, 0, n));
      decoder.forward(new TokenBatch(n, ids, positions, slices, new int[0]), store);
    }
  }

  private void reserve(int sequence, int to) {
    if (!store.reserve(sequence, to)) {
      throw new IllegalStateException("no room for %d tokens of %s".formatted(to, model));
    }
  }

  private static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return sorted[sorted.length / 2];
  }
}
