package io.shadowbatch.spark;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** The demo's input: every question about every document, the document first. */
public final class DemoPrompts {

  private static final List<String> DOCUMENTS =
      List.of(
          "incident",
          "recipe",
          "contract",
          "release",
          "minutes",
          "expedition",
          "complaint",
          "manual");

  private static final String SYSTEM = "You answer questions about a text in a few words.";

  private static final StructType MESSAGE =
      new StructType()
          .add("role", DataTypes.StringType, false)
          .add("content", DataTypes.StringType, false);

  private static final StructType SCHEMA =
      new StructType()
          .add("id", DataTypes.StringType, false)
          .add("document", DataTypes.StringType, false)
          .add("question", DataTypes.StringType, false)
          .add("messages", DataTypes.createArrayType(MESSAGE, false), false);

  private DemoPrompts() {}

  /** Writes the prompts as Parquet, in an order in which documents alternate. */
  public static void write(SparkSession spark, String path) {
    write(spark, path, SYSTEM);
  }

  /** The same with another system message, so that no earlier run's prefixes fit. */
  static void write(SparkSession spark, String path, String system) {
    prompts(spark, system).coalesce(2).write().mode(SaveMode.Overwrite).parquet(path);
  }

  static Dataset<Row> prompts(SparkSession spark) {
    return prompts(spark, SYSTEM);
  }

  private static Dataset<Row> prompts(SparkSession spark, String system) {
    List<Row> rows = new ArrayList<>();
    List<String> questions = resource("questions").lines().toList();
    for (int q = 0; q < questions.size(); q++) {
      for (String document : DOCUMENTS) {
        String user = resource(document) + "\nQuestion: " + questions.get(q);
        Object[] messages = {RowFactory.create("system", system), RowFactory.create("user", user)};
        String id = "%s-%02d".formatted(document, q + 1);
        rows.add(RowFactory.create(id, document, questions.get(q), messages));
      }
    }
    return spark.createDataFrame(rows, SCHEMA);
  }

  private static String resource(String name) {
    try (InputStream in = DemoPrompts.class.getResourceAsStream("/demo/" + name + ".txt")) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new IllegalStateException("the job jar has no demo/" + name + ".txt", e);
    }
  }

  /** A few of the demo's answers, for people. */
  public static String shown(SparkSession spark, String output) {
    StringBuilder text = new StringBuilder();
    Dataset<Row> rows =
        spark
            .read()
            .parquet(output)
            .where("request_id in ('recipe-01', 'incident-07', 'contract-03', 'manual-06')")
            .select("request_id", "question", "completion")
            .orderBy("request_id");
    for (Row row : rows.collectAsList()) {
      String answer =
          row.isNullAt(2) ? "(error)" : row.getString(2).strip().replace("\n", "\n     ");
      text.append("  %s  %s%n     %s%n".formatted(row.getString(0), row.getString(1), answer));
    }
    return text.toString();
  }
}
