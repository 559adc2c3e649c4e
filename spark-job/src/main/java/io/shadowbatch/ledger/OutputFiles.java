package io.shadowbatch.ledger;

import java.io.FileNotFoundException;
import java.io.FileOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.UnsupportedFileSystemException;

/**
 * Files of an output, on a local disk or a Hadoop file system, with what commits rest on: a file is
 * made only in a folder that exists, and gets its final name only if nobody has it.
 */
public final class OutputFiles {
  private static final int ATTEMPTS = 100;

  private final Configuration conf;
  private final FileSystem files;
  private final RawLocalFileSystem local; // null on other file systems

  private OutputFiles(Configuration conf, FileSystem files) {
    this.conf = conf;
    // Without Hadoop's checksum files beside ours on a local disk.
    this.files = files instanceof LocalFileSystem checked ? checked.getRaw() : files;
    this.local = this.files instanceof RawLocalFileSystem raw ? raw : null;
  }

  /** Those of the file system of a path. */
  public static OutputFiles of(Configuration conf, Path path) throws IOException {
    return new OutputFiles(conf, path.getFileSystem(conf));
  }

  private java.nio.file.Path nio(Path path) {
    // Not through Hadoop, which starts a process (chmod) for each folder and file: milliseconds.
    return local.pathToFile(path).toPath();
  }

  /** Makes a folder and those above it. */
  public void mkdirs(Path folder) throws IOException {
    if (local != null) Files.createDirectories(nio(folder));
    else files.mkdirs(folder);
  }

  /**
   * A new file in a folder that exists; closing it makes it durable.
   *
   * @throws FileNotFoundException if the folder is gone
   * @throws FileAlreadyExistsException if the file is there
   */
  public OutputStream create(Path file) throws IOException {
    if (local != null) return createLocal(nio(file));
    try {
      short replication = files.getDefaultReplication(file);
      long block = files.getDefaultBlockSize(file);
      return files.createNonRecursive(file, false, 1 << 16, replication, block, null);
    } catch (org.apache.hadoop.fs.FileAlreadyExistsException e) {
      throw new FileAlreadyExistsException(file.toString());
    }
  }

  private static OutputStream createLocal(java.nio.file.Path file) throws IOException {
    try {
      Files.createFile(file);
    } catch (NoSuchFileException e) {
      throw new FileNotFoundException(file + ": its folder is gone");
    }
    FileOutputStream disk = new FileOutputStream(file.toFile());
    return new FilterOutputStream(disk) {
      @Override
      public void write(byte[] bytes, int at, int length) throws IOException {
        disk.write(bytes, at, length);
      }

      @Override
      public void close() throws IOException {
        if (disk.getChannel().isOpen()) disk.getFD().sync();
        disk.close();
      }
    };
  }

  /**
   * Gives a file its final name, in one step that a reader sees whole or not at all.
   *
   * @return false if another file has that name
   * @throws FileNotFoundException if the file is gone
   */
  public boolean publish(Path from, Path to) throws IOException {
    if (local != null) return publishLocal(nio(from), nio(to));
    try {
      if (files.rename(from, to)) return true;
    } catch (org.apache.hadoop.fs.FileAlreadyExistsException e) {
      return false;
    }
    if (!files.exists(from)) throw new FileNotFoundException(from + ": is gone");
    return false;
  }

  /** A local rename would replace what is there; a second name for the file does not. */
  private static boolean publishLocal(java.nio.file.Path from, java.nio.file.Path to)
      throws IOException {
    try {
      Files.createLink(to, from);
    } catch (FileAlreadyExistsException e) {
      return false;
    } catch (NoSuchFileException e) {
      throw new FileNotFoundException(from + ": is gone");
    }
    Files.deleteIfExists(from);
    return true;
  }

  /** Writes a file as a whole, in place of one that may be there. */
  public void replace(Path file, byte[] content) throws IOException {
    Path temporary = new Path(file.getParent(), "." + file.getName() + ".tmp");
    if (local != null) {
      Files.write(nio(temporary), content);
      Files.move(nio(temporary), nio(file), StandardCopyOption.ATOMIC_MOVE);
      return;
    }
    try (FSDataOutputStream out = files.create(temporary, true)) {
      out.write(content);
    }
    try {
      FileContext.getFileContext(files.getUri(), conf)
          .rename(temporary, file, Options.Rename.OVERWRITE);
    } catch (UnsupportedFileSystemException e) { // some stores have the older interface only
      files.delete(file, false);
      if (!files.rename(temporary, file)) throw new IOException(file + ": rename failed");
    }
  }

  /** A file's bytes. */
  public InputStream open(Path file) throws IOException {
    return local != null ? Files.newInputStream(nio(file)) : files.open(file);
  }

  /** Content of a small file; null if it is not there. */
  public byte[] read(Path file) throws IOException {
    try (InputStream in = open(file)) {
      return in.readAllBytes();
    } catch (NoSuchFileException | FileNotFoundException e) {
      return null;
    }
  }

  /** Whether there is a file or folder of that name. */
  public boolean exists(Path path) throws IOException {
    return local != null ? Files.exists(nio(path)) : files.exists(path);
  }

  /** What a folder holds; nothing if it is not there. */
  public List<FileStatus> list(Path folder) throws IOException {
    try {
      return List.of(files.listStatus(folder));
    } catch (FileNotFoundException e) {
      return new ArrayList<>();
    }
  }

  /** Deletes a file or folder, if it is there. */
  public void delete(Path path) throws IOException {
    files.delete(path, true);
  }

  /**
   * Takes a folder away from whoever still writes into it: first its name, in one step, then all it
   * holds.
   */
  public void takeAway(Path folder) throws IOException {
    if (!exists(folder)) return;
    Path dead = new Path(folder.getParent(), ".dead-" + folder.getName() + "-" + System.nanoTime());
    if (local != null) Files.move(nio(folder), nio(dead), StandardCopyOption.ATOMIC_MOVE);
    else if (!files.rename(folder, dead)) throw new IOException(folder + ": rename failed");
    for (int attempt = 1; exists(dead); attempt++) {
      try {
        delete(dead);
      } catch (DirectoryNotEmptyException e) { // a writer that had opened a file before
        if (attempt == ATTEMPTS) throw e;
      }
    }
  }
}
