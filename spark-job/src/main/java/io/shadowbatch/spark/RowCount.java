package io.shadowbatch.spark;

import java.io.IOException;
import java.util.Collection;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.HadoopReadOptions;
import org.apache.parquet.ParquetReadOptions;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.util.HadoopInputFile;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * Counts the rows of few Parquet files by their footers, which needs no Spark job; all else takes
 * one.
 */
final class RowCount {

  private static final int FOOTERS_MAX = 32;

  private RowCount() {}

  /** Rows as far as they are known without a Spark job; -1 if they are not. */
  static long known(Dataset<Row> table, JobConfig config, Configuration conf) {
    long rows = "parquet".equals(config.input().format()) ? footers(table, conf) : -1;
    return rows < 0 || config.limit() == 0 ? rows : Math.min(rows, config.limit());
  }

  /** Rows by the footers, or -1 if there are many files or something cannot be read that way. */
  private static long footers(Dataset<Row> table, Configuration conf) {
    return footers(List.of(table.inputFiles()), conf);
  }

  /** The same for files of which all are known. */
  static long footers(Collection<String> files, Configuration conf) {
    if (files.size() > FOOTERS_MAX) return -1;
    // Options of their own configuration, or Parquet parses all of Hadoop's defaults for each file.
    ParquetReadOptions options = HadoopReadOptions.builder(conf).build();
    long rows = 0;
    for (String file : files) {
      try (ParquetFileReader reader =
          ParquetFileReader.open(HadoopInputFile.fromPath(new Path(file), conf), options)) {
        rows += reader.getRecordCount();
      } catch (IOException | RuntimeException e) {
        return -1;
      }
    }
    return rows;
  }
}
