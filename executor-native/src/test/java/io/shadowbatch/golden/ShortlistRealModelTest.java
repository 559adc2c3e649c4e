package io.shadowbatch.golden;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.TopLogits;
import io.shadowbatch.kernels.TopLogitsOracle;
import io.shadowbatch.model.Model;
import io.shadowbatch.model.PackOptions;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.sample.Sampler;
import io.shadowbatch.sample.Shortlist;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** How often the largest logits of the default model decide. */
class ShortlistRealModelTest {
  private static final int DRAWS = 10;
  private static final int ROWS = 6;

  private record Row(float[] logits, Sampler.Past past) {}

  /** Goal: few draws need more than the largest logits, and none gets another token from them. */
  @Test
  void fewDrawsOfTheDefaultModelTakeTheWholeRow() throws IOException {
    List<Row> rows = rows();
    Map<String, SamplingParams> kinds = new LinkedHashMap<>();
    kinds.put("temperature 1", params(1, 1, 0, 0, 1));
    kinds.put("temperature 0.7, top_p 0.95", params(0.7, 0.95, 0, 0, 1));
    kinds.put("temperature 1, top_p 0.95", params(1, 0.95, 0, 0, 1));
    kinds.put("temperature 1, top_k 50", params(1, 1, 50, 0, 1));
    kinds.put("temperature 1, min_p 0.05", params(1, 1, 0, 0.05, 1));
    kinds.put("temperature 0.7, repetition 1.1", params(0.7, 1, 0, 0, 1.1));
    kinds.put("greedy, repetition 1.1", params(0, 1, 0, 0, 1.1));
    kinds.forEach(
        (name, params) -> {
          int open = 0;
          for (Row row : rows) open += open(row, params);
          double share = (double) open / (rows.size() * DRAWS);
          System.out.printf("%s: %.1f %% of draws take the row%n", name, 100 * share);
          assertThat(share).as(name).isLessThan(0.1);
        });
  }

  private static int open(Row row, SamplingParams params) {
    int open = 0;
    float[] logits = row.logits();
    TopLogits top =
        TopLogitsOracle.answer(logits, Shortlist.query(0, params, row.past(), logits.length));
    for (int seed = 0; seed < DRAWS; seed++) {
      SamplingParams seeded = params.withSeed(seed);
      int chosen = new Shortlist().choose(top, seeded, row.past().step());
      if (chosen == Shortlist.OPEN) {
        open++;
      } else {
        assertThat(chosen).isEqualTo(new Sampler().choose(logits.clone(), seeded, row.past()));
      }
    }
    return open;
  }

  /** The last places of each prompt. */
  private static List<Row> rows() throws IOException {
    List<Row> rows = new ArrayList<>();
    try (Kernels kernels = Backend.open("cpu", 2);
        Model model =
            Model.open(
                RealModels.find(RealModels.SMOLLM2), kernels, PackOptions.standard().threads(2));
        InputStream in = RealModels.class.getResourceAsStream("/golden/smollm2-135m.jsonl")) {
      Scorer scorer = new Scorer(kernels, model.spec(), model.weights(), KvCodec.INT8, 512);
      for (String line : new String(in.readAllBytes(), StandardCharsets.UTF_8).split("\n")) {
        int[] ids = GoldenTable.ints(new ObjectMapper().readTree(line).get("ids"));
        int[] wanted = IntStream.range(Math.max(0, ids.length - ROWS), ids.length).toArray();
        float[][] logits = scorer.logits(ids, 0, wanted);
        for (int i = 0; i < wanted.length; i++) {
          int length = wanted[i] + 1;
          rows.add(new Row(logits[i], new Sampler.Past(ids, length, length, new int[0])));
        }
      }
    }
    return rows;
  }

  private static SamplingParams params(
      double temperature, double topP, int topK, double minP, double repetition) {
    return new SamplingParams(
        9, 0, temperature, topP, topK, minP, 0, List.of(), List.of(), 0, 0, repetition, -1, false);
  }
}
