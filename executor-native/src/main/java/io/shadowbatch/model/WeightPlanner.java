package io.shadowbatch.model;

import io.shadowbatch.model.WeightPlan.Entry;
import io.shadowbatch.model.WeightPlan.Kind;
import io.shadowbatch.model.WeightPlan.Order;
import io.shadowbatch.model.WeightPlan.Part;
import io.shadowbatch.weights.ModelFileException;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TensorInfo;
import io.shadowbatch.weights.WeightFile;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Finds the tensors of a spec in a file, checks their shapes, and refuses a file with tensors that
 * the spec has no place for: weights that are left out would give wrong answers in silence.
 */
final class WeightPlanner {
  private final WeightFile file;
  private final ModelSpec spec;
  private final WeightNames names;
  private final Order queryKeyOrder;
  private final List<Entry> entries = new ArrayList<>();
  private final Set<String> used = new HashSet<>();

  private WeightPlanner(WeightFile file, ModelSpec spec, WeightNames names, Order queryKeyOrder) {
    this.file = file;
    this.spec = spec;
    this.names = names;
    this.queryKeyOrder = queryKeyOrder;
  }

  /**
   * @param ignored names of tensors that carry nothing the spec needs
   */
  static WeightPlan plan(
      WeightFile file, ModelSpec spec, WeightNames names, Order order, Predicate<String> ignored)
      throws ModelFileException {
    WeightPlanner planner = new WeightPlanner(file, spec, names, order);
    planner.outerEntries();
    for (int layer = 0; layer < spec.layers(); layer++) planner.layerEntries(layer);
    for (TensorInfo tensor : file.tensors()) {
      if (!planner.used.contains(tensor.name()) && !ignored.test(tensor.name())) {
        throw new ModelFileException(
            tensor.file(),
            tensor.fileOffset(),
            "tensor '%s' has no place in family %s with %d layers, expected only tensors it uses"
                .formatted(tensor.name(), spec.family(), spec.layers()));
      }
    }
    return new WeightPlan(planner.entries);
  }

  private void outerEntries() throws ModelFileException {
    matrix("embedding", spec.hidden(), part(names.embedding(), spec.vocabulary(), spec.hidden()));
    vector("output_norm", vectorPart(names.outputNorm(), spec.hidden()));
    if (!spec.tiedEmbeddings()) {
      matrix("head", spec.hidden(), part(names.head(), spec.vocabulary(), spec.hidden()));
    }
  }

  private void layerEntries(int layer) throws ModelFileException {
    String prefix = "layers." + layer + ".";
    int hidden = spec.hidden();
    vector(prefix + "attention_norm", vectorPart(at(names.attentionNorm(), layer), hidden));
    matrix(
        prefix + "qkv",
        hidden,
        turned(part(at(names.query(), layer), spec.queryWidth(), hidden)),
        turned(part(at(names.key(), layer), spec.kvWidth(), hidden)),
        part(at(names.value(), layer), spec.kvWidth(), hidden));
    if (spec.qkvBias()) {
      vector(
          prefix + "qkv_bias",
          turned(biasPart(at(names.query(), layer), spec.queryWidth())),
          turned(biasPart(at(names.key(), layer), spec.kvWidth())),
          biasPart(at(names.value(), layer), spec.kvWidth()));
    }
    if (spec.qkNorm()) {
      vector(prefix + "q_norm", vectorPart(at(names.queryNorm(), layer), spec.headDim()));
      vector(prefix + "k_norm", vectorPart(at(names.keyNorm(), layer), spec.headDim()));
    }
    matrix(
        prefix + "output",
        spec.queryWidth(),
        part(at(names.output(), layer), hidden, spec.queryWidth()));
    vector(prefix + "feed_forward_norm", vectorPart(at(names.feedForwardNorm(), layer), hidden));
    matrix(
        prefix + "gate_up",
        hidden,
        part(at(names.gate(), layer), spec.feedForward(), hidden),
        part(at(names.up(), layer), spec.feedForward(), hidden));
    matrix(
        prefix + "down",
        spec.feedForward(),
        part(at(names.down(), layer), hidden, spec.feedForward()));
  }

  private static String at(String pattern, int layer) {
    return pattern.formatted(layer);
  }

  private Part turned(Part part) {
    return new Part(part.tensor(), queryKeyOrder);
  }

  private Part part(String name, int rows, int columns) throws ModelFileException {
    return find(name + ".weight", List.of((long) rows, (long) columns));
  }

  private Part vectorPart(String name, int size) throws ModelFileException {
    return find(name + ".weight", List.of((long) size));
  }

  private Part biasPart(String name, int size) throws ModelFileException {
    return find(name + ".bias", List.of((long) size));
  }

  private Part find(String name, List<Long> shape) throws ModelFileException {
    TensorInfo tensor = file.find(name);
    if (tensor == null) {
      throw new ModelFileException(
          file.path(), "tensor '%s' is missing, expected one of shape %s".formatted(name, shape));
    }
    if (!tensor.shape().equals(shape)) {
      throw new ModelFileException(
          tensor.file(),
          tensor.fileOffset(),
          "tensor '%s' has shape %s, expected %s".formatted(name, tensor.shape(), shape));
    }
    boolean vector = shape.size() == 1;
    if (tensor.type().coding() == QuantType.Coding.REFUSED || (vector && !tensor.type().plain())) {
      throw new ModelFileException(
          tensor.file(),
          tensor.fileOffset(),
          "tensor '%s' has type %s, expected one of F32, F16, BF16%s"
              .formatted(
                  name,
                  tensor.type(),
                  vector ? "" : ", Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K"));
    }
    used.add(name);
    return new Part(tensor, Order.AS_STORED);
  }

  private void matrix(String name, int columns, Part... parts) {
    long rows = 0;
    for (Part part : parts) rows += part.tensor().rows();
    entries.add(
        new Entry(
            name, Kind.MATRIX, Math.toIntExact(rows), columns, spec.headDim(), List.of(parts)));
  }

  private void vector(String name, Part... parts) {
    long columns = 0;
    for (Part part : parts) columns += part.tensor().columns();
    entries.add(new Entry(name, Kind.VECTOR, 1, (int) columns, spec.headDim(), List.of(parts)));
  }
}
