package io.shadowbatch.schedule;

import io.shadowbatch.kv.PrefixIndex;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.request.Request;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A request while it is on an engine: its tokens so far, and how many of them have keys and values.
 * Asserts that its states follow each other legally.
 *
 * <pre>
 *   tokens   [0 .. promptLength) prompt, [promptLength .. length) generated
 *   computed [0 .. computed) have keys and values
 * </pre>
 */
public final class Sequence {
  /** What a sequence is doing. */
  public enum State {
    /** Holds no memory. */
    WAITING,
    /** Holds memory; some of its tokens, or only the latest, wait for their turn. */
    RUNNING,
    /** Has its answer, or was given up. */
    DONE
  }

  private final int id;
  private final Request request;
  private final int feed;
  private int[] tokens;
  private int length;
  private int computed;
  private int computedMost;
  private int attachedPages;
  private int cachedTokens = -1;
  private int preemptions;
  private State state = State.WAITING;
  private final List<PrefixIndex.Node> pages = new ArrayList<>();

  /** Of the only feed. */
  public Sequence(int id, Request request) {
    this(id, request, 0);
  }

  /**
   * @param feed number of the stream that it came with, the oldest first
   */
  public Sequence(int id, Request request, int feed) {
    this.id = id;
    this.request = request;
    this.feed = feed;
    this.tokens = request.tokens();
    this.length = tokens.length;
  }

  public int id() {
    return id;
  }

  public Request request() {
    return request;
  }

  /** Number of the stream that it came with, the oldest first. */
  public int feed() {
    return feed;
  }

  public State state() {
    return state;
  }

  /** Tokens of the prompt and generated; valid up to {@link #length}. */
  public int[] tokens() {
    return tokens;
  }

  public int length() {
    return length;
  }

  public int promptLength() {
    return request.tokens().length;
  }

  /** True if rows behind the prompt read only part of it, once it is complete. */
  public boolean shadow() {
    return request.kvMode() == KvMode.SHADOW;
  }

  /** Tokens generated so far. */
  public int generated() {
    return length - promptLength();
  }

  /** Tokens that have keys and values. */
  public int computed() {
    return computed;
  }

  /** Tokens that wait to be computed. */
  public int remaining() {
    return length - computed;
  }

  /**
   * Tokens that one step may compute at most. Behind a prompt that is read in part every row picks
   * its own part, and the prompt must be complete before the first of them: such a sequence stops
   * at the prompt's end, and computes what it lost behind that token by token.
   */
  int remainingInStep() {
    if (!shadow()) return remaining();
    return computed < promptLength() ? promptLength() - computed : Math.min(1, remaining());
  }

  /** True once all but the latest token are computed and that one was generated. */
  public boolean decoding() {
    return state == State.RUNNING && generated() > 0 && remaining() == 1;
  }

  /** Prompt tokens taken over from others when it first ran. */
  public int cachedTokens() {
    return Math.max(0, cachedTokens);
  }

  /** How often it lost its memory. */
  public int preemptions() {
    return preemptions;
  }

  /** Pages of the index that it uses, from position 0 on. */
  List<PrefixIndex.Node> pages() {
    return pages;
  }

  /** The last page taken over from others, or null. */
  PrefixIndex.Node lastAttached() {
    return attachedPages == 0 ? null : pages.get(attachedPages - 1);
  }

  /** Begins to run with {@code reused} tokens taken over, of which whole pages are in the index. */
  void start(int reused, int reusedPages) {
    require(State.WAITING);
    state = State.RUNNING;
    computed = reused;
    attachedPages = reusedPages;
    if (cachedTokens < 0) cachedTokens = Math.min(reused, promptLength());
  }

  /** Tokens that had keys and values before it lost its memory, if it did. */
  int computedMost() {
    return computedMost;
  }

  /** {@code count} more tokens were computed. */
  void advance(int count) {
    require(State.RUNNING);
    if (count < 1 || count > remaining()) {
      throw new IllegalStateException(
          "sequence %d: %d tokens computed of %d".formatted(id, count, remaining()));
    }
    computed += count;
  }

  /** Appends a generated token. */
  void append(int token) {
    require(State.RUNNING);
    if (length == tokens.length || tokens == request.tokens()) {
      tokens = Arrays.copyOf(tokens, length + Math.max(64, length / 4));
    }
    tokens[length++] = token;
  }

  void preempted() {
    require(State.RUNNING);
    state = State.WAITING;
    computedMost = Math.max(computedMost, computed);
    computed = 0;
    attachedPages = 0;
    preemptions++;
  }

  void done() {
    if (state == State.DONE) throw new IllegalStateException("sequence " + id + " is done twice");
    state = State.DONE;
  }

  private void require(State expected) {
    if (state != expected) {
      throw new IllegalStateException(
          "sequence %d is %s, expected %s".formatted(id, state, expected));
    }
  }
}
