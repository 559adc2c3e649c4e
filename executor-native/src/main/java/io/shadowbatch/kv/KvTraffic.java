package io.shadowbatch.kv;

import java.io.Serializable;

/**
 * What a store that reads part of its tokens did, all layers and KV heads together, since it was
 * opened.
 *
 * @param sealed prompts that it reads sparsely
 * @param rows rows computed behind such a prompt, each counted once for all layers
 * @param tokensRead tokens that those rows read of their prompts' sparse part
 * @param tokensHeld tokens that the sparse parts had
 * @param hostBytes bytes read from host memory for them
 * @param hits chunks found in device slots
 * @param misses chunks fetched into device slots
 * @param groupPicks chunks picked by rows of one step that share their first page, but for the
 *     first of these rows; sampled
 * @param groupShared those of them that an earlier row of the group picked too
 * @param massCaptured exact attention's weight on what rows read, summed over {@code massRows}
 * @param massRows rows and query heads of a layer for which that was measured, of some steps
 * @param buildSeconds wall time spent on summaries, factors and moves at the end of prompts
 */
public record KvTraffic(
    long sealed,
    long rows,
    long tokensRead,
    long tokensHeld,
    long hostBytes,
    long hits,
    long misses,
    long groupPicks,
    long groupShared,
    double massCaptured,
    long massRows,
    double buildSeconds)
    implements Serializable {

  private static final long serialVersionUID = 1L;

  /** Of a store that always reads everything. */
  public static final KvTraffic NONE = new KvTraffic(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

  /** What both did. */
  public KvTraffic plus(KvTraffic other) {
    return joined(other, 1);
  }

  /** What was done since {@code before}, by the same store. */
  public KvTraffic since(KvTraffic before) {
    return joined(before, -1);
  }

  private KvTraffic joined(KvTraffic other, int times) {
    return new KvTraffic(
        sealed + times * other.sealed,
        rows + times * other.rows,
        tokensRead + times * other.tokensRead,
        tokensHeld + times * other.tokensHeld,
        hostBytes + times * other.hostBytes,
        hits + times * other.hits,
        misses + times * other.misses,
        groupPicks + times * other.groupPicks,
        groupShared + times * other.groupShared,
        massCaptured + times * other.massCaptured,
        massRows + times * other.massRows,
        buildSeconds + times * other.buildSeconds);
  }
}
