package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.FailingKernels;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** A pool of pages on a backend that runs out of memory. */
class KvPagesTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261124L);

  /** Of a page: a slab of 64 MiB then has 31 halves. */
  private static final KvLayout LAYOUT = new KvLayout(KvCodec.F32, 64, 1, 128);

  private final AtomicInteger slabsLeft = new AtomicInteger();

  /** Memory that is counted; slabs are mapped, and never touched. */
  private Kernels kernels() {
    return FailingKernels.over(
        Backend.open("cpu", 1),
        name -> name.equals("allocate") && slabsLeft.getAndDecrement() <= 0);
  }

  @Test
  void poolEndsWhereTheBackendHasNoMore() {
    slabsLeft.set(2);
    int halves = (int) ((64L << 20) / LAYOUT.halfBytes());
    KvPages pool = new KvPages(kernels(), LAYOUT, 150 * LAYOUT.pageBytes());
    assertThat(pool.size()).isEqualTo(150);
    List<Integer> taken = new ArrayList<>();
    for (int page = pool.take(); page >= 0; page = pool.take()) taken.add(page);
    assertThat(taken).hasSize(halves).doesNotHaveDuplicates();
    assertThat(pool.size()).isEqualTo(halves);
    assertThat(pool.freePages()).isZero();
    pool.drop(taken.get(0));
    assertThat(pool.take()).isEqualTo(taken.get(0));
  }

  @Test
  void pagesAreNeverGivenTwiceHoweverThePoolShrinks() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    Random random = new Random(SEED);
    slabsLeft.set(Integer.MAX_VALUE);
    int slab = (int) ((64L << 20) / LAYOUT.pageBytes());
    KvPages pool = new KvPages(kernels(), LAYOUT, (6L * slab + 3) * LAYOUT.pageBytes());
    List<Integer> held = new ArrayList<>();
    int most = pool.size();
    for (int i = 0; i < 5000; i++) {
      int wave = i / 500 % 2; // fills up, then empties
      if (random.nextInt(10) < (wave == 0 ? 8 : 2)) {
        int page = pool.take();
        assertThat(page < 0).isEqualTo(held.size() == pool.size());
        if (page >= 0) {
          assertThat(held).doesNotContain(page);
          assertThat(pool.values(page)).isNotNull();
          held.add(page);
        }
      } else if (!held.isEmpty()) {
        pool.drop(held.remove(random.nextInt(held.size())));
      }
      if (random.nextInt(400) == 0) {
        int given = pool.shrink();
        assertThat(given).isBetween(0, most);
        assertThat(pool.size()).isBetween(Math.max(slab, held.size()), most);
        most = pool.size();
      }
      assertThat(pool.freePages() + held.size()).isEqualTo(pool.size());
    }
    assertThat(most).as("it shrank").isLessThan(6 * slab + 3);
  }
}
