package io.shadowbatch.fuzz;

import io.shadowbatch.engine.ModelText;
import io.shadowbatch.model.ModelHeader;
import io.shadowbatch.tokens.Tokenizer;
import io.shadowbatch.tokens.TokenizerException;
import io.shadowbatch.weights.GgufFile;
import io.shadowbatch.weights.GgufWriter;
import io.shadowbatch.weights.ModelFileException;
import io.shadowbatch.weights.VocabularyFacts;
import java.io.IOException;
import java.util.List;

/** The vocabulary of a GGUF file without tensors, and a text through its tokenizer. */
public final class GgufTokenizerTarget implements FuzzTarget {
  private static final int COLLECT_EACH = 2000;
  private static final String TEXT = "<s>ab ba\u00e9 \ud83d\ude00  42\n\u2581a</s>";
  private static final ScratchFolder FOLDER = new ScratchFolder();
  private static final GgufTokenizerTarget ONE = new GgufTokenizerTarget();
  private static int opened;

  /** For Jazzer. */
  public static void fuzzerTestOneInput(byte[] input) throws IOException {
    ONE.accepts(input);
    if (++opened % COLLECT_EACH == 0) System.gc();
  }

  @Override
  public List<byte[]> seeds() {
    return List.of(
        vocabulary("gpt2").put("tokenizer.ggml.pre", "qwen2").header(),
        vocabulary("gpt2").put("tokenizer.ggml.pre", "llama-bpe").header(),
        vocabulary("llama").put("tokenizer.ggml.scores", new float[] {0, 0, 0, 0, 1}).header(),
        vocabulary("llama")
            .put("tokenizer.ggml.scores", new float[] {0, 0, 0, 0, 1})
            .put("tokenizer.ggml.token_type", new int[] {2, 4, 6, 1, 5})
            .put("tokenizer.ggml.tokens", new String[] {"?", "ba", "<0x61>", "a", "ab"})
            .header());
  }

  private static GgufWriter vocabulary(String model) {
    return new GgufWriter()
        .put("tokenizer.ggml.model", model)
        .put("tokenizer.ggml.tokens", MiniModels.TOKENS)
        .put("tokenizer.ggml.token_type", new int[] {3, 4, 1, 1, 1})
        .put("tokenizer.ggml.merges", new String[] {"a b"})
        .put("tokenizer.ggml.bos_token_id", 0)
        .put("tokenizer.ggml.eos_token_id", 1)
        .put("tokenizer.ggml.unknown_token_id", 0)
        .put("tokenizer.ggml.add_bos_token", true);
  }

  @Override
  public boolean accepts(byte[] input) throws IOException {
    try (GgufFile file = GgufFile.open(FOLDER.put("vocabulary.gguf", input, 64))) {
      VocabularyFacts facts = VocabularyFacts.of(file.metadata());
      if (facts == null) return false;
      use(ModelText.tokenizer(new ModelHeader(null, facts)));
      return true;
    } catch (ModelFileException | TokenizerException e) {
      return false;
    }
  }

  /** Encodes a text, and decodes its tokens and all others. */
  static void use(Tokenizer tokenizer) {
    int size = tokenizer.vocabularySize();
    for (int id = 0; id < size; id += 1 + size / 100) {
      tokenizer.bytes(id);
      tokenizer.decodeWithSpecials(new int[] {id}, 0, 1);
    }
    int[] ids = tokenizer.encodeWithModelSpecials(TEXT);
    tokenizer.decode(ids, 0, ids.length);
  }
}
