package io.shadowbatch.fuzz;

import io.shadowbatch.model.Model;
import io.shadowbatch.weights.ModelFileException;
import io.shadowbatch.weights.SafetensorsFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * The header of a safetensors file in an honest folder. The bytes are read twice, as they are, and
 * with zeros behind them where honest files have weights.
 */
public final class SafetensorsTarget implements FuzzTarget {
  private static final int ZEROS = 16 << 10;
  private static final ScratchFolder FOLDER = folder();
  private static final SafetensorsTarget ONE = new SafetensorsTarget();

  private static ScratchFolder folder() {
    try {
      ScratchFolder folder = new ScratchFolder();
      folder.put("config.json", MiniModels.config("llama").getBytes(StandardCharsets.UTF_8), 0);
      folder.put("tokenizer.json", new byte[0], 0);
      return folder;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** For Jazzer. */
  public static void fuzzerTestOneInput(byte[] input) throws IOException {
    ONE.accepts(input);
  }

  @Override
  public List<byte[]> seeds() {
    return List.of(
        file(MiniModels.safetensors("")),
        file(
            MiniModels.safetensors(
                ",\"lm_head.weight\":{\"shape\":[1],\"dtype\":\"F8_E5M2\","
                    + "\"data_offsets\":[16000,16001]}")),
        file(
            MiniModels.safetensors(
                ",\"a.rotary_emb.inv_freq\":{\"shape\":[],\"dtype\":\"I64\","
                    + "\"data_offsets\":[16000,16008]}")));
  }

  private static byte[] file(String header) {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    ByteBuffer out = ByteBuffer.allocate(8 + json.length).order(ByteOrder.LITTLE_ENDIAN);
    return out.putLong(json.length).put(json).array();
  }

  @Override
  public List<String> words() {
    return JSON_WORDS;
  }

  @Override
  public boolean accepts(byte[] input) throws IOException {
    try {
      SafetensorsFile.open(FOLDER.put("bare.safetensors", input, 0)).close();
    } catch (ModelFileException e) {
      // refused; the same bytes with room for weights may be honest
    }
    try {
      Model.header(FOLDER.put("model.safetensors", input, ZEROS));
      return true;
    } catch (ModelFileException e) {
      return false;
    }
  }
}
