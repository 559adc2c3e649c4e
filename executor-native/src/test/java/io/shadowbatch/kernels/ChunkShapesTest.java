package io.shadowbatch.kernels;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.ChunkRig.Sequence;
import io.shadowbatch.kernels.ChunkRig.Setup;
import io.shadowbatch.tensor.Tensor;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

/** Wrong chunks, picks and landmarks are refused before native code runs. */
class ChunkShapesTest {
  private static final long SEED = 1;

  @Test
  void messagesSayWhatIsNeeded() {
    for (Kernels k : List.of(Backend.open("cpu", 1), Backend.open("reference", 1))) {
      try (Arena a = new Arena(k)) {
        Setup setup = new Setup(KvCodec.INT8, 32, 1, 2, 8, 1);
        ChunkRig rig = new ChunkRig(a, setup, List.of(new Sequence(128, 33, 2)), 0, SEED);
        ChunkPicks picks = rig.select(4);
        picks.ids().setI32(1, 1, 16);
        refused(
            () -> rig.attend(rig.view(picks)),
            "attend: chunk 16 in row 1 of the picks, the segment's pages have 16");
        picks.ids().setI32(1, 0, 99);
        refused(() -> rig.attend(rig.view(picks)), "attend: 99 chunks in row 1 of the picks");
        ChunkPicks few = new ChunkPicks(picks.ids().rows(0, 1), 8);
        refused(() -> rig.attend(rig.view(few)), "1 KV heads need picks of 2 rows, got 1");
        AttentionShape window = new AttentionShape(setup.shape().layout(), 2, 1, 64);
        refused(
            () -> k.attend(window, 0, rig.q, rig.batch, rig.view(picks), rig.rope, rig.q, null),
            "attend: a window of 64 with picked chunks; only 0");
        Tensor[] none = {a.zeros(1, 8)};
        refused(
            () -> k.summarise(setup.shape().layout(), 8, rig.pages.get(0).keys, none),
            "summarise: 3 key halves into 1 pages of landmarks");
        refused(() -> new ChunkPicks(rig.ints(2, 3), 5), "chunks of 5 tokens, possible are 4, 8");
        Tensor exact = rig.exact(0);
        ChunkView view =
            new ChunkView(
                rig.landmarkLayout, List.of(new ChunkView.Chunks(rig.landmarks.get(0), exact, 6)));
        ChunkPicks small = new ChunkPicks(rig.ints(2, 3), 8);
        refused(
            () -> k.selectChunks(setup.shape(), 1, rig.q, rig.batch, view, rig.rope, small),
            "a budget of 6 of 16; a row of picks has room for 2");
        refused(
            () ->
                k.attentionMass(
                    setup.shape(),
                    1,
                    rig.q,
                    rig.batch,
                    rig.view(null),
                    rig.rope,
                    a.zeros(2, 4),
                    a.zeros(1, 160)),
            "attentionMass: mass F32 [1,160], needed is F32 [1,161]");
      }
      k.close();
    }
  }

  private static void refused(ThrowingCallable call, String part) {
    assertThatThrownBy(call)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(part);
  }
}
