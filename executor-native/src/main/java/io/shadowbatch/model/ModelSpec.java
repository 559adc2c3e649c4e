package io.shadowbatch.model;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import java.util.List;

/**
 * Everything in which the supported models differ, as data. Holds no weights.
 *
 * @param family name of the architecture, as in the file: llama, mistral, qwen2, qwen3
 * @param hidden width of the residual stream
 * @param headDim width of a query, key and value head
 * @param feedForward width between gate/up and down
 * @param vocabulary rows of the embedding
 * @param normEps of every root-mean-square norm
 * @param contextLength most positions the model was made for
 * @param qkvBias whether query, key and value projections have biases
 * @param qkNorm whether query and key heads are normed before RoPE
 * @param tiedEmbeddings whether the head is the embedding
 * @param windows for each layer how many positions it sees, 0 for all
 * @param attentionScale multiplies every score
 */
public record ModelSpec(
    String family,
    int layers,
    int hidden,
    int queryHeads,
    int kvHeads,
    int headDim,
    int feedForward,
    int vocabulary,
    float normEps,
    int contextLength,
    RopeSpec rope,
    boolean qkvBias,
    boolean qkNorm,
    boolean tiedEmbeddings,
    List<Integer> windows,
    float attentionScale,
    TextFacts text) {

  private static final int HEAD_DIM_MAX = 256;

  public ModelSpec {
    windows = List.copyOf(windows);
    require(
        layers > 0 && windows.size() == layers, "layers " + layers + ", expected one window each");
    require(vocabulary > 0 && contextLength > 0, "vocabulary and context must be positive");
    multiple("hidden", hidden, 32);
    multiple("feedForward", feedForward, 32);
    multiple("headDim", headDim, 16);
    multiple("rotaryDim", rope.rotaryDim(), 32);
    require(headDim <= HEAD_DIM_MAX, "headDim " + headDim + ", expected at most " + HEAD_DIM_MAX);
    require(
        rope.rotaryDim() <= headDim, "rotaryDim " + rope.rotaryDim() + " above headDim " + headDim);
    require(
        kvHeads > 0 && queryHeads > 0 && queryHeads % kvHeads == 0,
        "%d query heads, expected a multiple of %d key/value heads".formatted(queryHeads, kvHeads));
    require(
        normEps > 0 && normEps < 1 && attentionScale > 0 && attentionScale <= 1024,
        "normEps %g and attentionScale %g".formatted(normEps, attentionScale));
  }

  /** Width of all query heads together. */
  public int queryWidth() {
    return queryHeads * headDim;
  }

  /** Width of all key heads together, and of all value heads. */
  public int kvWidth() {
    return kvHeads * headDim;
  }

  /** Numbers in all matrices: embedding, head if there is one of its own, layers. */
  public long matrixNumbers() {
    long head = tiedEmbeddings ? 0 : (long) vocabulary * hidden;
    long attention = (long) hidden * (queryWidth() + 2L * kvWidth()) + (long) queryWidth() * hidden;
    return (long) vocabulary * hidden + head + layers * (attention + 3L * hidden * feedForward);
  }

  /** How keys and values of this model lie in pages. */
  public KvLayout kvLayout(KvCodec codec) {
    return new KvLayout(codec, layers, kvHeads, headDim);
  }

  /** The constants of one layer's attention. */
  public AttentionShape attention(int layer, KvLayout layout) {
    return new AttentionShape(layout, queryHeads, attentionScale, windows.get(layer));
  }

  private static void multiple(String what, int value, int of) {
    require(
        value > 0 && value % of == 0,
        "%s %d, expected a multiple of %d (vectors of the kernels)".formatted(what, value, of));
  }

  private static void require(boolean condition, String message) {
    if (!condition) throw new IllegalArgumentException("model spec: " + message);
  }
}
