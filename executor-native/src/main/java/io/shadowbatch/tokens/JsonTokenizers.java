package io.shadowbatch.tokens;

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
  private JsonTokenizers() {}

  static Tokenizer open(Path path) {
    String text;
    JsonNode root;
    try {
      text = Files.readString(path, StandardCharsets.UTF_8);
      root = new ObjectMapper().readTree(text);
    } catch (IOException e) {
      throw new TokenizerException("cannot read " + path + ": " + e, e);
    }
    JsonNode vocabulary = root.path("model").path("vocab");
    if (!vocabulary.isObject()) {
      throw new TokenizerException(
          path
              + ": expected model.vocab to be an object (BPE), got model type "
              + root.path("model").path("type"));
    }
    TokenTable table = table(root, vocabulary, isByteLevel(path, root));
    return new NativeTokenizer(text, table, null);
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
    throw new TokenizerException(
        path + ": expected a decoder with ByteLevel or ByteFallback, got " + decoder);
  }

  private static TokenTable table(JsonNode root, JsonNode vocabulary, boolean byteLevel) {
    JsonNode added = root.path("added_tokens");
    int largest = -1;
    for (JsonNode id : vocabulary) {
      largest = Math.max(largest, id.intValue());
    }
    for (JsonNode token : added) {
      largest = Math.max(largest, token.path("id").intValue());
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
}
