package io.shadowbatch.engine;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kv.FullKvStore;
import io.shadowbatch.kv.KvStore;
import io.shadowbatch.kv.ShadowKvStore;
import io.shadowbatch.model.Decoder;
import io.shadowbatch.model.Model;
import io.shadowbatch.model.ModelSpec;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.RequestError;
import io.shadowbatch.request.TokenLogprob;
import io.shadowbatch.schedule.Scheduler;
import io.shadowbatch.schedule.SchedulerMetrics;
import io.shadowbatch.schedule.Sequence;
import io.shadowbatch.schedule.StepPlan;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;

/** Carries out one step: plan, forward pass, choice of tokens. Used by the engine's thread. */
final class Stepper implements AutoCloseable {
  private final Kernels kernels;
  private final Decoder decoder;
  private final RopeTable rope;
  private final KvStore store;
  private final Chooser chooser;
  private final int[] tokens;
  private final int[] positions;
  private final int logitRowsMax;
  private volatile long computeNanos;
  private volatile long sampleNanos;
  private volatile long kvBytesPeak;

  private Stepper(
      Kernels kernels,
      Decoder decoder,
      RopeTable rope,
      KvStore store,
      int batchTokens,
      int vocabulary) {
    this.kernels = kernels;
    this.rope = rope;
    this.decoder = decoder;
    this.store = store;
    this.logitRowsMax = decoder.logitRowsMax();
    this.chooser = new Chooser(kernels, logitRowsMax, vocabulary);
    this.tokens = new int[batchTokens];
    this.positions = new int[batchTokens];
  }

  static Stepper of(EngineConfig config, Kernels kernels, Model model, int contextTokens) {
    ModelSpec spec = model.spec();
    KvLayout layout = spec.kvLayout(config.codec(spec));
    List<AttentionShape> shapes = new ArrayList<>(spec.layers());
    for (int i = 0; i < spec.layers(); i++) shapes.add(spec.attention(i, layout));
    RopeTable rope = RopeTable.of(kernels, spec.rope().frequencies(), contextTokens);
    KvStore store = store(config, kernels, shapes, rope);
    int batchTokens =
        config.batchTokens() == 0
            ? Calibration.batchTokens(kernels, model.weights().layers().get(0).gateUp())
            : config.batchTokens();
    Decoder decoder = new Decoder(kernels, spec, model.weights(), batchTokens);
    return new Stepper(kernels, decoder, rope, store, batchTokens, spec.vocabulary());
  }

  private static KvStore store(
      EngineConfig config, Kernels kernels, List<AttentionShape> shapes, RopeTable rope) {
    long bytes = config.kvBytes();
    if (config.shadow() == null) {
      return new FullKvStore(kernels, shapes, rope, bytes, config.prefixAttention());
    }
    return new ShadowKvStore(
        kernels, shapes, rope, config.shadow(), bytes, config.host(), config.prefixAttention());
  }

  /** Most tokens of a step. */
  int batchTokens() {
    return tokens.length;
  }

  KvStore store() {
    return store;
  }

  /** One step; {@code finish} is called for each answer that ended, with its error or null. */
  void step(
      Scheduler scheduler, Map<Integer, Answer> answers, BiConsumer<Answer, RequestError> finish) {
    long t0 = System.nanoTime();
    StepPlan plan = scheduler.plan();
    if (plan.isEmpty()) return;
    try {
      decoder.forward(batch(plan, answers), store);
      kernels.finish();
    } catch (OutOfMemoryError e) {
      // Nothing was decided yet: the same tokens are computed again, in less memory.
      if (!scheduler.relieve()) throw e;
      return;
    }
    scheduler.computed(plan);
    kvBytesPeak = Math.max(kvBytesPeak, store.usage().deviceBytes());
    long t1 = System.nanoTime();
    List<Answer> sampled = new ArrayList<>();
    for (StepPlan.Piece piece : plan.pieces()) {
      if (piece.sequence().remaining() == 0) sampled.add(answers.get(piece.sequence().id()));
    }
    for (int from = 0; from < sampled.size(); from += logitRowsMax) {
      int to = Math.min(sampled.size(), from + logitRowsMax);
      choose(scheduler, sampled.subList(from, to), decoder.logits(from, to), finish);
    }
    long t2 = System.nanoTime();
    computeNanos += t1 - t0;
    sampleNanos += t2 - t1;
  }

  private TokenBatch batch(StepPlan plan, Map<Integer, Answer> answers) {
    List<Slice> slices = new ArrayList<>(plan.pieces().size());
    int[] logitRows = new int[plan.pieces().size()];
    int logits = 0;
    int n = 0;
    for (StepPlan.Piece piece : plan.pieces()) {
      Sequence s = piece.sequence();
      answers.get(s.id()).start();
      slices.add(new Slice(s.id(), n, piece.tokens()));
      for (int i = 0; i < piece.tokens(); i++) {
        tokens[n] = s.tokens()[s.computed() + i];
        positions[n++] = s.computed() + i;
      }
      if (piece.sampled()) logitRows[logits++] = n - 1;
    }
    return new TokenBatch(n, tokens, positions, slices, Arrays.copyOf(logitRows, logits));
  }

  private void choose(
      Scheduler scheduler,
      List<Answer> sampled,
      Tensor logits,
      BiConsumer<Answer, RequestError> finish) {
    chooser.look(logits, sampled);
    for (int i = 0; i < sampled.size(); i++) {
      Answer answer = sampled.get(i);
      int token = chooser.token(i);
      if (token < 0) {
        finish.accept(
            answer, new RequestError(ErrorCode.ENGINE_ERROR, "the model's logits are not numbers"));
        continue;
      }
      TokenLogprob logprob = chooser.logprob(i, token);
      if (answer.watch() != null) token = watched(answer, token, chooser.read(i));
      scheduler.append(answer.sequence(), token);
      if (answer.accept(token, logprob)) finish.accept(answer, null);
    }
  }

  /** Shows the row's logits to what watches the answer; the token to go on with. */
  private static int watched(Answer answer, int token, float[] row) {
    if (answer.twin()) return answer.watch().replay(answer.sequence().generated(), row);
    answer.watch().keep(token, row);
    return token;
  }

  EngineMetrics metrics(SchedulerMetrics scheduler, CanaryMetrics canary, WastedTokens wasted) {
    return new EngineMetrics(
        scheduler,
        store.traffic(),
        canary,
        computeNanos / 1e9,
        sampleNanos / 1e9,
        kvBytesPeak,
        wasted);
  }

  @Override
  public void close() {
    chooser.close();
    store.close();
    decoder.close();
    rope.close();
  }
}
