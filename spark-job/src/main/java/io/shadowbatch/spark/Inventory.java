package io.shadowbatch.spark;

import io.shadowbatch.ledger.OutputFiles;
import io.shadowbatch.ledger.StoreSettings;
import io.shadowbatch.spark.JobException.Exit;
import java.io.IOException;
import java.io.InputStream;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32C;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.HadoopReadOptions;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.util.HadoopInputFile;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;

/**
 * The data files of an output as its manifest lists them: read to their last byte once they are all
 * there, so that what cannot be read is found by the job and not by its user.
 */
final class Inventory {
  private static final int FEW_FILES = 64;
  private static final long FEW_BYTES = 64L << 20;
  private static final int FILES_PER_TASK = 16;

  /**
   * A file.
   *
   * @param crc32c of its bytes
   */
  record Entry(String name, long rows, long bytes, long crc32c) implements Serializable {
    Map<String, Object> described() {
      Map<String, Object> map = new LinkedHashMap<>();
      map.put("name", name);
      map.put("rows", rows);
      map.put("bytes", bytes);
      map.put("crc32c", "%08x".formatted(crc32c));
      return map;
    }
  }

  private final List<Entry> entries;

  private Inventory(List<Entry> entries) {
    this.entries = entries;
  }

  /** Of an output's files; few are read by the driver, many by tasks. */
  static Inventory of(SparkSession spark, String output, Map<String, Long> parts) {
    long bytes = parts.values().stream().mapToLong(Long::longValue).sum();
    List<String> names = new ArrayList<>(parts.keySet());
    List<Entry> entries;
    if (names.size() <= FEW_FILES && bytes <= FEW_BYTES) {
      Configuration conf = spark.sparkContext().hadoopConfiguration();
      entries = names.stream().map(name -> entry(conf, output, name)).toList();
    } else {
      StoreSettings store = StoreSettings.of(spark.sparkContext());
      int tasks = Math.max(1, names.size() / FILES_PER_TASK);
      entries =
          JavaSparkContext.fromSparkContext(spark.sparkContext())
              .parallelize(names, tasks)
              .map(name -> entry(store.open(), output, name))
              .collect();
    }
    return new Inventory(entries);
  }

  private static Entry entry(Configuration conf, String output, String name) {
    Path path = new Path(output, name);
    try {
      long rows;
      var options = HadoopReadOptions.builder(conf).build();
      try (ParquetFileReader reader =
          ParquetFileReader.open(HadoopInputFile.fromPath(path, conf), options)) {
        rows = reader.getRecordCount();
      }
      CRC32C crc = new CRC32C();
      long bytes = 0;
      byte[] buffer = new byte[1 << 16];
      try (InputStream in = OutputFiles.of(conf, path).open(path)) {
        for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
          crc.update(buffer, 0, n);
          bytes += n;
        }
      }
      return new Entry(name, rows, bytes, crc.getValue());
    } catch (IOException e) {
      throw new UncheckedIOException(path + ": " + e.getMessage(), e);
    }
  }

  /** The files hold the rows that were counted, or the job must say so. */
  Inventory holding(long counted, String output) {
    long written = entries.stream().mapToLong(Entry::rows).sum();
    if (written == counted) return this;
    throw new JobException(
        Exit.UNEXPECTED,
        "--output %s: its files hold %d rows, the tasks that wrote them counted %d"
            .formatted(output, written, counted));
  }

  /** As plain values. */
  List<Map<String, Object>> described() {
    return entries.stream().map(Entry::described).toList();
  }
}
