package io.shadowbatch.fuzz;

import io.shadowbatch.model.Model;
import io.shadowbatch.weights.GgufFile;
import io.shadowbatch.weights.ModelFileException;
import java.io.IOException;
import java.util.List;

/**
 * A GGUF file: keys, tensor table, spec and weight plan. The bytes are read twice, as they are, and
 * with zeros behind them where honest files have weights.
 */
public final class GgufTarget implements FuzzTarget {
  private static final int ZEROS = 16 << 10;
  private static final ScratchFolder FOLDER = new ScratchFolder();
  private static final GgufTarget ONE = new GgufTarget();

  /** For Jazzer. */
  public static void fuzzerTestOneInput(byte[] input) throws IOException {
    ONE.accepts(input);
  }

  @Override
  public List<byte[]> seeds() {
    return List.of(
        MiniModels.gguf("llama").header(),
        MiniModels.gguf("qwen2").header(),
        MiniModels.gguf("qwen3").header(),
        MiniModels.pieces().header());
  }

  @Override
  public boolean accepts(byte[] input) throws IOException {
    try {
      GgufFile.open(FOLDER.put("bare.gguf", input, 0)).close();
    } catch (ModelFileException e) {
      // refused; the same bytes with room for weights may be honest
    }
    try {
      Model.header(FOLDER.put("model.gguf", input, ZEROS));
      return true;
    } catch (ModelFileException e) {
      return false;
    }
  }
}
