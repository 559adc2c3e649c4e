package io.shadowbatch.spark;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.HashMap;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import scala.Option;

/** The Spark session of a command: the one that exists, or one of its own that it stops. */
public final class Session implements AutoCloseable {

  private static final ObjectMapper JSON = new ObjectMapper();

  /** Whether closing stops the session. */
  private enum Ownership {
    OWN,
    BORROWED
  }

  private final SparkSession spark;
  private final Ownership ownership;

  private Session(SparkSession spark, Ownership ownership) {
    this.spark = spark;
    this.ownership = ownership;
  }

  /** Opens a session as spark-submit configured it; without it, on all cores of this host. */
  public static Session open() {
    return open(new SparkConf());
  }

  /** Opens a session of so many threads in this process, whatever spark-submit said. */
  static Session local(int threads) {
    return open(new SparkConf().setMaster("local[" + threads + "]"));
  }

  private static Session open(SparkConf conf) {
    Option<SparkSession> running = SparkSession.getDefaultSession();
    if (running.isDefined() && !running.get().sparkContext().isStopped()) {
      return new Session(running.get(), Ownership.BORROWED);
    }
    conf.setIfMissing("spark.master", "local[*]");
    conf.setIfMissing("spark.app.name", "ShadowBatch");
    // progress comes with the heartbeats
    conf.setIfMissing("spark.executor.heartbeatInterval", "2s");
    SparkSession spark = SparkSession.builder().config(conf).getOrCreate();
    return new Session(spark, Ownership.OWN);
  }

  /** The session. */
  public SparkSession spark() {
    return spark;
  }

  /** All Spark properties, of the running session or as spark-submit set them. */
  public static Map<String, String> properties() {
    Option<SparkSession> running = SparkSession.getDefaultSession();
    SparkConf conf = running.isDefined() ? running.get().sparkContext().getConf() : new SparkConf();
    Map<String, String> properties = new HashMap<>();
    for (var entry : conf.getAll()) properties.put(entry._1(), entry._2());
    return properties;
  }

  /** Plain values as one line of JSON. */
  public static String json(Map<String, Object> values) {
    try {
      return JSON.writeValueAsString(values);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("only plain values are written", e);
    }
  }

  @Override
  public void close() {
    if (ownership == Ownership.OWN) spark.stop();
  }
}
