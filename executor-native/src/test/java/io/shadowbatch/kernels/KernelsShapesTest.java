package io.shadowbatch.kernels;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.tensor.Tensor;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Wrong shapes are refused with what was given and what is needed, before native code runs. */
class KernelsShapesTest {
  @Test
  void messagesHoldActualAndExpectedShapes() {
    for (Kernels k : List.of(Backend.open("cpu", 1), Backend.open("reference", 1))) {
      try (Arena a = new Arena(k)) {
        PackedMatrix w = a.packed(40, 64, Arena.packedBytes(new Random(1), 40, 64, false));
        Activations x = a.activations(4, 64);
        Tensor wrong = a.zeros(4, 41);
        refused(
            () -> k.matmul(x, w, null, wrong, Kernels.Store.SET),
            "matmul: x [4,64] and w U8_GROUP32 [40,64], bias none need out [n,40], got F32 [4,41]");
        refused(
            () -> k.matmul(x, w, a.zeros(1, 39), a.zeros(4, 40), Kernels.Store.SET),
            "bias F32 [1,39]");
        refused(() -> k.matmul(x, w, null, a.zeros(5, 40), Kernels.Store.SET), "got F32 [5,40]");
        refused(
            () -> k.embed(w, new int[] {40}, 1, a.zeros(1, 64)),
            "embed: token 40 of a vocabulary of 40");
        refused(() -> k.rmsNorm(a.zeros(4, 60), a.zeros(1, 60), 1e-5f, x), "rmsNorm: x F32 [4,60]");
        refused(() -> k.headNorm(a.zeros(4, 60), 16, a.zeros(1, 16), 1e-5f), "heads of 16");
        refused(() -> k.quantize(a.zeros(5, 64), x), "needs out [5,64], got [4,64]");
        refused(() -> k.swiGlu(a.zeros(4, 64), x), "needs out [4,32], got [4,64]");
        refused(
            () -> k.gatherRows(a.zeros(4, 8), new int[] {4}, 1, a.zeros(1, 8)),
            "gatherRows: row 4 of 4");
        refused(() -> k.argmax(a.zeros(4, 8), new int[3]), "argmax: logits F32 [4,8] into 3 ids");
      }
      k.close();
    }
  }

  @Test
  void aFloatFormIsRefusedByTheCpuBackend() {
    try (Kernels k = Backend.open("cpu", 1);
        Arena a = new Arena(k)) {
      PackedMatrix w = new PackedMatrix(a.storage(4096), 0, PackedMatrix.Form.F32, 4, 32);
      refused(
          () -> k.embed(w, new int[] {0}, 1, a.zeros(1, 32)),
          "embed: weights in form F32, the cpu backend reads U8_GROUP32");
      Activations floats = Activations.f32(a.storage(4096), 2, 64);
      refused(() -> k.quantize(a.zeros(2, 64), floats), "quantize: float activations [2,64]");
      KvLayout layout = new KvLayout(KvCodec.F32, 1, 1, 32);
      KvView view = new KvView(layout, List.of(List.of(new HalfPages(a, layout, 1).dense(0, 1))));
      TokenBatch batch =
          new TokenBatch(1, new int[1], new int[1], List.of(new Slice(0, 0, 1)), new int[0]);
      RopeTable rope = RopeTable.of(k, new double[16], 4);
      refused(
          () ->
              k.append(
                  new AttentionShape(layout, 1, 1, 0),
                  0,
                  a.zeros(1, 32),
                  a.zeros(1, 32),
                  batch,
                  view,
                  rope),
          "append: KV codec F32 is for the reference only");
    }
  }

  @Test
  void backendsAreChosenByName() {
    refused(() -> Backend.open("cuda:x", 1), "'cuda:x' is unknown; there are cpu, reference, cuda");
    refused(() -> Backend.open("gpu", 1), "'gpu' is unknown; there are cpu, reference, cuda and");
    refused(() -> Backend.open("cpu", 0), "0 threads, 1..1024");
  }

  private static void refused(
      org.assertj.core.api.ThrowableAssert.ThrowingCallable call, String part) {
    assertThatThrownBy(call)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(part);
  }
}
