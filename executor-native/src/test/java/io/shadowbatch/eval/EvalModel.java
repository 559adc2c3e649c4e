package io.shadowbatch.eval;

import io.shadowbatch.model.Family;
import io.shadowbatch.model.Model;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.nio.file.Path;

/** A tiny random model with a context that is long enough for the suites. */
final class EvalModel {
  private EvalModel() {}

  static Path write(Path folder, long seed) throws IOException {
    return TinyModels.gguf(Family.LLAMA, seed, QuantType.Q4_1)
        .put("llama.context_length", 8192)
        .write(folder.resolve("model.gguf"));
  }

  static ChatFrame frame(Path file) throws IOException {
    return ChatFrame.of(Model.header(file));
  }
}
