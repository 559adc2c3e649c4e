package io.shadowbatch.fuzz;

import io.shadowbatch.model.Model;
import io.shadowbatch.weights.ModelFileException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * The JSON files beside honest weights: config.json, then, if the input has these parts,
 * generation_config.json, tokenizer_config.json and the index of a model in several files.
 */
public final class ConfigTarget implements FuzzTarget {
  private static final String[] NAMES = {
    "config.json", "generation_config.json", "tokenizer_config.json", "model.safetensors.index.json"
  };
  private static final int ZEROS = 16 << 10;
  private static final ScratchFolder FOLDER = new ScratchFolder();
  private static final ConfigTarget ONE = new ConfigTarget();

  /** For Jazzer. */
  public static void fuzzerTestOneInput(byte[] input) throws IOException {
    ONE.accepts(input);
  }

  @Override
  public List<byte[]> seeds() {
    String generation = "{\"eos_token_id\":[2,1]}";
    String tokens = "{\"add_bos_token\":true,\"chat_template\":\"{{ messages }}\"}";
    String named = "{\"chat_template\":[{\"name\":\"default\",\"template\":\"x\"}]}";
    String index = "{\"weight_map\":{\"model.norm.weight\":\"a.safetensors\"}}";
    return List.of(
        FuzzTarget.joined(MiniModels.config("llama")),
        FuzzTarget.joined(MiniModels.config("llama"), generation, tokens),
        FuzzTarget.joined(MiniModels.config("mistral"), generation, named),
        FuzzTarget.joined(
            MiniModels.config("llama").replace("llama3", "linear"), generation, tokens, index));
  }

  @Override
  public List<String> words() {
    return JSON_WORDS;
  }

  @Override
  public boolean accepts(byte[] input) throws IOException {
    List<byte[]> parts = FuzzTarget.parts(input);
    for (int i = 0; i < NAMES.length; i++) {
      if (i < parts.size()) FOLDER.put(NAMES[i], parts.get(i), 0);
      else FOLDER.remove(NAMES[i]);
    }
    FOLDER.put("tokenizer.json", new byte[0], 0);
    // With an index the weights must be another file than the one that needs none.
    boolean indexed = parts.size() >= NAMES.length;
    weights(indexed ? "a.safetensors" : "model.safetensors");
    FOLDER.remove(indexed ? "model.safetensors" : "a.safetensors");
    try {
      Model.header(FOLDER.path());
      return true;
    } catch (ModelFileException e) {
      return false;
    }
  }

  private static void weights(String name) throws IOException {
    byte[] json = MiniModels.safetensors("").getBytes(StandardCharsets.UTF_8);
    ByteBuffer file = ByteBuffer.allocate(8 + json.length).order(ByteOrder.LITTLE_ENDIAN);
    FOLDER.put(name, file.putLong(json.length).put(json).array(), ZEROS);
  }
}
