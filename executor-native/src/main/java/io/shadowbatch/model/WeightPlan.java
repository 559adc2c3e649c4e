package io.shadowbatch.model;

import io.shadowbatch.weights.TensorInfo;
import java.util.List;

/**
 * Which tensors of a file make the decoder's weights, in which order of rows. Reads nothing.
 *
 * @param entries the canonical weights, in the order of the packed file
 */
record WeightPlan(List<Entry> entries) {
  WeightPlan {
    entries = List.copyOf(entries);
  }

  /** What an entry becomes. */
  enum Kind {
    /** Packed for products. */
    MATRIX,
    /** Floats [1, columns]: norms and biases. */
    VECTOR
  }

  /** In which order a tensor's rows (or a vector's elements) are taken. */
  enum Order {
    AS_STORED,
    /**
     * GGUF files of the llama architecture store query and key rows for a RoPE that turns
     * neighbours (convert_hf_to_gguf.py, {@code permute}): row 2 i + j of a head is row i + j *
     * headDim / 2 of the half-split form.
     */
    INTERLEAVED
  }

  /** A tensor that fills the next rows of an entry. */
  record Part(TensorInfo tensor, Order order) {}

  /**
   * One canonical weight.
   *
   * @param headDim rows of a head, for {@link Order#INTERLEAVED}
   */
  record Entry(String name, Kind kind, int rows, int columns, int headDim, List<Part> parts) {
    Entry {
      parts = List.copyOf(parts);
    }
  }

  /** Row of the file's tensor that is row {@code row} of a part. */
  static long sourceRow(Order order, int headDim, long row) {
    if (order == Order.AS_STORED) return row;
    long d = row % headDim;
    long half = headDim / 2;
    return row - d + 2 * (d % half) + d / half;
  }
}
