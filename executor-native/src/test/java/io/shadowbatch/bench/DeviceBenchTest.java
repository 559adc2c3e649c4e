package io.shadowbatch.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.kernels.cuda.StandIn;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DeviceBenchTest {
  @ParameterizedTest
  @ValueSource(strings = {"cpu", "cuda"})
  void everyOperationIsTimedAtSmallShapes(String backend) throws IOException {
    if (backend.equals("cuda")) StandIn.require();
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    PrintStream before = System.out;
    System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
    try {
      DeviceBench.main(new String[] {"--backend", backend, "--shapes", "tiny"});
    } finally {
      System.setOut(before);
    }
    List<String> names = new ArrayList<>();
    for (String line : out.toString(StandardCharsets.UTF_8).split("\n")) {
      JsonNode json = new ObjectMapper().readTree(line);
      names.add(json.get("name").asText());
      if (!json.has("microseconds")) continue;
      assertThat(json.get("microseconds").asDouble()).as(line).isPositive();
      assertThat(json.get("gigabytes_per_second").asDouble()).as(line).isNotNegative();
    }
    assertThat(names)
        .contains("device", "copy", "copy from host", "copy to host", "qkv of 64 rows", "norm")
        .contains("append", "prefill behind 256", "decode of one sequence: 1 of 256, 0 shared")
        .contains("landmarks", "select chunks", "picked decode", "rebuild keys")
        .contains("fetch values of the host")
        .doesNotHaveDuplicates();
  }

  @Test
  void unknownShapesAreRefused() {
    assertThatThrownBy(() -> DeviceBench.main(new String[] {"--shapes", "huge"}))
        .hasMessageContaining("shapes 'huge'");
  }
}
