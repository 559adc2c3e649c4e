package io.shadowbatch.fuzz;

import io.shadowbatch.tokens.Tokenizer;
import io.shadowbatch.tokens.TokenizerException;
import java.io.IOException;
import java.util.List;

/** A tokenizer.json, and a text through it. */
public final class TokenizerJsonTarget implements FuzzTarget {
  private static final int COLLECT_EACH = 2000;
  private static final ScratchFolder FOLDER = new ScratchFolder();
  private static final TokenizerJsonTarget ONE = new TokenizerJsonTarget();
  private static int opened;

  /** For Jazzer. */
  public static void fuzzerTestOneInput(byte[] input) throws IOException {
    ONE.accepts(input);
    // The library's memory is given back when its Java object is collected, which heap alone, being
    // hardly used, would not bring about.
    if (++opened % COLLECT_EACH == 0) System.gc();
  }

  @Override
  public List<byte[]> seeds() {
    return List.of(
        FuzzTarget.joined(
            MiniModels.tokenizer(
                "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":false,"
                    + "\"use_regex\":false}")),
        FuzzTarget.joined(
            MiniModels.tokenizer(
                "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"}]}")));
  }

  @Override
  public List<String> words() {
    return JSON_WORDS;
  }

  @Override
  public boolean accepts(byte[] input) throws IOException {
    try {
      Tokenizer tokenizer = Tokenizer.open(FOLDER.put("tokenizer.json", input, 0));
      GgufTokenizerTarget.use(tokenizer);
      return true;
    } catch (TokenizerException e) {
      return false;
    }
  }
}
