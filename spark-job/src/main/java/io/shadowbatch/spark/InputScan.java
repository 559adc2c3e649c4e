package io.shadowbatch.spark;

import io.shadowbatch.plan.CommonPrefix;
import io.shadowbatch.plan.PrefixSignature;
import java.nio.ByteBuffer;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;

/**
 * One pass over the input before anything is ordered: counts its rows, if nobody knows them, and
 * finds the prefix that all prompts share, so that signatures can begin below it. Partitions reduce
 * first and meet in a tree: the driver never gets the prefix of every partition at once.
 */
final class InputScan {

  /**
   * A shorter prefix hides nothing: the first block of a signature still covers bytes behind it. A
   * partition that shares less is not rendered to its end, nor read if its rows are known.
   */
  private static final int ROOT_BYTES_MIN = (int) PrefixSignature.bytesOf(1);

  private static final int HEAD_BYTES = Long.BYTES + 1;
  private static final int TREE_DEPTH = 2;

  private InputScan() {}

  /**
   * What a pass found.
   *
   * @param rootBytes length of the prefix that all prompts share; 0 if that is not worth a root
   */
  record Facts(long rows, int rootBytes) {}

  /**
   * Rows without a prompt, as those with an error, have no say in the prefix.
   *
   * @param known number of rows, or -1 to count them
   */
  static Facts of(Dataset<Row> rows, PrepareTask prepare, long known) {
    MapPartitionsFunction<Row, byte[]> task =
        part -> List.of(scanned(part, prepare, known)).iterator();
    byte[] all =
        rows.mapPartitions(task, Encoders.BINARY())
            .toJavaRDD()
            .treeAggregate(
                message(0, CommonPrefix.NONE), InputScan::merged, InputScan::merged, TREE_DEPTH);
    CommonPrefix prefix = prefix(all);
    int root = prefix.length() < ROOT_BYTES_MIN ? 0 : prefix.length();
    return new Facts(known < 0 ? rows(all) : known, root);
  }

  private static byte[] scanned(Iterator<Row> rows, PrepareTask prepare, long known) {
    CommonPrefix prefix = CommonPrefix.NONE;
    long count = 0;
    PrepareTask.Prompts prompts = prepare.prompts();
    boolean wanted = true;
    while (rows.hasNext() && (wanted || known < 0)) {
      Row row = rows.next();
      count++;
      byte[] prompt = wanted ? prompts.of(row) : null;
      if (prompt != null) prefix = prefix.with(prompt);
      wanted = !prefix.isKnown() || prefix.length() >= ROOT_BYTES_MIN;
    }
    return message(count, prefix);
  }

  /** Bytes, because every serializer that Spark may be set to knows them. */
  private static byte[] message(long rows, CommonPrefix prefix) {
    byte known = (byte) (prefix.isKnown() ? 1 : 0);
    byte[] bytes = prefix.bytes();
    ByteBuffer out = ByteBuffer.allocate(HEAD_BYTES + bytes.length);
    return out.putLong(rows).put(known).put(bytes).array();
  }

  private static byte[] merged(byte[] a, byte[] b) {
    return message(rows(a) + rows(b), prefix(a).with(prefix(b)));
  }

  private static long rows(byte[] message) {
    return ByteBuffer.wrap(message).getLong();
  }

  private static CommonPrefix prefix(byte[] message) {
    if (message[Long.BYTES] == 0) return CommonPrefix.NONE;
    byte[] bytes = new byte[message.length - HEAD_BYTES];
    System.arraycopy(message, HEAD_BYTES, bytes, 0, bytes.length);
    return CommonPrefix.of(bytes);
  }
}
