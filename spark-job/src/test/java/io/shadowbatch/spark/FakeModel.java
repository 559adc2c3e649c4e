package io.shadowbatch.spark;

import io.shadowbatch.engine.CanaryMetrics;
import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.engine.WastedTokens;
import io.shadowbatch.kv.KvTraffic;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.FinishReason;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.RequestError;
import io.shadowbatch.schedule.SchedulerMetrics;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.CancellationException;
import java.util.function.BiFunction;
import java.util.function.BooleanSupplier;
import java.util.function.ToIntFunction;

/**
 * Answers with a hash of prompt and parameters. Holds some requests at once as the engine does, and
 * finishes whichever it is told to. Prompts that begin with {@value #FAILS} fail, those that begin
 * with {@value #NO_TOKENS} cannot be tokenised.
 */
class FakeModel implements CompletionSource {

  static final String FAILS = "fail";
  static final String NO_TOKENS = "refuse";

  private static final int AHEAD = 64;

  private final ToIntFunction<List<Request>> finishNext;
  private final int failAfter;
  private BiFunction<Request, Completion, Completion> changed = (request, answer) -> answer;
  int asked;

  /**
   * A model.
   *
   * @param finishNext which of the requests under way is answered next
   * @param failAfter answers before the whole engine fails; -1: never
   */
  FakeModel(ToIntFunction<List<Request>> finishNext, int failAfter) {
    this.finishNext = finishNext;
    this.failAfter = failAfter;
  }

  /** Lets what the model answers be changed before it leaves. */
  void answering(BiFunction<Request, Completion, Completion> change) {
    changed = change;
  }

  @Override
  public int[] encode(String prompt) {
    if (prompt.startsWith(NO_TOKENS)) throw new IllegalArgumentException("no tokens for this");
    byte[] bytes = prompt.getBytes(StandardCharsets.UTF_8);
    int[] tokens = new int[bytes.length];
    for (int i = 0; i < tokens.length; i++) tokens[i] = bytes[i];
    return tokens;
  }

  @Override
  public StepCosts costs() {
    return new StepCosts(1e-3, 1e-4, 0, 0, 0);
  }

  @Override
  public KvChoice choice() {
    return null;
  }

  @Override
  public EngineMetrics metrics() {
    return new EngineMetrics(
        new SchedulerMetrics(0, 0, 0, 0, 0, 0, 0, 0, 0),
        KvTraffic.NONE,
        CanaryMetrics.NONE,
        asked,
        0,
        asked,
        WastedTokens.NONE);
  }

  @Override
  public int[] encodeRaw(String prompt) {
    return encode(prompt);
  }

  @Override
  public String token(int id) {
    return "t" + id;
  }

  @Override
  public int contextTokens() {
    return 1 << 21;
  }

  @Override
  public Iterator<Completion> run(Iterator<Request> requests, BooleanSupplier cancelled) {
    return new Iterator<>() {
      private final List<Request> underWay = new ArrayList<>();
      private int answered;

      @Override
      public boolean hasNext() {
        while (underWay.size() < AHEAD && requests.hasNext()) {
          underWay.add(requests.next());
          asked++;
        }
        return !underWay.isEmpty();
      }

      @Override
      public Completion next() {
        if (!hasNext()) throw new NoSuchElementException("no request is left");
        if (cancelled.getAsBoolean()) throw new CancellationException("cancelled");
        if (answered++ == failAfter) throw new IllegalStateException("the engine failed");
        Request next = underWay.remove(finishNext.applyAsInt(underWay));
        return changed.apply(next, answer(next));
      }
    };
  }

  private static Completion answer(Request r) {
    int[] prompt = r.tokens();
    byte[] head = new byte[Math.min(prompt.length, FAILS.length())];
    for (int i = 0; i < head.length; i++) head[i] = (byte) prompt[i];
    if (new String(head, StandardCharsets.UTF_8).equals(FAILS)) {
      return Completion.failed(r, new RequestError(ErrorCode.ENGINE_ERROR, "asked to fail"));
    }
    int hash = Arrays.hashCode(prompt) * 31 + r.params().hashCode();
    return new Completion(
        r.id(),
        prompt.length,
        new int[] {hash & 0xffff, 7},
        "answer " + hash,
        FinishReason.STOP,
        null,
        0,
        r.kvMode(),
        new Completion.Timing(1, 2, 3),
        null,
        null);
  }
}
