package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.golden.GoldenTable;
import io.shadowbatch.golden.RealModels;
import io.shadowbatch.golden.Scorer;
import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.cuda.StandIn;
import io.shadowbatch.kv.HostMemory;
import io.shadowbatch.kv.ShadowSpec;
import io.shadowbatch.model.Model;
import io.shadowbatch.model.PackOptions;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.KvMode;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

/** The default model over CUDA: on a GPU where there is one, else on the stand-in. */
@Timeout(900)
class CudaRealModelTest {
  private static final int ANSWER = 8;

  /**
   * Nats between two best tokens below which either may be chosen: the 8-bit form alone moves this
   * model's logits by up to 0.33 (README, "Are the answers right?").
   */
  private static final double DOUBT = 0.5;

  private final Path file = RealModels.find(RealModels.SMOLLM2);

  @BeforeEach
  void driver() {
    StandIn.require();
  }

  private static List<int[]> prompts() throws IOException {
    List<int[]> prompts = new ArrayList<>();
    for (JsonNode reference : references()) prompts.add(GoldenTable.ints(reference.get("ids")));
    return prompts;
  }

  private static List<JsonNode> references() throws IOException {
    List<JsonNode> lines = new ArrayList<>();
    try (InputStream in = RealModels.class.getResourceAsStream("/golden/smollm2-135m.jsonl")) {
      for (String line : new String(in.readAllBytes(), StandardCharsets.UTF_8).split("\n")) {
        lines.add(new ObjectMapper().readTree(line));
      }
    }
    return lines;
  }

  private EngineConfig config(String backend) {
    return new EngineConfig(file, backend, 2, 1L << 29, 256, 4096, KvCodec.FP16, null);
  }

  private static Request request(int id, int[] prompt, KvMode mode) {
    SamplingParams params =
        new SamplingParams(ANSWER, ANSWER, 0, 1, 0, 0, 0, List.of(), List.of(), 0, 0, 1, 2, true);
    return new Request(id, prompt, params, mode);
  }

  private static Map<Long, Completion> run(EngineConfig config, List<Request> requests)
      throws IOException {
    Map<Long, Completion> answers = new TreeMap<>();
    try (Engine engine = Engine.open(config)) {
      engine.run(requests.iterator(), () -> false).forEachRemaining(c -> answers.put(c.id(), c));
    }
    return answers;
  }

  @Test
  void logitsAreCloseToFloat32() throws IOException {
    GoldenTable table = new GoldenTable();
    try (Kernels kernels = Backend.open("cuda", 2);
        Model model = Model.open(file, kernels, PackOptions.standard().threads(2))) {
      Scorer scorer = new Scorer(kernels, model.spec(), model.weights(), KvCodec.FP16, 512);
      for (JsonNode reference : references()) table.add(scorer, reference, 0);
    }
    System.out.println(table.text("SmolLM2-135M Q4_1 over CUDA, bfloat16 products"));
    assertThat(table.probeWorst()).isLessThan(0.3);
    assertThat(table.top20Worst()).isLessThan(0.4);
    assertThat(table.tailAgreement()).isGreaterThan(0.97);
  }

  @Test
  void greedyTokensAreTheCpusAloneAndBehindAPrefix() throws IOException {
    List<int[]> prompts = prompts();
    int[] prefix = prompts.stream().max((a, b) -> a.length - b.length).orElseThrow();
    List<Request> requests = new ArrayList<>();
    for (int[] prompt : prompts) {
      requests.add(request(requests.size(), prompt, KvMode.DENSE));
      int[] behind = Arrays.copyOf(prefix, prefix.length + prompt.length);
      System.arraycopy(prompt, 0, behind, prefix.length, prompt.length);
      requests.add(request(requests.size(), behind, KvMode.DENSE));
    }
    GreedyAgreement agreement = new GreedyAgreement(DOUBT);
    agreement.compare(run(config("cuda"), requests), run(config("cpu"), requests));
    agreement.requireShare("SmolLM2", 0.6);
  }

  /** On the stand-in this takes minutes: -Dshadowbatch.test.slow=true. */
  @Test
  @EnabledIfSystemProperty(named = "shadowbatch.test.slow", matches = "true")
  void longPromptsReadInPartSayWhatTheCpusDo() throws IOException {
    List<int[]> prompts = prompts();
    int[] text = prompts.stream().flatMapToInt(Arrays::stream).toArray();
    int[] shared = new int[2304];
    for (int i = 0; i < shared.length; i++) shared[i] = text[i % text.length];
    List<Request> requests = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      int[] own = prompts.get(i);
      int[] prompt = Arrays.copyOf(shared, shared.length + own.length);
      System.arraycopy(own, 0, prompt, shared.length, own.length);
      requests.add(request(i, prompt, KvMode.SHADOW));
    }
    HostMemory host = HostMemory.of(1 << 29);
    ShadowSpec exact = ShadowSpec.STANDARD;
    for (ShadowSpec spec : List.of(exact, exact.holding(KeyStore.LOWRANK_INT8, 64))) {
      Map<Long, Completion> found = run(config("cuda").with(spec, host), requests);
      assertThat(found.values()).allMatch(c -> c.kvMode() == KvMode.SHADOW);
      GreedyAgreement agreement = new GreedyAgreement(DOUBT);
      agreement.compare(found, run(config("cpu").with(spec, host), requests));
      agreement.requireShare("SmolLM2, shadow, " + spec.keys(), 0.3);
    }
  }
}
