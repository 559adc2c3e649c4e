package io.shadowbatch.model;

import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.model.WeightPlan.Entry;
import io.shadowbatch.model.WeightPlan.Kind;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import io.shadowbatch.weights.ModelFileException;
import io.shadowbatch.weights.WeightFile;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The weights of a decoder in canonical, fused form. Owns their memory; computes nothing.
 *
 * @param embedding [vocabulary, hidden]
 * @param outputNorm F32 [1, hidden]
 * @param head [vocabulary, hidden]; the same object as {@code embedding} if the two are tied
 */
public record DecoderWeights(
    PackedMatrix embedding,
    Tensor outputNorm,
    PackedMatrix head,
    List<Layer> layers,
    List<Storage> storages)
    implements AutoCloseable {

  /**
   * One layer.
   *
   * @param attentionNorm F32 [1, hidden]
   * @param qkv rows: all query heads, all key heads, all value heads; columns: hidden
   * @param qkvBias F32 [1, rows of qkv], or null
   * @param qNorm F32 [1, headDim], or null
   * @param kNorm F32 [1, headDim], or null
   * @param output [hidden, queryHeads * headDim]
   * @param feedForwardNorm F32 [1, hidden]
   * @param gateUp rows: gate, then up, feedForward each; columns: hidden
   * @param down [hidden, feedForward]
   */
  public record Layer(
      Tensor attentionNorm,
      PackedMatrix qkv,
      Tensor qkvBias,
      Tensor qNorm,
      Tensor kNorm,
      PackedMatrix output,
      Tensor feedForwardNorm,
      PackedMatrix gateUp,
      PackedMatrix down) {}

  /** Opens the storage of one weight. */
  interface Opener {
    Storage open(Entry entry) throws IOException;
  }

  /** Maps the weights of a pack. */
  static DecoderWeights map(WeightPack pack, Kernels kernels) throws IOException {
    Map<Entry, PackLayout.Item> items = new HashMap<>();
    for (PackLayout.Item item : pack.layout().items()) items.put(item.entry(), item);
    return collect(
        pack.layout().items().stream().map(PackLayout.Item::entry).toList(),
        PackedMatrix.Form.U8_GROUP32,
        entry -> {
          PackLayout.Item item = items.get(entry);
          return kernels.map(pack.file(), item.offset(), item.bytes());
        });
  }

  /** Decodes all weights to floats, exactly, in memory of their own. */
  static DecoderWeights loadFloat32(WeightFile source, WeightPlan plan, Kernels kernels)
      throws IOException {
    return collect(plan.entries(), PackedMatrix.Form.F32, entry -> floats(source, entry, kernels));
  }

  private static Storage floats(WeightFile source, Entry entry, Kernels kernels)
      throws IOException {
    long bytes = 4L * entry.rows() * entry.columns();
    if (bytes > Integer.MAX_VALUE - 64) {
      throw new ModelFileException(
          source.path(),
          "weight %s [%d,%d] takes %d bytes as floats, expected fewer than 2^31"
              .formatted(entry.name(), entry.rows(), entry.columns(), bytes));
    }
    Storage storage = kernels.allocate(bytes);
    try {
      EntryReader reader = new EntryReader(source, entry);
      Tensor target = Tensor.of(storage, DType.F32, entry.rows(), entry.columns());
      if (entry.kind() == Kind.VECTOR) {
        target.writeRow(0, reader.vector());
      } else {
        float[] row = new float[entry.columns()];
        for (int i = 0; i < entry.rows(); i++) {
          reader.floats(i, row);
          target.writeRow(i, row);
        }
      }
      return storage;
    } catch (IOException | RuntimeException | Error e) {
      storage.close();
      throw e;
    }
  }

  /** Opens all weights; if one fails, closes those before. */
  static DecoderWeights collect(List<Entry> entries, PackedMatrix.Form form, Opener opener)
      throws IOException {
    List<Storage> storages = new ArrayList<>();
    Map<String, PackedMatrix> matrices = new HashMap<>();
    Map<String, Tensor> vectors = new HashMap<>();
    try {
      for (Entry entry : entries) {
        Storage storage = opener.open(entry);
        storages.add(storage);
        if (entry.kind() == Kind.VECTOR) {
          vectors.put(entry.name(), Tensor.of(storage, DType.F32, 1, entry.columns()));
        } else {
          matrices.put(
              entry.name(), new PackedMatrix(storage, 0, form, entry.rows(), entry.columns()));
        }
      }
    } catch (IOException | RuntimeException | Error e) {
      storages.forEach(Storage::close);
      throw e;
    }
    List<Layer> layers = new ArrayList<>();
    for (int i = 0; vectors.containsKey("layers." + i + ".attention_norm"); i++) {
      layers.add(layer("layers." + i + ".", matrices, vectors));
    }
    PackedMatrix embedding = matrices.get("embedding");
    return new DecoderWeights(
        embedding,
        vectors.get("output_norm"),
        matrices.getOrDefault("head", embedding),
        List.copyOf(layers),
        List.copyOf(storages));
  }

  private static Layer layer(
      String prefix, Map<String, PackedMatrix> matrices, Map<String, Tensor> vectors) {
    return new Layer(
        vectors.get(prefix + "attention_norm"),
        matrices.get(prefix + "qkv"),
        vectors.get(prefix + "qkv_bias"),
        vectors.get(prefix + "q_norm"),
        vectors.get(prefix + "k_norm"),
        matrices.get(prefix + "output"),
        vectors.get(prefix + "feed_forward_norm"),
        matrices.get(prefix + "gate_up"),
        matrices.get(prefix + "down"));
  }

  /** Bytes of all weights. */
  public long byteSize() {
    return storages.stream().mapToLong(Storage::byteSize).sum();
  }

  /** Frees the memory. */
  @Override
  public void close() {
    storages.forEach(Storage::close);
  }
}
