package io.shadowbatch.weights;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/**
 * A folder in the layout of the Hugging Face hub: one safetensors file, or several with an index,
 * and the JSON files beside them. The metadata are those of config.json. Knows nothing about
 * families.
 */
public final class SafetensorsFile implements WeightFile {
  private static final String SINGLE = "model.safetensors";
  private static final String INDEX = "model.safetensors.index.json";
  private static final List<String> BESIDE =
      List.of(
          "config.json",
          "generation_config.json",
          "tokenizer.json",
          "tokenizer_config.json",
          "chat_template.jinja");

  private final Path folder;
  private final Metadata config;
  private final List<Path> sources = new ArrayList<>();
  private final Map<Path, FileChannel> channels = new LinkedHashMap<>();
  private final TensorTable tensors = new TensorTable();

  private SafetensorsFile(Path folder, Metadata config) {
    this.folder = folder;
    this.config = config;
  }

  /** Opens a folder, or the one safetensors file of a folder. */
  public static SafetensorsFile open(Path path) throws IOException {
    boolean isFolder = Files.isDirectory(path);
    Path folder = isFolder ? path : path.toAbsolutePath().getParent();
    Metadata config = JsonFiles.read(folder.resolve("config.json"));
    if (config == null) {
      throw new ModelFileException(folder, "holds no config.json, which safetensors files need");
    }
    SafetensorsFile result = new SafetensorsFile(folder, config);
    try {
      result.openAll(isFolder ? folder.resolve(SINGLE) : path);
      return result;
    } catch (IOException | RuntimeException | Error e) {
      result.close();
      throw e;
    }
  }

  private void openAll(Path single) throws IOException {
    for (String name : BESIDE) {
      if (Files.isRegularFile(folder.resolve(name))) sources.add(folder.resolve(name));
    }
    Path index = folder.resolve(INDEX);
    if (Files.isRegularFile(single)) {
      openOne(single);
    } else if (Files.isRegularFile(index)) {
      sources.add(index);
      openIndexed(index);
    } else {
      throw new ModelFileException(folder, "holds neither %s nor %s".formatted(SINGLE, INDEX));
    }
    tensors.checkOverlaps();
  }

  private void openOne(Path file) throws IOException {
    FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
    channels.put(file, channel);
    sources.add(file);
    new SafetensorsHeader(file, channel).addTo(tensors);
  }

  private void openIndexed(Path index) throws IOException {
    Metadata map = JsonFiles.read(index).object("weight_map");
    if (map == null) throw new ModelFileException(index, "key weight_map is missing");
    TreeSet<String> names = new TreeSet<>();
    for (String tensor : map.keys()) names.add(map.text(tensor));
    for (String name : names) {
      // Only files of this very folder: an index must not reach anything else on the machine.
      if (!name.matches("[A-Za-z0-9][A-Za-z0-9._-]{0,200}\\.safetensors")) {
        throw new ModelFileException(
            index,
            "weight_map names the file %s, expected a plain name ending in .safetensors"
                .formatted(ModelFileException.quote(name)));
      }
      Path file = folder.resolve(name);
      if (!Files.isRegularFile(file)) {
        throw new ModelFileException(index, "weight_map names " + name + ", which is not there");
      }
      openOne(file);
    }
    for (String tensor : map.keys()) {
      TensorInfo found = tensors.find(tensor);
      String expected = map.text(tensor);
      if (found == null || !found.file().getFileName().toString().equals(expected)) {
        throw new ModelFileException(
            index,
            "weight_map has tensor %s in %s, found it in %s"
                .formatted(
                    ModelFileException.quote(tensor),
                    expected,
                    found == null ? "no file" : found.file().getFileName()));
      }
    }
  }

  /** The object in a JSON file of the folder, or null if it is not there. */
  public Metadata beside(String name) throws IOException {
    return JsonFiles.read(folder.resolve(name));
  }

  /** The text in a file of the folder, or null if it is not there. */
  public String textBeside(String name) throws IOException {
    return JsonFiles.text(folder.resolve(name));
  }

  /** The file of this name in the folder, or null if it is not there. */
  public Path fileBeside(String name) {
    Path file = folder.resolve(name);
    return Files.isRegularFile(file) ? file : null;
  }

  @Override
  public Path path() {
    return folder;
  }

  @Override
  public List<Path> sources() {
    return List.copyOf(sources);
  }

  @Override
  public Metadata metadata() {
    return config;
  }

  @Override
  public List<TensorInfo> tensors() {
    return tensors.all();
  }

  @Override
  public TensorInfo find(String name) {
    return tensors.find(name);
  }

  @Override
  public void readRows(TensorInfo tensor, long first, int count, byte[] out, int at)
      throws IOException {
    TensorTable.readRows(channels.get(tensor.file()), tensor, first, count, out, at);
  }

  @Override
  public void close() throws IOException {
    IOException failure = null;
    for (FileChannel channel : channels.values()) {
      try {
        channel.close();
      } catch (IOException e) {
        failure = e;
      }
    }
    if (failure != null) throw failure;
  }
}
