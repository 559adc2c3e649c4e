package io.shadowbatch.kv;

/**
 * Memory of a store.
 *
 * @param pages most whole pages that its device memory may hold; may fall while the store lives
 * @param freePages pages for which there is room
 * @param pageBytes bytes of a page
 * @param pageTokens tokens of a page
 * @param sequences sequences that hold pages
 * @param deviceBytes bytes in use where kernels read at full speed; a budget on the CPU
 * @param hostBytes bytes in use behind that
 */
public record KvUsage(
    int pages,
    int freePages,
    long pageBytes,
    int pageTokens,
    int sequences,
    long deviceBytes,
    long hostBytes) {

  /** Pages that {@code tokens} tokens take. */
  public int pagesFor(int tokens) {
    return (tokens + pageTokens - 1) / pageTokens;
  }
}
