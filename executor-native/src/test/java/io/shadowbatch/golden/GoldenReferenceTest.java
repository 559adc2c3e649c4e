package io.shadowbatch.golden;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.engine.ModelText;
import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.ReferenceKernels;
import io.shadowbatch.model.Model;
import io.shadowbatch.model.ModelHeader;
import io.shadowbatch.model.PackOptions;
import io.shadowbatch.tokens.Tokenizer;
import io.shadowbatch.tokens.template.ChatTemplate;
import io.shadowbatch.tokens.template.TemplateContext;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/**
 * Holds the engine to float32 references made by transformers on the same weights
 * (src/test/python/make_references.py), and to what llama.cpp reaches on the same files.
 */
class GoldenReferenceTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String SMOLLM2_REFERENCE = "smollm2-135m-q4_1.jsonl";
  private static final String QWEN_REFERENCE = "qwen2.5-coder-0.5b-q4_k_m.jsonl";

  /**
   * What llama-cpp-python 0.3.36 measured on all 25 prompts of a model; a continuation may part
   * from the reference only where its two best tokens are closer than 0.5.
   */
  private record Bar(
      double probeMedian,
      double probeWorst,
      double top20Median,
      double top20Worst,
      double agreement,
      int continuations,
      double share) {}

  private static final Bar SMOLLM2_BAR = new Bar(0.180, 0.678, 0.285, 0.866, 0.980, 10, 0.56);
  private static final Bar QWEN_BAR = new Bar(0.078, 0.156, 0.193, 0.338, 0.979, 22, 0.90);
  private static final double GAP_MAX = 0.5;

  @Test
  void tokensOfTheDefaultModelAreThoseOfItsOwnTokenizer() throws IOException {
    Path file = RealModels.find(RealModels.SMOLLM2);
    checkTokens(file, own());
    checkTemplate(file, resource("/golden/prompts.jsonl"), own());
  }

  @Test
  void defaultModelIsNoFurtherFromFloat32ThanItsBars() throws IOException {
    Path file = RealModels.find(RealModels.SMOLLM2);
    GoldenTable table = score(file, own(), KvCodec.INT8, 48);
    System.out.println(table.text("SmolLM2-135M Q4_1, own references, int8 keys and values"));
    assertThat(table.probeWorst()).isLessThan(SMOLLM2_BAR.probeWorst());
    assertThat(table.top20Worst()).isLessThan(SMOLLM2_BAR.top20Worst());
    assertThat(table.tailAgreement()).isGreaterThan(0.96);
    assertThat(table.widestGap()).isLessThan(GAP_MAX);
  }

  @Test
  void floatFormOfTheDefaultModelIsWithinTwoThousandths() throws IOException {
    Path file = RealModels.find(RealModels.SMOLLM2);
    checkFloatForm(file, own(), 20);
  }

  @Test
  void defaultModelIsNoWorseThanLlamaCppOnAllReferences() throws IOException {
    compareAll(RealModels.SMOLLM2, SMOLLM2_REFERENCE, SMOLLM2_BAR, KvCodec.INT8);
  }

  @Test
  void secondModelIsNoWorseThanLlamaCppOnAllReferences() throws IOException {
    compareAll(RealModels.QWEN, QWEN_REFERENCE, QWEN_BAR, KvCodec.FP16);
  }

  @Test
  void floatFormOfTheSecondModelIsWithinTwoThousandths() throws IOException {
    Path file = RealModels.find(RealModels.QWEN);
    Path references = RealModels.reference(QWEN_REFERENCE);
    checkFloatForm(file, read(references), 12);
  }

  /** Compares with {@code codec}, the model's default; prints what the other one gives too. */
  private static void compareAll(String model, String reference, Bar bar, KvCodec codec)
      throws IOException {
    Path file = RealModels.find(model);
    Path references = RealModels.reference(reference);
    List<JsonNode> prompts = read(references);
    checkTokens(file, prompts);
    checkTemplate(file, read(RealModels.reference("prompts.jsonl")), prompts);
    KvCodec other = codec == KvCodec.INT8 ? KvCodec.FP16 : KvCodec.INT8;
    System.out.println(
        score(file, prompts, other, 0).text(model + ", " + other + " keys and values (an option)"));
    GoldenTable table = score(file, prompts, codec, 48);
    System.out.println(table.text(model + ", " + codec + " keys and values (its default)"));
    assertThat(table.probeMedian()).isLessThanOrEqualTo(bar.probeMedian());
    assertThat(table.probeWorst()).isLessThanOrEqualTo(bar.probeWorst());
    assertThat(table.top20Median()).isLessThanOrEqualTo(bar.top20Median());
    assertThat(table.top20Worst()).isLessThanOrEqualTo(bar.top20Worst());
    assertThat(table.tailAgreement()).isGreaterThanOrEqualTo(bar.agreement());
    assertThat(table.equalContinuations()).isGreaterThanOrEqualTo(bar.continuations());
    assertThat(table.shareMean()).isGreaterThanOrEqualTo(bar.share());
    assertThat(table.widestGap()).isLessThan(GAP_MAX);
  }

  private static GoldenTable score(Path file, List<JsonNode> prompts, KvCodec codec, int tokens)
      throws IOException {
    int threads = Math.min(4, Runtime.getRuntime().availableProcessors());
    GoldenTable table = new GoldenTable();
    try (Kernels kernels = Backend.open("cpu", threads);
        Model model = Model.open(file, kernels, PackOptions.standard().threads(threads))) {
      Scorer scorer = new Scorer(kernels, model.spec(), model.weights(), codec, 4608);
      for (JsonNode prompt : prompts) table.add(scorer, prompt, tokens);
    }
    return table;
  }

  private static void checkTokens(Path file, List<JsonNode> prompts) throws IOException {
    Tokenizer tokenizer = ModelText.tokenizer(Model.header(file));
    for (JsonNode prompt : prompts) {
      assertThat(tokenizer.encode(prompt.get("text").asText()))
          .as(prompt.get("id").asText())
          .isEqualTo(GoldenTable.ints(prompt.get("ids")));
    }
  }

  /** Chat prompts, rendered with the model's own template, are the references' texts. */
  private static void checkTemplate(Path file, List<JsonNode> prompts, List<JsonNode> references)
      throws IOException {
    ModelHeader header = Model.header(file);
    String[] tokens = header.vocabulary().tokens();
    ChatTemplate template = ChatTemplate.parse(header.spec().text().chatTemplate());
    int bos = header.vocabulary().bosId();
    TemplateContext context =
        TemplateContext.of(
            bos < 0 ? "" : tokens[bos],
            tokens[header.vocabulary().eosId()],
            Instant.EPOCH,
            ZoneOffset.UTC);
    int compared = 0;
    for (JsonNode prompt : prompts) {
      if (!prompt.has("messages")) continue;
      List<Map<String, Object>> messages =
          JSON.convertValue(prompt.get("messages"), new TypeReference<>() {});
      for (JsonNode reference : references) {
        if (!reference.get("id").equals(prompt.get("id"))) continue;
        assertThat(template.render(messages, context))
            .as(prompt.get("id").asText())
            .isEqualTo(reference.get("text").asText());
        compared++;
      }
    }
    System.out.printf("%s: %d chat prompts render alike%n", file.getFileName(), compared);
    assertThat(compared).isGreaterThan(5);
  }

  /** The float form computes families exactly: what differs is only the order of sums. */
  private static void checkFloatForm(Path file, List<JsonNode> prompts, int tokensMax)
      throws IOException {
    GoldenTable table = new GoldenTable();
    double worst = 0;
    try (Kernels kernels = new ReferenceKernels(ReferenceKernels.Form.FLOAT32);
        Model model = Model.open(file, kernels, PackOptions.standard())) {
      Scorer scorer = new Scorer(kernels, model.spec(), model.weights(), KvCodec.F32, 128);
      for (JsonNode prompt : prompts) {
        int[] ids = GoldenTable.ints(prompt.get("ids"));
        if (ids.length > tokensMax) continue;
        float[] last = scorer.logits(ids, 0, new int[] {ids.length - 1})[0];
        JsonNode probes = prompt.get("last").get("probe");
        for (int i = 0; i < probes.size(); i++) {
          double d = last[(int) (i * 769L % last.length)] - probes.get(i).asDouble();
          worst = Math.max(worst, Math.abs(d));
        }
        table.add(scorer, prompt, 0);
      }
    }
    System.out.printf(
        "%s, float32 form: widest probe difference %.2e%n", file.getFileName(), worst);
    assertThat(worst).isLessThan(2e-3);
    assertThat(table.tailAgreement()).isEqualTo(1);
  }

  private static List<JsonNode> own() throws IOException {
    return resource("/golden/smollm2-135m.jsonl");
  }

  private static List<JsonNode> resource(String name) throws IOException {
    try (InputStream in = GoldenReferenceTest.class.getResourceAsStream(name)) {
      return lines(new String(in.readAllBytes(), StandardCharsets.UTF_8));
    }
  }

  private static List<JsonNode> read(Path file) throws IOException {
    return lines(Files.readString(file));
  }

  private static List<JsonNode> lines(String text) throws IOException {
    List<JsonNode> nodes = new ArrayList<>();
    for (String line : text.split("\n")) nodes.add(JSON.readTree(line));
    return nodes;
  }
}
