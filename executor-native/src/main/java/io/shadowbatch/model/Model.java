package io.shadowbatch.model;

import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.weights.VocabularyFacts;
import java.io.IOException;
import java.nio.file.Path;

/**
 * An open model: its spec, its weights in memory of a backend, and what its files say about text.
 * Does not tokenise and does not compute.
 *
 * <p>A path is a {@code .gguf} file, a {@code .safetensors} file or a folder that holds such files
 * as the Hugging Face hub does.
 *
 * @param fingerprint SHA-256 of the source files' content
 */
public record Model(ModelHeader header, DecoderWeights weights, String fingerprint)
    implements AutoCloseable {

  /**
   * Opens a model in the form that the kernels multiply: U8_GROUP32 packed once on this host, then
   * mapped; the others decoded into memory of the kernels at each opening.
   */
  public static Model open(Path path, Kernels kernels, PackOptions options) throws IOException {
    try (ModelSource source = Families.open(path)) {
      String fingerprint = new Fingerprint(options.folder()).of(source.file().sources());
      DecoderWeights weights =
          switch (kernels.weightForm()) {
            case U8_GROUP32 ->
                DecoderWeights.map(
                    WeightPack.of(source.file(), source.plan(), fingerprint, options), kernels);
            case BF16 ->
                WeightUpload.load(source.file(), source.plan(), kernels, options.threads());
            case F32 -> DecoderWeights.loadFloat32(source.file(), source.plan(), kernels);
          };
      return new Model(source.header(), weights, fingerprint);
    }
  }

  /** What a model is, from its headers alone; all tensors are checked to be there. */
  public static ModelHeader header(Path path) throws IOException {
    try (ModelSource source = Families.open(path)) {
      return source.header();
    }
  }

  /**
   * Bytes of the packed file that integer kernels map, from the headers alone: one byte a number,
   * and 8 for each 32.
   */
  public static long packedBytes(Path path) throws IOException {
    try (ModelSource source = Families.open(path)) {
      return PackLayout.of(path, source.plan(), PackLayout.NO_FINGERPRINT).fileBytes();
    }
  }

  /** The spec of a model, from its headers alone. */
  public static ModelSpec spec(Path path) throws IOException {
    return header(path).spec();
  }

  /** SHA-256 of the source files' content; remembered in the folder of the options. */
  public static String fingerprint(Path path, PackOptions options) throws IOException {
    try (ModelSource source = Families.open(path)) {
      return new Fingerprint(options.folder()).of(source.file().sources());
    }
  }

  /** What the decoder must know. */
  public ModelSpec spec() {
    return header.spec();
  }

  /** The GGUF file's vocabulary, or null if {@link TextFacts#tokenizerJson} is the tokenizer. */
  public VocabularyFacts vocabulary() {
    return header.vocabulary();
  }

  @Override
  public void close() {
    weights.close();
  }
}
