package io.shadowbatch.tokens;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;

/** Builds a tokenizer from the vocabulary inside a GGUF file. */
final class GgufTokenizers {
  private GgufTokenizers() {}

  static Tokenizer of(GgufVocabulary v) {
    return switch (v.model()) {
      case "gpt2" -> byteLevel(v);
      case "llama" -> new PieceTokenizer(v);
      default ->
          throw new TokenizerException(
              "tokenizer model '" + v.model() + "' is not known, expected 'gpt2' or 'llama'");
    };
  }

  private static Tokenizer byteLevel(GgufVocabulary v) {
    TokenTable table = new TokenTable(v.tokens().length);
    for (int id = 0; id < v.tokens().length; id++) {
      String text = v.tokens()[id];
      switch (v.types()[id]) {
        case GgufVocabulary.NORMAL, GgufVocabulary.BYTE -> table.putByteLevel(id, text);
        case GgufVocabulary.CONTROL, GgufVocabulary.UNKNOWN -> table.putSpecial(id, text);
        case GgufVocabulary.USER_DEFINED -> table.putText(id, text);
        default -> {
          // unused: no bytes
        }
      }
    }
    return new NativeTokenizer(json(v), table, ModelSpecials.of(v));
  }

  /** The {@code tokenizer.json} that says the same. */
  static String json(GgufVocabulary v) {
    try {
      return new ObjectMapper().writeValueAsString(json(v, PreTokenizer.of(v.pre())));
    } catch (IOException e) {
      throw new TokenizerException("vocabulary could not be written as JSON", e);
    }
  }

  private static ObjectNode json(GgufVocabulary v, PreTokenizer pre) {
    ObjectNode root = JsonNodeFactory.instance.objectNode().put("version", "1.0");
    ArrayNode added = root.putArray("added_tokens");
    ObjectNode vocabulary = JsonNodeFactory.instance.objectNode();
    for (int id = 0; id < v.tokens().length; id++) {
      int type = v.types()[id];
      if (type == GgufVocabulary.UNUSED) {
        continue;
      }
      // added tokens stand in the vocabulary too: the library takes their ids from there
      vocabulary.put(v.tokens()[id], id);
      if (type == GgufVocabulary.CONTROL || type == GgufVocabulary.USER_DEFINED) {
        added
            .addObject()
            .put("id", id)
            .put("content", v.tokens()[id])
            .put("single_word", false)
            .put("lstrip", false)
            .put("rstrip", false)
            .put("normalized", false)
            .put("special", type == GgufVocabulary.CONTROL);
      }
    }
    if (pre.nfc()) {
      root.putObject("normalizer").put("type", "NFC");
    }
    putSplits(root.putObject("pre_tokenizer"), pre);
    root.putObject("decoder").put("type", "ByteLevel").put("add_prefix_space", false);
    ((ObjectNode) root.get("decoder")).put("trim_offsets", false).put("use_regex", false);
    ObjectNode model =
        root.putObject("model")
            .put("type", "BPE")
            .put("fuse_unk", false)
            .put("byte_fallback", false)
            .put("ignore_merges", pre.ignoreMerges());
    model.set("vocab", vocabulary);
    putMerges(model.putArray("merges"), v.merges());
    return root;
  }

  private static void putSplits(ObjectNode node, PreTokenizer pre) {
    ArrayNode steps = node.put("type", "Sequence").putArray("pretokenizers");
    for (String pattern : pre.splits()) {
      ObjectNode split = steps.addObject().put("type", "Split");
      split.put("behavior", "Isolated").put("invert", false);
      split.putObject("pattern").put("Regex", pattern);
    }
    steps
        .addObject()
        .put("type", "ByteLevel")
        .put("add_prefix_space", false)
        .put("trim_offsets", false)
        .put("use_regex", false);
  }

  private static void putMerges(ArrayNode out, String[] merges) {
    for (String merge : merges) {
      int space = merge.indexOf(' ', 1);
      if (space < 0 || space == merge.length() - 1) {
        throw new TokenizerException(
            "vocabulary: expected a merge 'left right', got '" + merge + "'");
      }
      out.addArray().add(merge.substring(0, space)).add(merge.substring(space + 1));
    }
  }
}
