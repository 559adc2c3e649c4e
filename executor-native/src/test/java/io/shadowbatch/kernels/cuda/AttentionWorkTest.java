package io.shadowbatch.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.ChunkPicks;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.KvSegment;
import io.shadowbatch.kernels.KvView;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The tables of attention, read as the kernels read them. */
class AttentionWorkTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261122L);
  private static final int CHUNK = 8;
  private static final int MOST = 100;

  private final Random random = new Random(SEED);
  private long nextAddress = 4096;

  private Tensor page(KvLayout layout) {
    int bytes = (int) layout.halfBytes();
    nextAddress += 1 << 20;
    return Tensor.of(new Storage(null, nextAddress, bytes, null), DType.U8, 1, bytes);
  }

  /** A step of sequences that branch off one another. */
  private record Step(AttentionShape shape, TokenBatch batch, KvView view) {}

  private Step step(int group, int window, int sequences, boolean picks) {
    KvLayout layout = new KvLayout(KvCodec.FP16, 1, 1, 64);
    ChunkPicks ids = picks ? ids(sequences * 60) : null;
    List<Tensor[][]> all = new ArrayList<>();
    List<Slice> slices = new ArrayList<>();
    List<List<KvSegment>> segments = new ArrayList<>();
    int[] positions = new int[sequences * 60];
    int row = 0;
    for (int s = 0; s < sequences; s++) {
      int rows = random.nextInt(4) == 0 ? 1 + random.nextInt(60) : 1 + random.nextInt(3);
      int length = rows + random.nextInt(3000);
      Tensor[][] halves = new Tensor[2][(length + 63) / 64];
      // Not the page that the rows are written to.
      int own = (length - rows) / 64;
      Tensor[][] other = s == 0 || random.nextInt(4) == 0 ? null : all.get(random.nextInt(s));
      int shared = other == null ? 0 : Math.min(own, random.nextInt(other[0].length));
      // Halves live apart, so that keys may be shared without their values.
      int[] common = {shared, random.nextInt(3) == 0 ? random.nextInt(shared + 1) : shared};
      for (int half = 0; half < 2; half++) {
        for (int i = 0; i < halves[half].length; i++) {
          halves[half][i] = i < common[half] ? other[half][i] : page(layout);
        }
      }
      all.add(halves);
      slices.add(new Slice(s, row, rows));
      for (int i = 0; i < rows; i++) positions[row++] = length - rows + i;
      int from = picks && own > 2 && random.nextBoolean() ? 1 + random.nextInt(own - 1) : 0;
      List<KvSegment> mine = new ArrayList<>();
      Tensor[] k = halves[0];
      Tensor[] v = halves[1];
      if (from > 0) {
        Tensor[] some = Arrays.copyOf(k, from);
        mine.add(KvSegment.picked(some, Arrays.copyOf(v, from), 64 * from, ids));
      }
      k = Arrays.copyOfRange(k, from, k.length);
      v = Arrays.copyOfRange(v, from, v.length);
      mine.add(KvSegment.dense(k, v, 64 * from, length - 64 * from));
      segments.add(mine);
    }
    TokenBatch batch = new TokenBatch(row, new int[row], positions, slices, new int[0]);
    AttentionShape shape = new AttentionShape(layout, group, 1, window);
    return new Step(shape, batch, new KvView(layout, segments));
  }

  private static ChunkPicks ids(int rows) {
    Storage none = new Storage(null, 64, 4L * rows * (1 + MOST), null);
    return new ChunkPicks(Tensor.of(none, DType.I32, rows, 1 + MOST), CHUNK);
  }

  @Test
  void everyRowReadsWhatItSeesOnce() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    for (int i = 0; i < 30; i++) {
      int group = 1 + random.nextInt(8);
      int window = i % 3 == 1 ? 1 + random.nextInt(1500) : 0;
      Step step = step(group, window, 1 + random.nextInt(8), i % 3 == 2);
      int partsMax = random.nextBoolean() ? 1 << 20 : 10;
      new Reading(step, new AttentionWork(step.shape, step.batch, step.view, partsMax)).check();
    }
  }

  /** Who reads what, by token row and head of the group. */
  private static final class Reading {
    private final Step step;
    private final AttentionWork work;
    private final int group;
    private final long[] table;
    private final BitSet[] dense;
    private final BitSet[] gathered;
    private final List<List<Integer>> parts = new ArrayList<>();

    Reading(Step step, AttentionWork work) {
      this.step = step;
      this.work = work;
      group = step.shape.headsPerGroup();
      table = work.table().array();
      dense = new BitSet[step.batch.size() * group];
      gathered = new BitSet[dense.length];
      for (int i = 0; i < dense.length; i++) {
        dense[i] = new BitSet();
        gathered[i] = new BitSet();
        parts.add(new ArrayList<>());
      }
    }

    private int at(long offset, int index) {
      long word = table[(int) (offset / 8) + index / 2];
      return (int) (index % 2 == 0 ? word : word >>> 32);
    }

    void check() {
      int items = 0;
      for (AttentionWork.Round round : work.rounds()) {
        assertThat(round.firstItem()).isEqualTo(items);
        items += round.items();
        for (int i = 0; i < round.items(); i++) item(8 * (round.firstItem() + i));
        BitSet used = new BitSet();
        for (int i = 0; i < round.merges(); i++) merge(4 * (round.firstMerge() + i), used);
        assertThat(used.length()).isLessThanOrEqualTo(work.parts());
      }
      assertThat(work.items()).isEqualTo(items);
      for (int s = 0; s < step.batch.slices().size(); s++) {
        Slice slice = step.batch.slices().get(s);
        for (int row = slice.firstRow(); row < slice.endRow(); row++) {
          for (int h = 0; h < group; h++) seen(s, row, row * group + h);
        }
      }
    }

    private void item(int item) {
      long o = work.itemsOffset();
      int packed = at(o, item);
      int count = at(o, item + 1);
      assertThat(count).isBetween(1, 64);
      assertThat(at(o, item + 2) % 64).isZero();
      for (int p = packed; p < packed + count; p++) {
        long rows = work.rowsOffset();
        int row = at(rows, 4 * (p / group));
        int position = at(rows, 4 * (p / group) + 1);
        int part = at(rows, 4 * (p / group) + 2);
        assertThat(position).isEqualTo(step.batch.positions()[row]);
        int reader = row * group + p % group;
        parts.get(reader).add(part == Integer.MIN_VALUE ? part : part + at(o, item + 5));
        int picks = at(o, item + 6);
        assertThat(picks).isIn(-1, row);
        for (int t = at(o, item + 2); t < at(o, item + 3); t++) {
          read(reader, t, at(o, item + 4), picks >= 0);
        }
      }
    }

    private void read(int reader, int token, int pages, boolean isPicked) {
      int row = reader / group;
      if (isPicked) {
        if (gathered[reader].get(token)) fail("row %d reads picked token %d again", row, token);
        gathered[reader].set(token);
        KvSegment segment = step.view.picked(slice(row));
        for (int i = 0; token == 0 && i < segment.keys().length; i++) {
          assertThat(table[2 * (pages + i)]).isEqualTo(segment.keys()[i].address());
          assertThat(table[2 * (pages + i) + 1]).isEqualTo(segment.values()[i].address());
        }
        return;
      }
      int position = step.batch.positions()[row];
      int window = step.shape.window();
      if (token > position || window > 0 && token <= position - window) return;
      if (dense[reader].get(token)) fail("row %d reads token %d again", row, token);
      dense[reader].set(token);
      // All tokens of a page have one address.
      if (token % 64 != 0 && token != position) return;
      KvSegment segment = step.view.dense(slice(row));
      int page = (token - segment.firstPosition()) / 64;
      int at = 2 * (pages + token / 64);
      assertThat(table[at]).isEqualTo(segment.keys()[page].address());
      assertThat(table[at + 1]).isEqualTo(segment.values()[page].address());
    }

    private int slice(int row) {
      int s = 0;
      while (step.batch.slices().get(s).endRow() <= row) s++;
      return s;
    }

    private void merge(int merge, BitSet used) {
      int row = at(work.mergesOffset(), merge);
      int first = at(work.mergesOffset(), merge + 1);
      int count = at(work.mergesOffset(), merge + 2);
      List<Integer> expected = new ArrayList<>();
      for (int i = first; i < first + count; i++) {
        expected.add(i);
        assertThat(used.get(i)).as("part %d of two rows", i).isFalse();
        used.set(i);
      }
      for (int h = 0; h < group; h++) {
        assertThat(parts.get(row * group + h)).containsExactlyInAnyOrderElementsOf(expected);
        parts.get(row * group + h).clear();
      }
    }

    private void seen(int s, int row, int reader) {
      int position = step.batch.positions()[row];
      int window = step.shape.window();
      int from = step.view.dense(s).firstPosition();
      if (window > 0) from = Math.max(from, position - window + 1);
      assertThat(dense[reader].cardinality()).isEqualTo(position + 1 - Math.max(0, from));
      boolean picked = step.view.picked(s) != null;
      int most = picked ? (MOST * CHUNK + 511) / 512 * 512 : 0;
      assertThat(gathered[reader].cardinality()).isEqualTo(most);
      // Rows that are merged have lost theirs; the others write their results themselves.
      List<Integer> left = parts.get(reader);
      if (!left.isEmpty()) assertThat(left).containsExactly(Integer.MIN_VALUE);
    }
  }

  @Test
  void aPrefixOfManySequencesIsReadOnce() {
    KvLayout layout = new KvLayout(KvCodec.FP16, 1, 1, 64);
    Tensor[] prefix = new Tensor[32];
    for (int i = 0; i < prefix.length; i++) prefix[i] = page(layout);
    List<Slice> slices = new ArrayList<>();
    List<List<KvSegment>> segments = new ArrayList<>();
    int[] positions = new int[40];
    for (int s = 0; s < 40; s++) {
      Tensor[] keys = Arrays.copyOf(prefix, 33);
      keys[32] = page(layout);
      slices.add(new Slice(s, s, 1));
      positions[s] = 2048 + s;
      segments.add(List.of(KvSegment.dense(keys, keys, 0, 2049 + s)));
    }
    TokenBatch batch = new TokenBatch(40, new int[40], positions, slices, new int[0]);
    AttentionShape shape = new AttentionShape(layout, 4, 1, 0);
    KvView shared = new KvView(layout, segments);
    KvView apart = new KvView(layout, segments, PrefixAttention.SEPARATE);
    // 160 packed rows are 3 items for each of the 4 splits; the rest is each sequence's own.
    assertThat(new AttentionWork(shape, batch, shared, 1 << 20).items()).isEqualTo(3 * 4 + 40);
    assertThat(new AttentionWork(shape, batch, apart, 1 << 20).items()).isEqualTo(5 * 40);
  }
}
