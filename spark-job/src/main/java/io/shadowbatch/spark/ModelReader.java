package io.shadowbatch.spark;

import io.shadowbatch.engine.EngineConfig;
import io.shadowbatch.engine.ModelText;
import io.shadowbatch.kernels.FactorLayout;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.LandmarkLayout;
import io.shadowbatch.kv.ShadowSpec;
import io.shadowbatch.model.Model;
import io.shadowbatch.model.ModelHeader;
import io.shadowbatch.model.ModelSpec;
import io.shadowbatch.model.PackOptions;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.tokens.Tokenizer;
import io.shadowbatch.tokens.TokenizerException;
import io.shadowbatch.tokens.template.ChatTemplate;
import io.shadowbatch.tokens.template.TemplateException;
import java.io.IOException;
import java.nio.file.Path;

/** Reads headers and tokenizers of models; never weights. */
final class ModelReader {

  private ModelReader() {}

  /** What the job must know of a model before any executor opens it. */
  static ModelCard card(String location, EngineChoice choice) {
    Path path = ModelFiles.local(location);
    try {
      ModelHeader header = Model.header(path);
      ModelSpec spec = header.spec();
      checkTemplate(location, spec.text().chatTemplate());
      KvLayout layout =
          spec.kvLayout(EngineConfig.codec(choice.kv().codec(), choice.backend(), spec));
      return new ModelCard(
          location,
          name(location),
          Model.fingerprint(path, PackOptions.standard()),
          spec.family(),
          spec.text().chatTemplate(),
          text(header, spec.text().bosId()),
          spec.text().eosIds().isEmpty() ? null : text(header, spec.text().eosIds().get(0)),
          context(spec.contextLength(), choice.contextTokens()),
          2 * spec.matrixNumbers(),
          layout.pageBytes() / KvLayout.TILE,
          sparseBytes(layout, choice.kv(), chunkTokens(choice.kv(), spec)),
          layout.kvHeads() * layout.headDim(),
          chunkTokens(choice.kv(), spec),
          window(spec));
    } catch (IOException | TokenizerException | IllegalArgumentException e) {
      throw wrong(location, e);
    }
  }

  /** The tokenizer of a model. */
  static Tokenizer tokenizer(Path model) {
    try {
      return ModelText.tokenizer(Model.header(model));
    } catch (IOException | TokenizerException | IllegalArgumentException e) {
      throw wrong(model.toString(), e);
    }
  }

  static JobException wrong(String location, Exception e) {
    return new JobException(
        Exit.MODEL, "--model " + location + ": cannot be used: " + Failures.firstLine(e), e);
  }

  private static void checkTemplate(String location, String template) {
    if (template == null) return;
    try {
      ChatTemplate.parse(template);
    } catch (TemplateException e) {
      throw wrong(location, e);
    }
  }

  /** Text of a special token; a GGUF file says it without the cost of opening the tokenizer. */
  private static String text(ModelHeader header, int id) {
    if (id < 0) return null;
    if (header.vocabulary() != null) return header.vocabulary().tokens()[id];
    return ModelText.tokenizer(header).decodeWithSpecials(new int[] {id}, 0, 1);
  }

  private static int context(int models, int wanted) {
    return wanted == 0 ? models : Math.min(models, wanted);
  }

  private static int chunkTokens(KvOptions kv, ModelSpec spec) {
    return EngineConfig.chunkTokens(kv.chunkTokens(), spec);
  }

  private static double sparseBytes(KvLayout layout, KvOptions kv, int chunkTokens) {
    ShadowSpec shadow = kv.shadow();
    if (shadow == null) return 0;
    long means = new LandmarkLayout(layout, chunkTokens).pageBytes();
    boolean factored = shadow.lowRank() && shadow.rank() <= layout.kvHeads() * layout.headDim();
    long factors =
        factored ? new FactorLayout(layout, shadow.keys(), shadow.rank()).pageBytes() : 0;
    long keys = shadow.lowRank() ? 0 : layout.halfBytes();
    long kept = factors + (kv.hostBytes() > 0 ? keys : layout.pageBytes());
    return (kept + means) / (double) KvLayout.TILE;
  }

  private static int window(ModelSpec spec) {
    return spec.windows().stream().mapToInt(w -> w).filter(w -> w > 0).min().orElse(0);
  }

  private static String name(String location) {
    return location.replaceFirst("/+$", "").replaceFirst(".*/", "");
  }
}
