package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.LandmarkLayout;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kv.ShadowSpec.Attend;
import io.shadowbatch.kv.StoreRig.Part;
import io.shadowbatch.kv.StoreRig.Sizes;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Reading prompts in part: exact where it must be, the same whatever else is computed. */
class ShadowKvStoreTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261125L);
  private static final Sizes SIZES = new Sizes(KvCodec.INT8, 2, 2, 3, 64);

  /** 4 + 1 chunks of 8 always, 8 by score: far less than prompts have. */
  private static final ShadowSpec SPEC = new ShadowSpec(8, 64, 4, 32, 0, Attend.PRIVATE, null, 0);

  private final Random random = new Random(SEED);
  private final Kernels kernels = Backend.open("cpu", 2);
  private final List<StoreRig> open = new ArrayList<>();

  @BeforeEach
  void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  @AfterEach
  void close() {
    open.forEach(StoreRig::close);
    kernels.close();
  }

  private StoreRig shadow(Sizes sizes, ShadowSpec spec, HostMemory host) {
    return shadow(kernels, sizes, spec, host);
  }

  private StoreRig shadow(Kernels on, Sizes sizes, ShadowSpec spec, HostMemory host) {
    KvStore store =
        new ShadowKvStore(
            on,
            sizes.shapes(),
            StoreRig.rope(on, sizes, 4096),
            spec,
            80 * sizes.layout().pageBytes(),
            host,
            PrefixAttention.SHARED);
    return opened(new StoreRig(on, sizes, store));
  }

  private StoreRig full(Sizes sizes) {
    KvStore store =
        new FullKvStore(
            kernels,
            sizes.shapes(),
            StoreRig.rope(kernels, sizes, 4096),
            80 * sizes.layout().pageBytes());
    return opened(new StoreRig(kernels, sizes, store));
  }

  private StoreRig opened(StoreRig rig) {
    open.add(rig);
    return rig;
  }

  /** Outputs of {@code more} rows behind a prompt, each a step of its own. */
  private static List<float[][][]> decode(StoreRig rig, int id, int[] tokens, int prompt) {
    rig.step(new Part(id, tokens, 0, prompt));
    rig.store.seal(id, prompt);
    List<float[][][]> rows = new ArrayList<>();
    for (int i = prompt; i < tokens.length; i++) rows.add(rig.step(new Part(id, tokens, i, i + 1)));
    return rows;
  }

  @ParameterizedTest
  @CsvSource({
    "INT8,64,3,8,333",
    "INT8,128,1,8,200",
    "INT8,64,7,4,290",
    "FP16,64,3,8,333",
    "FP16,64,4,16,500",
    "INT8,96,3,8,129",
    "FP16,128,1,4,97"
  })
  void aBudgetForEverythingIsDense(KvCodec codec, int d, int group, int chunk, int prompt) {
    Sizes sizes = new Sizes(codec, 2, 2, group, d);
    ShadowSpec all = SPEC.chunks(chunk).with(4096, 7);
    int[] tokens = StoreRig.tokens(random, prompt + 70);
    List<float[][][]> dense = decode(full(sizes), 0, tokens, prompt);
    List<float[][][]> sparse =
        decode(shadow(sizes, all, HostMemory.of(1 << 30)), 0, tokens, prompt);
    for (int i = 0; i < dense.size(); i++) assertThat(sparse.get(i)).isDeepEqualTo(dense.get(i));
  }

  @Test
  void aSmallBudgetIsNot() {
    int[] tokens = StoreRig.tokens(random, 700);
    List<float[][][]> dense = decode(full(SIZES), 0, tokens, 690);
    List<float[][][]> sparse = decode(shadow(SIZES, SPEC, HostMemory.of(1 << 30)), 0, tokens, 690);
    assertThat(sparse.get(0)).isNotEqualTo(dense.get(0));
  }

  @Test
  void answersDoNotDependOnTheGroupTheBatchOrTheThreads() {
    int[] prefix = StoreRig.tokens(random, 600);
    List<int[]> prompts = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      int[] suffix = StoreRig.tokens(random, new int[] {1, 40, 200, 77, 3}[i] + 4);
      prompts.add(StoreRig.join(prefix, suffix));
    }
    List<List<float[][][]>> alone = new ArrayList<>();
    for (int[] tokens : prompts) {
      StoreRig rig = shadow(Backend.open("cpu", 1), SIZES, SPEC, HostMemory.of(1 << 30));
      alone.add(decode(rig, 0, tokens, tokens.length - 4));
    }
    StoreRig group = shadow(SIZES, SPEC, HostMemory.of(1 << 30));
    List<Integer> order = new ArrayList<>(List.of(0, 1, 2, 3, 4));
    Collections.shuffle(order, random);
    share(group, prompts, order);
    for (int step = 0; step < 4; step++) {
      Part[] parts = new Part[order.size()];
      for (int i = 0; i < parts.length; i++) {
        int[] tokens = prompts.get(order.get(i));
        int at = tokens.length - 4 + step;
        parts[i] = new Part(order.get(i), tokens, at, at + 1);
      }
      float[][][] rows = group.step(parts);
      for (int i = 0; i < parts.length; i++) {
        float[][][] expected = alone.get(order.get(i)).get(step);
        for (int layer = 0; layer < SIZES.layers(); layer++) {
          assertThat(rows[layer][i]).isEqualTo(expected[layer][0]);
        }
      }
    }
    KvTraffic traffic = group.store.traffic();
    assertThat(traffic.sealed()).isEqualTo(5);
    assertThat(traffic.rows()).isEqualTo(20);
    assertThat(traffic.groupShared()).isBetween(1L, traffic.groupPicks());
  }

  /** The first computes the prefix; the others attach its whole pages, after it was sealed. */
  private static void share(StoreRig rig, List<int[]> prompts, List<Integer> order) {
    int first = order.get(0);
    int[] tokens = prompts.get(first);
    rig.step(new Part(first, tokens, 0, tokens.length - 4));
    rig.store.seal(first, tokens.length - 4);
    for (int id : order.subList(1, order.size())) {
      KvSpan span = rig.store.share(first, 0, 576);
      rig.store.attach(id, span, 0);
      span.close();
      int[] own = prompts.get(id);
      rig.step(new Part(id, own, 576, own.length - 4));
      rig.store.seal(id, own.length - 4);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"INT8", "FP16"})
  void whoReadsEverythingDoesNotNoticeThatPagesMoved(KvCodec codec) {
    Sizes sizes = new Sizes(codec, 2, 2, 3, 64);
    int[] tokens = StoreRig.tokens(random, 500);
    int[] other = StoreRig.join(java.util.Arrays.copyOf(tokens, 300), StoreRig.tokens(random, 90));
    StoreRig full = full(sizes);
    full.step(new Part(0, other, 0, 340));
    StoreRig rig = shadow(sizes, SPEC, HostMemory.of(1 << 30));
    rig.step(new Part(0, tokens, 0, 500));
    rig.store.seal(0, 500);
    KvSpan span = rig.store.share(0, 0, 320);
    rig.store.attach(1, span.head(300), 0);
    span.close();
    rig.store.release(0);
    rig.step(new Part(1, other, 300, 340));
    assertThat(rig.step(new Part(1, other, 340, 390)))
        .isDeepEqualTo(full.step(new Part(0, other, 340, 390)));
  }

  @Test
  void answersDoNotDependOnWhereValuesLie() {
    int[] tokens = StoreRig.tokens(random, 600);
    List<float[][][]> host = decode(shadow(SIZES, SPEC, HostMemory.of(1 << 30)), 0, tokens, 590);
    List<float[][][]> none = decode(shadow(SIZES, SPEC, HostMemory.of(0)), 0, tokens, 590);
    long some = 3 * SIZES.layout().halfBytes();
    List<float[][][]> few = decode(shadow(SIZES, SPEC, HostMemory.of(some)), 0, tokens, 590);
    for (int i = 0; i < host.size(); i++) {
      assertThat(none.get(i)).isDeepEqualTo(host.get(i));
      assertThat(few.get(i)).isDeepEqualTo(host.get(i));
    }
  }

  @Test
  void valuesMayLieInFilesThatLeaveNothingBehind(@TempDir Path folder) throws IOException {
    int[] tokens = StoreRig.tokens(random, 600);
    List<float[][][]> plain = decode(shadow(SIZES, SPEC, HostMemory.of(1 << 24)), 0, tokens, 590);
    StoreRig rig = shadow(SIZES, SPEC, new HostMemory(1 << 24, folder));
    List<float[][][]> files = decode(rig, 0, tokens, 590);
    assertThat(rig.store.usage().hostBytes()).isEqualTo(8 * SIZES.layout().halfBytes());
    for (int i = 0; i < plain.size(); i++) assertThat(files.get(i)).isDeepEqualTo(plain.get(i));
    try (var left = Files.list(folder)) {
      assertThat(left).isEmpty();
    }
    Path missing = folder.resolve("missing");
    assertThatThrownBy(() -> shadow(SIZES, SPEC, new HostMemory(1 << 24, missing)))
        .hasMessageContaining(missing.toString());
  }

  @Test
  void unionReadsAtLeastWhatEachRowPicks() {
    int[] prefix = StoreRig.tokens(random, 600);
    ShadowSpec union = SPEC.attending(Attend.UNION);
    List<Long> read = new ArrayList<>();
    for (ShadowSpec spec : List.of(SPEC, union)) {
      StoreRig rig = shadow(SIZES, spec, HostMemory.of(1 << 30));
      List<int[]> prompts = new ArrayList<>();
      Random same = new Random(SEED);
      for (int i = 0; i < 4; i++) {
        prompts.add(StoreRig.join(prefix, StoreRig.tokens(same, 60)));
      }
      share(rig, prompts, List.of(0, 1, 2, 3));
      Part[] parts = new Part[4];
      for (int i = 0; i < 4; i++) parts[i] = new Part(i, prompts.get(i), 656, 657);
      rig.step(parts);
      read.add(rig.store.traffic().tokensRead());
    }
    assertThat(read.get(1)).isGreaterThan(read.get(0));
    assertThat(read.get(0)).isEqualTo(4L * 2 * 2 * 13 * 8); // rows, layers, heads, chunks, tokens
  }

  @Test
  void bytesAreThoseOfTheFormula() {
    for (int prompt : new int[] {1, 7, 31, 39, 40, 95, 96, 97, 433, 1000}) {
      HostMemory host = HostMemory.of(1 << 30);
      StoreRig rig = shadow(SIZES, SPEC, host);
      int[] tokens = StoreRig.tokens(random, prompt);
      rig.step(new Part(0, tokens, 0, prompt));
      rig.store.seal(0, prompt);
      KvLayout layout = SIZES.layout();
      long pages = (prompt + 63) / 64;
      long sparse = Math.max(0, prompt - 32) / 64;
      long heads = layout.layers() * layout.kvHeads();
      long table = sparse == 0 ? 0 : heads * 4 * (1 + 1 + SPEC.outlierChunks());
      long landmarks = new LandmarkLayout(layout, 8).pageBytes();
      // Of a sparse page: keys and landmarks; of the others both halves.
      long device =
          sparse * (layout.halfBytes() + landmarks) + (pages - sparse) * layout.pageBytes() + table;
      assertThat(rig.store.usage().deviceBytes()).as("%d tokens", prompt).isEqualTo(device);
      assertThat(rig.store.usage().hostBytes()).isEqualTo(sparse * layout.halfBytes());
      rig.store.release(0);
      assertThat(rig.store.usage().deviceBytes()).isZero();
      assertThat(rig.store.usage().hostBytes()).isZero();
    }
  }

  @Test
  void everyPositionIsReadOnceAtMostAndExactlyOrByPicks() {
    for (int prompt : new int[] {1, 7, 8, 31, 32, 39, 40, 41, 47, 48, 95, 96, 431, 432, 433}) {
      int sparse = SPEC.sparseTokens(prompt);
      assertThat(sparse % 64).isZero();
      int tail = prompt - sparse;
      assertThat(tail).isBetween(Math.min(prompt, 32), Math.max(32, Math.min(prompt, 95)));
    }
  }

  @Test
  void capturedMassIsMeasuredInSomeSteps() {
    int[] tokens = StoreRig.tokens(random, 900);
    double last = 0;
    for (int budget : new int[] {8, 64, 256, 8192}) {
      ShadowSpec spec = SPEC.with(budget, 4);
      StoreRig rig = shadow(SIZES, spec, HostMemory.of(1 << 24));
      decode(rig, 0, tokens, 780);
      KvTraffic traffic = rig.store.traffic();
      // Two of 120 steps, one layer each: 2 KV heads, 3 query heads for each.
      assertThat(traffic.massRows()).isEqualTo(12);
      double mass = traffic.massCaptured() / traffic.massRows();
      assertThat(mass).isBetween(last, 1.0001);
      last = mass;
    }
    assertThat(last).as("all is read").isGreaterThan(0.9999);
  }

  @Test
  void rowsOfAPromptAndBehindItAreNotMixed() {
    StoreRig rig = shadow(SIZES, SPEC, HostMemory.of(0));
    int[] tokens = StoreRig.tokens(random, 410);
    rig.step(new Part(0, tokens, 0, 400));
    rig.store.seal(0, 400);
    assertThatThrownBy(() -> rig.step(new Part(0, tokens, 399, 402)))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("prompt of 400");
  }

  @Test
  void aLayerWithAWindowIsRefused() {
    AttentionShape window = new AttentionShape(SIZES.layout(), 6, 0.1f, 128);
    assertThatThrownBy(
            () ->
                new ShadowKvStore(
                    kernels,
                    List.of(window, window),
                    StoreRig.rope(kernels, SIZES, 64),
                    SPEC,
                    1 << 26,
                    HostMemory.of(0),
                    PrefixAttention.SHARED))
        .hasMessageContaining("window of 128");
  }
}
