package io.shadowbatch.tokens;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Map;

/** Opens a {@code tokenizer.json}: the native library encodes, the token bytes are read here. */
final class JsonTokenizers {
  private static final long BYTES_MAX = 256 << 20;
  private static final int TOKENS_MAX = 1 << 22;
  private static final int SHOWN_MAX = 120;
  private static final int GROWTH_MAX = 16;
  private static final int DEPTH_MAX = 100;

  private static final ObjectMapper JSON =
      new ObjectMapper(
          JsonFactory.builder()
              .streamReadConstraints(
                  StreamReadConstraints.builder().maxNestingDepth(DEPTH_MAX).build())
              .build());

  private JsonTokenizers() {}

  static Tokenizer open(Path path) {
    String text;
    JsonNode root;
    try {
      long bytes = Files.size(path);
      if (bytes > BYTES_MAX) throw wrong(path, "a file of at most " + BYTES_MAX + " bytes", bytes);
      text = Files.readString(path, StandardCharsets.UTF_8);
      root = JSON.readTree(text);
    } catch (IOException e) {
      throw new TokenizerException("cannot read " + path + ": " + e, e);
    }
    JsonNode vocabulary = root.path("model").path("vocab");
    if (!vocabulary.isObject()) {
      JsonNode type = root.path("model").path("type");
      throw wrong(path, "model.vocab to be an object (BPE)", "model type " + type);
    }
    checkValues(path, root);
    refuse(path, root);
    TokenTable table = table(path, root, vocabulary, isByteLevel(path, root));
    return new NativeTokenizer(text, table, null);
  }

  /**
   * Refuses what this parser takes and the library's does not, besides what is too deep: that one
   * ends the whole process where it meets such a thing inside a normalizer or decoder.
   */
  private static void checkValues(Path path, JsonNode node) {
    if (node.isTextual()) checkText(path, node.textValue());
    if (node.isNumber() && !Double.isFinite(node.doubleValue())) {
      throw wrong(path, "numbers of 64 bits", node);
    }
    for (Iterator<String> names = node.fieldNames(); names.hasNext(); ) {
      checkText(path, names.next());
    }
    for (JsonNode part : node) checkValues(path, part);
  }

  private static void checkText(Path path, String text) {
    int half = TextCheck.halfCharacter(text);
    if (half >= 0) throw wrong(path, "whole characters", "half of a surrogate pair");
  }

  /** What would make answers random, or one text fill the memory of the process. */
  private static void refuse(Path path, JsonNode root) {
    double dropout = root.path("model").path("dropout").asDouble(0);
    if (dropout != 0) {
      throw wrong(path, "model.dropout null or 0, as tokens would be random", dropout);
    }
    double growth = growth(root.path("normalizer"));
    if (growth > GROWTH_MAX) {
      throw wrong(
          path, "a normalizer that makes texts at most " + GROWTH_MAX + " times as long", growth);
    }
  }

  /** How many times as long a text may become by the replacements of a normalizer. */
  private static double growth(JsonNode normalizer) {
    double product = 1;
    for (JsonNode step : normalizer.path("normalizers")) product *= growth(step);
    if (!normalizer.path("content").isTextual()) return product;
    int matched = normalizer.path("pattern").path("String").asText().length();
    int content = normalizer.path("content").textValue().length();
    // an empty match, which a regular expression may have too, adds to each character
    return product * (matched == 0 ? content + 1 : Math.max(1, (double) content / matched));
  }

  private static boolean isByteLevel(Path path, JsonNode root) {
    JsonNode decoder = root.path("decoder");
    if (decoder.path("type").asText().equals("ByteLevel")) {
      return true;
    }
    for (JsonNode step : decoder.path("decoders")) {
      String type = step.path("type").asText();
      if (type.equals("ByteLevel") || type.equals("ByteFallback")) {
        return type.equals("ByteLevel");
      }
    }
    throw wrong(path, "a decoder with ByteLevel or ByteFallback", decoder);
  }

  private static TokenTable table(
      Path path, JsonNode root, JsonNode vocabulary, boolean byteLevel) {
    JsonNode added = root.path("added_tokens");
    int largest = -1;
    for (JsonNode id : vocabulary) {
      largest = Math.max(largest, id(path, id));
    }
    for (JsonNode token : added) {
      largest = Math.max(largest, id(path, token.path("id")));
    }
    TokenTable table = new TokenTable(largest + 1);
    for (Iterator<Map.Entry<String, JsonNode>> it = vocabulary.fields(); it.hasNext(); ) {
      Map.Entry<String, JsonNode> entry = it.next();
      if (byteLevel) {
        table.putByteLevel(entry.getValue().intValue(), entry.getKey());
      } else {
        table.putPiece(entry.getValue().intValue(), entry.getKey());
      }
    }
    for (JsonNode token : added) {
      int id = token.path("id").intValue();
      String content = token.path("content").textValue();
      if (content == null) {
        throw wrong(path, "a text as content of each of added_tokens", token.path("content"));
      }
      if (token.path("special").booleanValue()) {
        table.putSpecial(id, content);
      } else if (byteLevel) {
        table.putText(id, content);
      } else {
        table.putPiece(id, content);
      }
    }
    return table;
  }

  /**
   * The table has a place for each id up to the largest, so a small file must not name a huge one.
   */
  private static int id(Path path, JsonNode id) {
    if (id.isIntegralNumber() && id.canConvertToInt() && id.intValue() >= 0) {
      if (id.intValue() < TOKENS_MAX) return id.intValue();
    }
    throw wrong(path, "token ids in [0, " + TOKENS_MAX + ")", id);
  }

  private static TokenizerException wrong(Path path, String expected, Object found) {
    String shown = String.valueOf(found);
    String cut = shown.length() > SHOWN_MAX ? shown.substring(0, SHOWN_MAX) + ".." : shown;
    return new TokenizerException(path + ": expected " + expected + ", got " + cut);
  }
}
