package io.shadowbatch.kv;

/**
 * A range of computed tokens' keys and values, held until closed.
 *
 * @param from position of the first token, at the start of a page
 * @param to one past the last
 */
public record KvSpan(KvPages pool, int[] pages, int from, int to) implements AutoCloseable {
  /** The first {@code tokens} tokens of this span; holds nothing itself, not to be closed. */
  public KvSpan head(int tokens) {
    return new KvSpan(pool, pages, from, from + tokens);
  }

  @Override
  public void close() {
    for (int page : pages) pool.drop(page);
  }
}
