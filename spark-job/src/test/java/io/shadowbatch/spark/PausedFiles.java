package io.shadowbatch.spark;

import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.util.EnumSet;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.hdfs.DistributedFileSystem;
import org.apache.hadoop.util.Progressable;

/**
 * File systems that say when a chunk gets its final name and when {@code _SUCCESS} is made, and
 * wait there, so that a fault can hit these moments.
 */
final class PausedFiles {
  static final String TRACES = "shadowbatch.test.traces";

  private PausedFiles() {}

  private static boolean isStaged(Path path) {
    return path.toString().contains("/_shadowbatch/staging/");
  }

  private static boolean isChunk(Path path) {
    return path.getName().startsWith("part-") && !path.toString().contains("/_");
  }

  /** Says what happens, and waits as long as the test wants. */
  private static void at(Configuration conf, String event, Path path) {
    String folder = conf.get(TRACES);
    if (folder == null) return;
    Traces.own(folder).line(event + " " + path.getName());
    Traces.sleep(Traces.pauseMillis(folder));
  }

  /** Of the local disk. */
  public static final class Local extends LocalFileSystem {
    public Local() {
      super(new RawLocal());
    }
  }

  /**
   * The job makes a link from the staged file to the chunk, not through Hadoop, but asks Hadoop for
   * their paths, one after the other: that is before the link.
   */
  private static final class RawLocal extends RawLocalFileSystem {
    private final ThreadLocal<Path> last = new ThreadLocal<>();

    @Override
    public File pathToFile(Path path) {
      Path before = last.get();
      last.set(path);
      if (before != null && isStaged(before) && isChunk(path)) at(getConf(), Traces.COMMIT, path);
      if (path.getName().equals("_SUCCESS")) at(getConf(), Traces.SUCCESS, path);
      return super.pathToFile(path);
    }
  }

  /** HDFS. */
  public static final class Hdfs extends DistributedFileSystem {
    @Override
    public void initialize(URI uri, Configuration conf) throws IOException {
      super.initialize(uri, conf);
    }

    @Override
    public boolean rename(Path from, Path to) throws IOException {
      boolean commit = isStaged(from) && isChunk(to);
      if (commit) at(getConf(), Traces.COMMIT, to);
      boolean renamed = super.rename(from, to);
      if (commit) at(getConf(), Traces.COMMITTED, to);
      return renamed;
    }

    @Override
    public FSDataOutputStream create(
        Path file,
        FsPermission permission,
        EnumSet<CreateFlag> flags,
        int buffer,
        short replication,
        long block,
        Progressable progress,
        org.apache.hadoop.fs.Options.ChecksumOpt checksum)
        throws IOException {
      if (file.getName().contains("_SUCCESS")) at(getConf(), Traces.SUCCESS, file);
      return super.create(file, permission, flags, buffer, replication, block, progress, checksum);
    }

    @Override
    public FSDataOutputStream createNonRecursive(
        Path file,
        FsPermission permission,
        EnumSet<CreateFlag> flags,
        int buffer,
        short replication,
        long block,
        Progressable progress)
        throws IOException {
      if (file.getName().contains("_SUCCESS")) at(getConf(), Traces.SUCCESS, file);
      return super.createNonRecursive(
          file, permission, flags, buffer, replication, block, progress);
    }
  }
}
