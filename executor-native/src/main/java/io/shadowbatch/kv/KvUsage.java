package io.shadowbatch.kv;

/**
 * Memory of a store.
 *
 * @param pages most pages it may hold; may fall while the store lives
 * @param freePages pages that nobody holds
 * @param pageBytes bytes of a page
 * @param pageTokens tokens of a page
 * @param sequences sequences that hold pages
 */
public record KvUsage(int pages, int freePages, long pageBytes, int pageTokens, int sequences) {
  /** Bytes that somebody holds. */
  public long usedBytes() {
    return (pages - freePages) * pageBytes;
  }

  /** Pages that {@code tokens} tokens take. */
  public int pagesFor(int tokens) {
    return (tokens + pageTokens - 1) / pageTokens;
  }
}
