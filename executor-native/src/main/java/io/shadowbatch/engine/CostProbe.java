package io.shadowbatch.engine;

import io.shadowbatch.engine.StepCosts.Measured;
import io.shadowbatch.engine.StepCosts.Probes;
import io.shadowbatch.engine.StepCosts.Work;
import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kv.FullKvStore;
import io.shadowbatch.kv.KvStore;
import io.shadowbatch.model.Decoder;
import io.shadowbatch.model.Model;
import io.shadowbatch.model.ModelSpec;
import io.shadowbatch.model.PackOptions;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * Measures {@link StepCosts}: six steps of the real forward pass, each the middle of a few. Takes
 * about as long as computing 6,000 tokens.
 */
final class CostProbe {
  private static final int FEW = 16;
  private static final int MANY = 64;
  private static final int SHALLOW = 64;
  private static final int DEEP = 512;
  private static final int PROMPT = 512;
  private static final int LATER = 1024;
  private static final int ROUNDS = 4;
  private static final double ENOUGH_SECONDS = 2;

  private final Kernels kernels;
  private final ModelSpec spec;
  private final Decoder decoder;
  private final KvStore store;

  private CostProbe(Kernels kernels, ModelSpec spec, Decoder decoder, KvStore store) {
    this.kernels = kernels;
    this.spec = spec;
    this.decoder = decoder;
    this.store = store;
  }

  /** Opens the model in kernels of its own, measures, and closes both. */
  static StepCosts of(EngineConfig config) throws IOException {
    PackOptions pack = PackOptions.standard().threads(config.threads());
    if (config.packFolder() != null) pack = pack.in(config.packFolder());
    try (Kernels kernels = Backend.open(config.backend(), config.threads());
        Model model = Model.open(config.model(), kernels, pack)) {
      return measure(config, kernels, model);
    }
  }

  private static StepCosts measure(EngineConfig config, Kernels kernels, Model model) {
    ModelSpec spec = model.spec();
    KvLayout layout = spec.kvLayout(config.codec(spec));
    int prompt = Math.min(PROMPT, spec.contextLength() / 2);
    int later = Math.min(LATER, spec.contextLength() - prompt);
    List<AttentionShape> shapes = new ArrayList<>();
    for (int i = 0; i < spec.layers(); i++) shapes.add(spec.attention(i, layout));
    int deep = Math.min(DEEP, spec.contextLength() - 1);
    int pages =
        Math.max(
            (prompt + later) / KvLayout.TILE + 1,
            Math.max(FEW * (deep / KvLayout.TILE + 1), MANY * (SHALLOW / KvLayout.TILE + 1)));
    try (RopeTable rope = RopeTable.of(kernels, spec.rope().frequencies(), prompt + later);
        KvStore store = new FullKvStore(kernels, shapes, rope, pages * layout.pageBytes());
        Decoder decoder = new Decoder(kernels, spec, model.weights(), Math.max(prompt, MANY))) {
      CostProbe probe = new CostProbe(kernels, spec, decoder, store);
      return StepCosts.through(
          new Probes(
              probe.step(1, 1, SHALLOW),
              probe.step(FEW, 1, SHALLOW),
              probe.step(FEW, 1, deep),
              probe.step(MANY, 1, SHALLOW),
              probe.step(1, prompt, 0),
              probe.step(1, prompt, later)));
    }
  }

  /** A step of some sequences, each with so many tokens behind others. */
  private Measured step(int sequences, int tokens, int behind) {
    int n = sequences * tokens;
    int[] ids = new int[n];
    int[] positions = new int[n];
    int[] logitRows = new int[sequences];
    List<Slice> slices = new ArrayList<>();
    for (int s = 0; s < sequences; s++) {
      if (!store.reserve(s, behind + tokens)) {
        throw new IllegalStateException("no room for %d tokens".formatted(behind + tokens));
      }
      slices.add(new Slice(s, s * tokens, tokens));
      logitRows[s] = (s + 1) * tokens - 1;
      for (int i = 0; i < tokens; i++) {
        ids[s * tokens + i] = (31 * s + 7 * i) % spec.vocabulary();
        positions[s * tokens + i] = behind + i;
      }
    }
    TokenBatch batch = new TokenBatch(n, ids, positions, slices, logitRows);
    List<Double> seconds = new ArrayList<>();
    long begin = System.nanoTime();
    while (seconds.size() < ROUNDS && System.nanoTime() - begin < ENOUGH_SECONDS * 1e9) {
      seconds.add(seconds(batch));
    }
    if (seconds.size() > 1) seconds.remove(0); // it touched the memory for the first time
    Collections.sort(seconds);
    for (int s = 0; s < sequences; s++) store.release(s);
    double pairs = sequences * (tokens * (double) behind + tokens * (tokens + 1.0) / 2);
    Work work =
        tokens > 1 ? new Work(1, n, sequences, pairs, 0) : new Work(1, n, sequences, 0, pairs);
    return new Measured(work, seconds.get(seconds.size() / 2));
  }

  private double seconds(TokenBatch batch) {
    long begin = System.nanoTime();
    decoder.forward(batch, store);
    for (int from = 0; from < batch.logitRows().length; from += decoder.logitRowsMax()) {
      decoder.logits(from, Math.min(batch.logitRows().length, from + decoder.logitRowsMax()));
    }
    kernels.finish();
    return (System.nanoTime() - begin) / 1e9;
  }
}
