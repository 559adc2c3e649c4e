package io.shadowbatch.spark;

import io.shadowbatch.model.Family;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** One small Spark in this process, a tiny model, and the job on both, for all tests. */
public final class LocalSpark {

  private static final SparkSession SPARK =
      SparkSession.builder()
          .master("local[2]")
          .appName("tests")
          .config("spark.ui.enabled", "false")
          .config("spark.sql.shuffle.partitions", "4")
          .config("spark.sql.warehouse.dir", "target/warehouse")
          .getOrCreate();

  private static Path model;

  private LocalSpark() {}

  public static SparkSession spark() {
    return SPARK;
  }

  /** A model with random weights, 512 tokens of context and a chat template. */
  public static synchronized Path model() throws IOException {
    if (model == null) {
      Path path = Files.createTempDirectory("tiny").resolve("tiny.gguf");
      model = TinyModels.write(path, Family.LLAMA, 7, QuantType.Q8_0);
    }
    return model;
  }

  /** Settings of a command line, {@code name=value} each. */
  static Settings settings(String... pairs) {
    Map<String, List<String>> given = new LinkedHashMap<>();
    for (String pair : pairs) {
      int at = pair.indexOf('=');
      given.put(pair.substring(0, at), List.of(pair.substring(at + 1)));
    }
    return Settings.merge(given, Map.of(), null);
  }

  /** Runs the job on a table with the tiny model and returns what it wrote. */
  static Dataset<Row> run(Dataset<Row> prompts, Path folder, String... pairs) throws IOException {
    Path input = Files.createTempDirectory(folder, "in").resolve("prompts");
    prompts.write().parquet(input.toString());
    return run(input, folder, pairs);
  }

  static Dataset<Row> run(Path input, Path folder, String... pairs) throws IOException {
    Path output = Files.createTempDirectory(folder, "out").resolve("completions");
    String[] all = new String[pairs.length + 5];
    all[0] = "model=" + model();
    all[1] = "input=" + input;
    all[2] = "output=" + output;
    all[3] = "device-memory=16m";
    all[4] = "batch-tokens=64";
    System.arraycopy(pairs, 0, all, 5, pairs.length);
    new ShadowBatchJob(SPARK, settings(all), Instant.EPOCH, quiet()).run();
    return SPARK.read().parquet(output.toString());
  }

  static PrintStream quiet() {
    return new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8);
  }
}
