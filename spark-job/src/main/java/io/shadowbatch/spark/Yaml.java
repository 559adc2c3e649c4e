package io.shadowbatch.spark;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;

/** Reading YAML; a class of its own because not every Spark brings that library. */
final class Yaml {

  private Yaml() {}

  static ObjectMapper mapper() {
    return new ObjectMapper(new YAMLFactory());
  }
}
