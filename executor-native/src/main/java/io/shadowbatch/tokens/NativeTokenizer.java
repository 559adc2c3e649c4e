package io.shadowbatch.tokens;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.util.Arrays;

/** Encodes with the native tokenizers library; decodes from its own table of bytes. */
final class NativeTokenizer implements Tokenizer {
  private static final Cleaner CLEANER = Cleaner.create();

  private final TokenizersLibrary library;
  private final long handle;
  private final TokenTable table;
  private final ModelSpecials specials;

  /**
   * @param json a whole {@code tokenizer.json}
   * @param specials what to add, or null when the JSON's own post-processor says so
   */
  NativeTokenizer(String json, TokenTable table, ModelSpecials specials) {
    this.library = NativeLibrary.library();
    this.table = table;
    this.specials = specials;
    try {
      this.handle = library.createTokenizerFromString(json);
    } catch (RuntimeException e) {
      throw new TokenizerException("tokenizer.json was not accepted: " + e.getMessage(), e);
    }
    library.disablePadding(handle);
    library.disableTruncation(handle);
    CLEANER.register(this, new Release(library, handle));
  }

  private record Release(TokenizersLibrary library, long handle) implements Runnable {
    @Override
    public void run() {
      library.deleteTokenizer(handle);
    }
  }

  @Override
  public int[] encode(String text) {
    return run(text, false);
  }

  @Override
  public int[] encodeWithModelSpecials(String text) {
    return specials == null ? run(text, true) : specials.around(run(text, false));
  }

  private int[] run(String text, boolean addSpecials) {
    TextCheck.check(text);
    try {
      long encoding = library.encode(handle, text, addSpecials);
      try {
        return Arrays.stream(library.getTokenIds(encoding)).mapToInt(this::known).toArray();
      } finally {
        library.deleteEncoding(encoding);
      }
    } finally {
      Reference.reachabilityFence(this);
    }
  }

  /** The library numbers added tokens itself where the file's numbers do not fit. */
  private int known(long id) {
    if (id >= 0 && id < table.size()) return (int) id;
    throw new TokenizerException(
        "encode: got token %d of a tokenizer.json that names tokens below %d; is an id in its"
                .formatted(id, table.size())
            + " added_tokens wrong?");
  }

  @Override
  public String decode(int[] ids, int from, int to) {
    return table.text(ids, from, to, false);
  }

  @Override
  public String decodeWithSpecials(int[] ids, int from, int to) {
    return table.text(ids, from, to, true);
  }

  @Override
  public byte[] bytes(int id) {
    return table.bytes(id);
  }

  @Override
  public int vocabularySize() {
    return table.size();
  }

  @Override
  public boolean isSpecial(int id) {
    return table.isSpecial(id);
  }
}
