package io.shadowbatch.ledger;

import java.io.IOException;
import java.util.UUID;
import org.apache.hadoop.fs.Path;

/**
 * The chunks of one partition of a run, in the order in which they were committed, whichever of the
 * partition's attempts did so. Chunk k is the file with k in its name: it gets that name in one
 * step, if no other attempt gave it to a file of its own before. An attempt must have read all
 * chunks before k, and must have dropped the rows that they hold, before it commits k: then no row
 * is committed twice, however many attempts run at the same time.
 */
public final class ChunkLog {
  private final OutputFiles files;
  private final Path output;
  private final Path staging;
  private final String name;
  private final String extension;
  private int next;

  /**
   * A partition's log, of which nothing is read yet.
   *
   * @param staging an existing folder on the same file system, where files are written
   * @param extension of data files, with its first dot
   */
  public ChunkLog(
      OutputFiles files, Path output, Path staging, String runId, int partition, String extension) {
    this.files = files;
    this.output = output;
    this.staging = staging;
    this.name = "part-%05d-%s".formatted(partition, runId);
    this.extension = extension;
  }

  private Path chunk(int number) {
    return new Path(output, "%s-c%04d%s".formatted(name, number, extension));
  }

  /** The next chunk that somebody committed, or null if there is none for now. */
  public Path read() throws IOException {
    Path chunk = chunk(next);
    if (!files.exists(chunk)) return null;
    next++;
    return chunk;
  }

  /** A name for a file to write; no other attempt has it. */
  public Path stage() {
    return new Path(staging, name + "-" + UUID.randomUUID() + extension);
  }

  /**
   * Commits a staged file as the next chunk.
   *
   * @return false if another attempt committed that chunk: then {@link #read} gives it
   * @throws java.io.FileNotFoundException if the run was ended and may commit no more
   */
  public boolean commit(Path staged) throws IOException {
    if (!files.publish(staged, chunk(next))) return false;
    next++;
    return true;
  }
}
