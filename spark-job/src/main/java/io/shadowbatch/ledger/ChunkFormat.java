package io.shadowbatch.ledger;

import java.io.IOException;
import java.io.OutputStream;
import java.io.Serializable;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.HadoopReadOptions;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.api.WriteSupport;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.hadoop.util.HadoopInputFile;
import org.apache.parquet.io.OutputFile;
import org.apache.parquet.io.PositionOutputStream;
import org.apache.spark.internal.config.ConfigEntry;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.CatalystTypeConverters;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.datasources.parquet.ParquetWriteSupport;
import org.apache.spark.sql.internal.SQLConf;
import org.apache.spark.sql.internal.SQLConf$;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructType;
import scala.Function1;
import scala.Option;

/**
 * How rows become a Parquet file: as Spark itself would write them, with the session's settings,
 * but by a task that decides itself when a file ends.
 *
 * @param schema of the rows, as JSON
 * @param settings of Spark for Parquet, and of Hadoop where the user changed them for Parquet
 */
public record ChunkFormat(String schema, Map<String, String> settings) implements Serializable {
  private static final String PREFIX = "spark.sql.parquet.";
  private static final String CODEC = PREFIX + "compression.codec";

  /** Of a session, for its tasks. */
  public static ChunkFormat of(SparkSession spark, StructType schema) {
    Map<String, String> settings = new TreeMap<>();
    SQLConf conf = spark.sessionState().conf();
    for (ConfigEntry<?> entry : SQLConf$.MODULE$.getConfigEntries()) {
      if (!entry.key().startsWith(PREFIX)) continue;
      Object value = conf.getConf(entry);
      if (!(value instanceof Option)) settings.put(entry.key(), String.valueOf(value));
    }
    for (Map.Entry<String, String> entry : spark.sparkContext().hadoopConfiguration()) {
      if (entry.getKey().startsWith("parquet.")) settings.put(entry.getKey(), entry.getValue());
    }
    return new ChunkFormat(schema.json(), settings);
  }

  private CompressionCodecName codec() {
    String name = settings.getOrDefault(CODEC, "snappy").toUpperCase(Locale.ROOT);
    return name.equals("NONE")
        ? CompressionCodecName.UNCOMPRESSED
        : CompressionCodecName.valueOf(name.replace("LZ4RAW", "LZ4_RAW"));
  }

  /** How files end: with the codec, as Spark names them. */
  public String extension() {
    return codec().getExtension() + ".parquet";
  }

  /**
   * Writes a file, durable once this returns.
   *
   * @param footer kept in the file's footer
   */
  public void write(OutputFiles files, Path path, Iterator<Row> rows, Map<String, String> footer)
      throws IOException {
    StructType type = (StructType) DataType.fromJson(schema);
    Configuration conf = new Configuration(false);
    settings.forEach(conf::set);
    ParquetWriteSupport.setSchema(type, conf);
    Function1<Object, Object> converter = CatalystTypeConverters.createToCatalystConverter(type);
    try (ParquetWriter<InternalRow> writer =
        new Builder(new Target(files, path), footer)
            .withConf(conf)
            .withCompressionCodec(codec())
            .withRowGroupSize(conf.getLong("parquet.block.size", 128L << 20))
            .build()) {
      while (rows.hasNext()) writer.write((InternalRow) converter.apply(rows.next()));
    }
  }

  /** What {@link #write} kept in a file's footer. */
  public static Map<String, String> footer(Configuration conf, Path file) throws IOException {
    // Options of their own configuration, or Parquet parses all of Hadoop's defaults for each file.
    var options = HadoopReadOptions.builder(conf).build();
    try (ParquetFileReader reader =
        ParquetFileReader.open(HadoopInputFile.fromPath(file, conf), options)) {
      return reader.getFooter().getFileMetaData().getKeyValueMetaData();
    }
  }

  /** Spark's writer of rows, with a footer of ours. */
  private static final class Support extends ParquetWriteSupport {
    private final Map<String, String> footer;

    private Support(Map<String, String> footer) {
      this.footer = footer;
    }

    @Override
    public WriteSupport.FinalizedWriteContext finalizeWrite() {
      return new FinalizedWriteContext(footer);
    }
  }

  private static final class Builder extends ParquetWriter.Builder<InternalRow, Builder> {
    private final Map<String, String> footer;

    private Builder(OutputFile file, Map<String, String> footer) {
      super(file);
      this.footer = footer;
    }

    @Override
    protected Builder self() {
      return this;
    }

    @Override
    protected WriteSupport<InternalRow> getWriteSupport(Configuration conf) {
      return new Support(footer);
    }
  }

  /** A file that is made in a folder that exists, or not at all. */
  private record Target(OutputFiles files, Path path) implements OutputFile {
    @Override
    public PositionOutputStream create(long blockSizeHint) throws IOException {
      return new Counted(files.create(path));
    }

    @Override
    public PositionOutputStream createOrOverwrite(long blockSizeHint) throws IOException {
      return create(blockSizeHint);
    }

    @Override
    public boolean supportsBlockSize() {
      return false;
    }

    @Override
    public long defaultBlockSize() {
      return 0;
    }
  }

  private static final class Counted extends PositionOutputStream {
    private final OutputStream out;
    private long position;

    private Counted(OutputStream out) {
      this.out = new java.io.BufferedOutputStream(out, 1 << 16);
    }

    @Override
    public long getPos() {
      return position;
    }

    @Override
    public void write(int value) throws IOException {
      out.write(value);
      position++;
    }

    @Override
    public void write(byte[] bytes, int at, int length) throws IOException {
      out.write(bytes, at, length);
      position += length;
    }

    @Override
    public void flush() throws IOException {
      out.flush();
    }

    @Override
    public void close() throws IOException {
      out.close();
    }
  }

  /** Row keys as a footer keeps them: 32 hexadecimal digits each. */
  public static String joined(List<String> keys) {
    return String.join("", keys);
  }

  /** The keys that {@link #joined} joined. */
  public static List<String> split(String joined) {
    return List.of(joined.isEmpty() ? new String[0] : joined.split("(?<=\\G.{32})"));
  }
}
