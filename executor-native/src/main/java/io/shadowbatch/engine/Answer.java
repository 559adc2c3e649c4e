package io.shadowbatch.engine;

import io.shadowbatch.request.Completion;
import io.shadowbatch.request.FinishReason;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.request.TokenLogprob;
import io.shadowbatch.schedule.Sequence;
import io.shadowbatch.tokens.Tokenizer;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/**
 * The completion of one sequence as it grows: its bytes, whether it has ended and why, and when
 * things happened.
 */
final class Answer {
  private final Sequence sequence;
  private final CanaryRow watch;
  private final Feed feed;
  private final Tokenizer tokenizer;
  private final Set<Integer> endTokens;
  private final List<byte[]> stops = new ArrayList<>();
  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final List<TokenLogprob> logprobs = new ArrayList<>();
  private final long arrived = System.nanoTime();
  private long started;
  private long first;
  private FinishReason finishReason;
  private String stopReason;
  private int textBytes = -1;

  /**
   * @param watch what compares it with another way to compute it; null for most
   */
  Answer(
      Sequence sequence, Feed feed, Tokenizer tokenizer, Set<Integer> endTokens, CanaryRow watch) {
    this.watch = watch;
    this.sequence = sequence;
    this.feed = feed;
    this.tokenizer = tokenizer;
    this.endTokens = endTokens;
    for (String stop : params().stop()) stops.add(stop.getBytes(StandardCharsets.UTF_8));
  }

  Sequence sequence() {
    return sequence;
  }

  /** What compares it with another way to compute it, or null. */
  CanaryRow watch() {
    return watch;
  }

  /** True if it is computed for comparison only. */
  boolean twin() {
    return watch != null && watch.held() != null;
  }

  Feed feed() {
    return feed;
  }

  SamplingParams params() {
    return sequence.request().params();
  }

  /** The sequence takes part in a step. */
  void start() {
    if (started == 0) started = System.nanoTime();
  }

  /** Token ids that cannot come next: before the least length, those that would end it. */
  int[] forbidden() {
    SamplingParams p = params();
    if (sequence.generated() >= p.minTokens()) return new int[0];
    int[] ids = new int[endTokens.size() + p.stopTokenIds().size()];
    int n = 0;
    if (!p.ignoreEos()) for (int id : endTokens) ids[n++] = id;
    for (int id : p.stopTokenIds()) ids[n++] = id;
    return Arrays.copyOf(ids, n);
  }

  /** Takes in a token that the sequence already has; true if the completion has ended. */
  boolean accept(int token, TokenLogprob logprob) {
    if (first == 0) first = System.nanoTime();
    if (logprob != null) logprobs.add(logprob);
    if (endTokens.contains(token) && !params().ignoreEos()) {
      finishReason = FinishReason.STOP;
    } else if (params().stopTokenIds().contains(token)) {
      finishReason = FinishReason.STOP;
      stopReason = Integer.toString(token);
    } else {
      byte[] added = token < tokenizer.vocabularySize() ? tokenizer.bytes(token) : new byte[0];
      bytes.writeBytes(added);
      if (sequence.generated() >= params().minTokens()) stopAtText(added.length);
    }
    if (finishReason == null && sequence.generated() >= params().maxTokens()) {
      finishReason = FinishReason.LENGTH;
    }
    return finishReason != null;
  }

  /** Ends at the first stop text that the last {@code added} bytes completed. */
  private void stopAtText(int added) {
    if (stops.isEmpty() || added == 0) return;
    byte[] all = bytes.toByteArray();
    for (byte[] stop : stops) {
      int from = Math.max(0, all.length - added - stop.length + 1);
      int at = find(all, stop, from);
      if (at >= 0 && (textBytes < 0 || at < textBytes)) {
        textBytes = at;
        finishReason = FinishReason.STOP;
        stopReason = new String(stop, StandardCharsets.UTF_8);
      }
    }
  }

  private static int find(byte[] text, byte[] part, int from) {
    for (int i = from; i + part.length <= text.length; i++) {
      if (Arrays.equals(text, i, i + part.length, part, 0, part.length)) return i;
    }
    return -1;
  }

  Completion completion() {
    long end = System.nanoTime();
    Sequence s = sequence;
    int length = textBytes < 0 ? bytes.size() : textBytes;
    return new Completion(
        s.request().id(),
        s.promptLength(),
        Arrays.copyOfRange(s.tokens(), s.promptLength(), s.length()),
        new String(bytes.toByteArray(), 0, length, StandardCharsets.UTF_8),
        finishReason,
        stopReason,
        s.cachedTokens(),
        s.request().kvMode(),
        new Completion.Timing(
            (started - arrived) / 1e6, (first - started) / 1e6, (end - first) / 1e6),
        params().logprobs() < 0 ? null : List.copyOf(logprobs),
        null);
  }
}
