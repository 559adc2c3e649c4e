package io.shadowbatch.ledger;

import java.io.Serializable;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkEnv;
import org.apache.spark.deploy.SparkHadoopUtil;

/**
 * Hadoop's configuration for tasks: what their executor makes of Spark's properties, and what the
 * driver's program changed besides.
 *
 * @param changed names and values
 */
public record StoreSettings(Map<String, String> changed) implements Serializable {

  /** Of a driver. */
  public static StoreSettings of(SparkContext context) {
    Configuration plain = SparkHadoopUtil.get().newConfiguration(context.getConf());
    Map<String, String> changed = new TreeMap<>();
    for (Map.Entry<String, String> entry : context.hadoopConfiguration()) {
      String value = entry.getValue();
      if (!value.equals(plain.getRaw(entry.getKey()))) changed.put(entry.getKey(), value);
    }
    return new StoreSettings(changed);
  }

  /** For the process that calls. */
  public Configuration open() {
    Configuration conf = SparkHadoopUtil.get().newConfiguration(SparkEnv.get().conf());
    changed.forEach(conf::set);
    return conf;
  }
}
