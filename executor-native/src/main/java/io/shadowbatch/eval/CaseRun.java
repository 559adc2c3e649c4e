package io.shadowbatch.eval;

import io.shadowbatch.eval.EvalCase.Ask;
import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kv.KvSpan;
import io.shadowbatch.kv.KvStore;
import io.shadowbatch.kv.KvTraffic;
import io.shadowbatch.model.Decoder;
import io.shadowbatch.tensor.Tensor;
import java.util.Arrays;
import java.util.List;

/**
 * Takes one store through the requests of a case, without a scheduler: the trunk once, then of each
 * request the prompt in steps of {@link #STEP} rows, seal, and the answer row by row.
 */
final class CaseRun {
  /** Rows of a step of a prompt; the last one may be shorter. */
  static final int STEP = 256;

  private static final int TRUNK = 0;

  /** Chooses an answer's tokens. */
  interface Reader {
    /**
     * @param row 0 for the prompt's last row, then 1, 2, .. behind it
     * @param logProbs of the row; the reader's to keep
     * @return the token to feed next, or -1 at the answer's end
     */
    int next(int row, float[] logProbs);
  }

  private final Decoder decoder;
  private final KvStore store;
  private final boolean shares;
  private final Tally tally;
  private final HostCopy reading;
  private final int vocabulary;
  private int[] trunk = {};
  private int trunkComputed;
  private int sequence = TRUNK;

  /**
   * @param reading of rows of logits
   * @param shares whether requests take over the trunk; else each computes it again
   */
  CaseRun(
      Decoder decoder,
      int vocabulary,
      HostCopy reading,
      KvStore store,
      boolean shares,
      Tally tally) {
    this.reading = reading;
    this.shares = shares;
    this.decoder = decoder;
    this.vocabulary = vocabulary;
    this.store = store;
    this.tally = tally;
  }

  /** Adds tokens to what all later requests begin with. */
  void extendTrunk(int[]... tokens) {
    trunk = Cases.joined(trunk, Cases.joined(tokens));
  }

  /** Computes a request's prompt and its answer. */
  void ask(Ask ask, Reader reader) {
    int own = ++sequence;
    int[] prompt = Cases.joined(trunk, ask.tokens());
    int shared = shares ? trunk.length : 0;
    if (shared > 0) attachTrunk(own);
    float[] row = compute(own, prompt, shared);
    long begin = System.nanoTime();
    store.seal(own, prompt.length);
    tally.sealNanos += System.nanoTime() - begin;
    KvTraffic before = store.traffic();
    int position = prompt.length;
    int token = reader.next(0, row);
    for (int i = 1; token >= 0; i++) {
      row = decode(own, token, position++);
      token = reader.next(i, row);
    }
    tally.traffic = tally.traffic.plus(store.traffic().since(before));
    tally.held(store.usage());
    store.release(own);
  }

  private void attachTrunk(int own) {
    if (trunkComputed < trunk.length) compute(TRUNK, trunk, trunkComputed);
    trunkComputed = trunk.length;
    try (KvSpan span = store.share(TRUNK, 0, trunk.length)) {
      if (!store.attach(own, span, 0)) throw noRoom(trunk.length);
    }
  }

  /** Computes tokens [from, ..) of a prompt; the log-probabilities behind the last one. */
  private float[] compute(int own, int[] tokens, int from) {
    long begin = System.nanoTime();
    Tensor logits = null;
    for (int at = from; at < tokens.length; at += STEP) {
      int[] step = Arrays.copyOfRange(tokens, at, Math.min(tokens.length, at + STEP));
      logits = step(own, step, at, at + step.length == tokens.length);
    }
    float[] row = read(logits);
    tally.prefillNanos += System.nanoTime() - begin;
    tally.promptTokens += tokens.length - from;
    return Likeness.logProbs(row);
  }

  private float[] decode(int own, int token, int position) {
    long begin = System.nanoTime();
    Tensor logits = step(own, new int[] {token}, position, true);
    float[] row = read(logits);
    tally.decodeNanos += System.nanoTime() - begin;
    tally.rows++;
    return Likeness.logProbs(row);
  }

  private Tensor step(int own, int[] tokens, int from, boolean last) {
    int n = tokens.length;
    if (!store.reserve(own, from + n)) throw noRoom(from + n);
    int[] positions = new int[n];
    for (int i = 0; i < n; i++) positions[i] = from + i;
    int[] logitRows = last ? new int[] {n - 1} : new int[0];
    List<Slice> slices = List.of(new Slice(own, 0, n));
    decoder.forward(new TokenBatch(n, tokens, positions, slices, logitRows), store);
    return last ? decoder.logits(0, 1) : null;
  }

  private float[] read(Tensor logits) {
    float[] row = new float[vocabulary];
    reading.of(logits.rows(0, 1)).readRow(0, row);
    return row;
  }

  private static IllegalStateException noRoom(int tokens) {
    return new IllegalStateException(
        "no memory for the keys and values of %d tokens; run fewer or shorter cases"
            .formatted(tokens));
  }
}
