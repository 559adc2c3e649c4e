package io.shadowbatch.eval;

import io.shadowbatch.eval.AnswerKey.Marks;
import io.shadowbatch.eval.EvalCase.Ask;
import io.shadowbatch.eval.EvalCase.Continuation;
import io.shadowbatch.tokens.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;

/** The readers of a case's rows: the dense run's, which others are compared with, and theirs. */
record Answers(Tokenizer tokenizer, Set<Integer> ends) {

  /** What a run says to a request: chosen tokens, of which the last may not have been fed. */
  abstract class Answer implements CaseRun.Reader {
    final Ask ask;
    private int[] tokens = new int[16];
    private int count;

    Answer(Ask ask) {
      this.ask = ask;
    }

    /** Chosen tokens without the end of text. */
    final int[] tokens() {
      return Arrays.copyOf(tokens, count);
    }

    final String text() {
      return tokenizer.decode(tokens, 0, count);
    }

    final Marks marks() {
      return ask.key() == null ? Marks.NONE : ask.key().mark(text());
    }

    /** Takes a token as the answer's next, unless it ends the answer; -1 if nothing follows. */
    final int take(int row, int token) {
      boolean stops = ask.from() == Continuation.LIKELY || ask.from() == Continuation.OWN;
      if (stops && ends.contains(token)) return -1;
      if (count == tokens.length) tokens = Arrays.copyOf(tokens, 2 * count);
      tokens[count++] = token;
      if (ask.key() != null && ask.key().complete(text())) return -1;
      return row < ask.rows() ? token : -1;
    }
  }

  /** The dense run's answer; keeps every row behind the prompt. */
  final class Dense extends Answer {
    private final List<float[]> rows = new ArrayList<>();
    private final Random random;

    /**
     * @param seed of drawn tokens
     */
    Dense(Ask ask, long seed) {
      super(ask);
      this.random = new Random(seed);
    }

    @Override
    public int next(int row, float[] logProbs) {
      if (row > 0) rows.add(logProbs);
      return switch (ask.from()) {
        case KNOWN -> row < ask.rows() ? take(row, ask.known()[row]) : -1;
        case DRAWN -> take(row, drawn(logProbs));
        case LIKELY, OWN -> take(row, Likeness.top(logProbs));
      };
    }

    private int drawn(float[] logProbs) {
      double left = random.nextDouble();
      for (int i = 0; i < logProbs.length; i++) {
        left -= Math.exp(logProbs[i]);
        if (left < 0) return i;
      }
      return Likeness.top(logProbs);
    }
  }

  /** A policy's answer: the dense tokens again, or its own where there is a key. */
  final class Compared extends Answer {
    private final int[] denseTokens;
    private final List<float[]> denseRows;
    private final Likeness likeness;
    private boolean together = true; // all tokens fed are the dense ones

    Compared(Dense dense, Likeness likeness) {
      super(dense.ask);
      this.denseTokens = dense.tokens();
      this.denseRows = dense.rows;
      this.likeness = likeness;
    }

    @Override
    public int next(int row, float[] logProbs) {
      if (row > 0 && together) likeness.add(denseRows.get(row - 1), logProbs);
      if (ask.key() == null) return row < denseRows.size() ? take(row, denseTokens[row]) : -1;
      int token = take(row, Likeness.top(logProbs));
      together &= row < denseRows.size() && denseTokens[row] == token;
      return token;
    }
  }
}
