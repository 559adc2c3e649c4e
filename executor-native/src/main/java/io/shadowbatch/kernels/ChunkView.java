package io.shadowbatch.kernels;

import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/** What each slice of a token batch picks its chunks from. The same for all layers of a step. */
public final class ChunkView {

  /**
   * The chunks of one slice's picked segment.
   *
   * @param landmarks U8 [1, pageBytes] of each page
   * @param exact I32 [layers * kvHeads, 1 + most]: count and ascending ids of the chunks that are
   *     always picked
   * @param budgetChunks chunks picked by their scores beside those
   */
  public record Chunks(Tensor[] landmarks, Tensor exact, int budgetChunks) {}

  private static final int NUMBERS = 5;

  private final LandmarkLayout layout;
  private final List<Chunks> slices;
  private final long[] addresses;
  private final long[] numbers;

  /**
   * @param slices of each slice its chunks, or null where it reads everything
   */
  public ChunkView(LandmarkLayout layout, List<Chunks> slices) {
    this.layout = layout;
    this.slices = Collections.unmodifiableList(new ArrayList<>(slices));
    this.numbers = new long[NUMBERS * slices.size()];
    List<Tensor> all = new ArrayList<>();
    for (int s = 0; s < slices.size(); s++) {
      Chunks chunks = slices.get(s);
      numbers[NUMBERS * s] = -1;
      if (chunks == null) continue;
      numbers[NUMBERS * s] = all.size();
      numbers[NUMBERS * s + 1] = chunks.landmarks().length;
      numbers[NUMBERS * s + 2] = chunks.budgetChunks();
      numbers[NUMBERS * s + 4] = chunks.exact().rowStride();
      all.addAll(Arrays.asList(chunks.landmarks()));
    }
    for (Tensor page : all) {
      if (page.dtype() != DType.U8 || page.columns() != layout.pageBytes()) {
        throw new IllegalArgumentException(
            "chunk view: landmarks %s [%d,%d], needed is U8 [1,%d]"
                .formatted(page.dtype(), page.rows(), page.columns(), layout.pageBytes()));
      }
    }
    this.addresses = all.stream().mapToLong(Tensor::address).toArray();
  }

  public LandmarkLayout layout() {
    return layout;
  }

  /** Of each slice its chunks, or null where it reads everything. */
  public List<Chunks> slices() {
    return slices;
  }

  /** Addresses of all landmark pages, in order; for backends that use addresses. */
  public long[] addresses() {
    return addresses;
  }

  /**
   * Five numbers for each slice: index in {@link #addresses} of its first page or -1, its pages,
   * its budget, address of the first row of {@code exact} of a layer, and its stride in elements.
   */
  public long[] numbers(int layer) {
    for (int s = 0; s < slices.size(); s++) {
      if (slices.get(s) == null) continue;
      Tensor exact = slices.get(s).exact();
      long row = (long) layer * layout.kv().kvHeads() * exact.rowStride();
      numbers[NUMBERS * s + 3] = exact.address() + exact.dtype().bytes() * row;
    }
    return numbers;
  }
}
