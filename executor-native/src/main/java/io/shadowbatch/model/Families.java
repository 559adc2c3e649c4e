package io.shadowbatch.model;

import io.shadowbatch.model.WeightPlan.Order;
import io.shadowbatch.weights.GgufFile;
import io.shadowbatch.weights.Metadata;
import io.shadowbatch.weights.ModelFileException;
import io.shadowbatch.weights.SafetensorsFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** From a file to its family's spec and weight plan. The one registry of families. */
final class Families {
  private Families() {}

  /** Opens a model: a GGUF file, a safetensors file, or a folder with safetensors files. */
  static ModelSource open(Path path) throws IOException {
    if (!Files.exists(path)) {
      throw new ModelFileException(path, "model is not there, expected a file or a folder");
    }
    boolean safetensors = Files.isDirectory(path) || path.toString().endsWith(".safetensors");
    return safetensors ? ofFolder(SafetensorsFile.open(path)) : ofGguf(GgufFile.open(path));
  }

  /** The family of this name. */
  static Family family(Metadata data, String key) throws ModelFileException {
    String name = data.text(key);
    return switch (name) {
      case "llama" -> Family.LLAMA;
      case "mistral" -> Family.MISTRAL;
      case "qwen2" -> Family.QWEN2;
      case "qwen3" -> Family.QWEN3;
      default -> throw data.wrong(key, name, "one of the known families " + Family.fileNames());
    };
  }

  private static ModelSource ofGguf(GgufFile file) throws IOException {
    try {
      ModelHeader header = new GgufSpec(file).header();
      Order order = header.spec().family().equals("llama") ? Order.INTERLEAVED : Order.AS_STORED;
      WeightPlan plan =
          WeightPlanner.plan(
              file, header.spec(), WeightNames.GGUF, order, GgufSpec.ROPE_DIVISORS::equals);
      return new ModelSource(file, header, plan);
    } catch (IOException | RuntimeException | Error e) {
      file.close();
      throw e;
    }
  }

  private static ModelSource ofFolder(SafetensorsFile file) throws IOException {
    try {
      ModelHeader header = new HuggingFaceSpec(file).header();
      boolean tied = header.spec().tiedEmbeddings();
      // Old checkpoints carry the frequencies that the spec computes, tied ones a second embedding.
      WeightPlan plan =
          WeightPlanner.plan(
              file,
              header.spec(),
              WeightNames.HUGGING_FACE,
              Order.AS_STORED,
              name ->
                  name.endsWith(".rotary_emb.inv_freq") || (tied && name.equals("lm_head.weight")));
      return new ModelSource(file, header, plan);
    } catch (IOException | RuntimeException | Error e) {
      file.close();
      throw e;
    }
  }
}
