package io.shadowbatch.kernels.cpu;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.Tensor;
import java.util.Arrays;

/** What native functions take: addresses, strides and dimensions of the records of an operation. */
final class Arguments {
  private Arguments() {}

  static void requirePacked(String op, PackedMatrix m) {
    if (m.form() != PackedMatrix.Form.U8_GROUP32) {
      throw new IllegalArgumentException(
          "%s: weights in form %s, the cpu backend reads %s"
              .formatted(op, m.form(), PackedMatrix.Form.U8_GROUP32));
    }
  }

  static long[] addresses(Tensor[] tensors) {
    return Arrays.stream(tensors).mapToLong(Tensor::address).toArray();
  }

  static long[] addresses(String op, Activations a) {
    if (!a.quantised()) {
      throw new IllegalArgumentException(
          "%s: float activations [%d,%d], the cpu backend reads 8-bit ones"
              .formatted(op, a.rows(), a.columns()));
    }
    return new long[] {
      a.q().address(),
      a.scale().address(),
      a.sum().address(),
      a.q().rowStride(),
      a.scale().rowStride(),
      a.spikes().count().address(),
      a.spikes().column().address(),
      a.spikes().value().address()
    };
  }

  static long[] dimensions(
      String op,
      AttentionShape shape,
      int layer,
      PrefixAttention attention,
      TokenBatch batch,
      RopeTable rope) {
    KvLayout layout = shape.layout();
    return new long[] {
      codec(op, layout),
      layout.kvHeads(),
      shape.headsPerGroup(),
      layout.headDim(),
      layout.rotationWidth(),
      shape.window(),
      rope.rotaryDim() / 2,
      (long) layer * layout.layerBytes(),
      layout.blockBytes(),
      rope.cos().address(),
      rope.sin().address(),
      rope.cos().rowStride(),
      batch.slices().size(),
      attention == PrefixAttention.SEPARATE ? 1 : 0
    };
  }

  static int codec(String op, KvLayout layout) {
    return switch (layout.codec()) {
      case FP16 -> 0;
      case INT8 -> 1;
      case F32 ->
          throw new IllegalArgumentException(
              "%s: KV codec F32 is for the reference only; the cpu backend reads FP16 and INT8"
                  .formatted(op));
    };
  }

  static int[] firstRows(TokenBatch batch) {
    int[] result = new int[batch.slices().size() + 1];
    for (int s = 0; s < batch.slices().size(); s++) result[s] = batch.slices().get(s).firstRow();
    result[result.length - 1] = batch.size();
    return result;
  }
}
