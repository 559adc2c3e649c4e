package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Pools that share a tier whose source fails now and then. */
class MemoryTierTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261128L);
  private static final int RUNS = 300;
  private static final int STEPS = 300;

  @BeforeAll
  static void printSeed() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
  }

  /** Memory that nobody can touch, and what is known of it. */
  private static final class Run {
    final Random random;
    final Map<Long, Long> open = new HashMap<>(); // slabs: address, bytes
    final TreeMap<Long, BlockPool.Block> held = new TreeMap<>(); // by address
    final List<BlockPool> pools = new ArrayList<>();
    final MemoryTier tier;
    final int failing; // of 16 calls
    long nextAddress = 4096;
    int refused;
    int over;

    Run(long seed) {
      random = new Random(seed);
      failing = random.nextInt(3) * 3;
      tier = new MemoryTier(this::source, 1000 + random.nextInt(300_000));
      for (int i = 0; i < 3; i++) pools.add(tier.pool(64 * (1 + random.nextInt(20))));
    }

    Storage source(long bytes) {
      if (random.nextInt(16) < failing) {
        refused++;
        throw new OutOfMemoryError("as the test wants");
      }
      long address = nextAddress;
      nextAddress += bytes + 64;
      open.put(address, bytes);
      return new Storage(null, address, bytes, () -> assertThat(open.remove(address)).isNotNull());
    }

    void step() {
      BlockPool pool = pools.get(random.nextInt(3));
      long used = tier.used();
      long limit = tier.limit();
      boolean mayExceed = used > limit;
      switch (random.nextInt(8)) {
        case 0, 1, 2, 3 -> {
          boolean room = tier.free() >= pool.blockBytes();
          int before = refused;
          BlockPool.Block block = pool.take();
          if (!room) assertThat(block).isNull();
          if (room && refused == before) assertThat(block).isNotNull();
          hold(pool, block);
        }
        case 4 -> {
          BlockPool.Block block = pool.takeOver();
          hold(pool, block);
          mayExceed |= block != null;
        }
        case 5, 6 -> {
          if (held.isEmpty()) return;
          Long at = held.ceilingKey((long) (random.nextDouble() * nextAddress));
          held.remove(at == null ? held.firstKey() : at).close();
        }
        default -> tier.shrink(random.nextInt((int) limit + 1));
      }
      if (tier.used() > tier.limit()) {
        over++;
        assertThat(mayExceed).as("more than the limit").isTrue();
      } else {
        assertThat(tier.free() + tier.used()).isEqualTo(tier.limit());
      }
      assertThat(tier.limit()).isBetween(0L, limit);
      check();
    }

    private void hold(BlockPool pool, BlockPool.Block block) {
      if (block == null) return;
      Tensor t = block.tensor();
      long from = t.address();
      long to = from + pool.blockBytes();
      assertThat(open.entrySet())
          .as("memory of the source")
          .anyMatch(s -> s.getKey() <= from && to <= s.getKey() + s.getValue());
      var below = held.floorEntry(from);
      if (below != null) {
        long end = below.getKey() + below.getValue().tensor().columns();
        assertThat(end).as("end of the block below").isLessThanOrEqualTo(from);
      }
      Long above = held.ceilingKey(from);
      if (above != null) assertThat(above).as("the block above").isGreaterThanOrEqualTo(to);
      held.put(from, block);
    }

    private void check() {
      long used = held.values().stream().mapToLong(b -> b.tensor().columns()).sum();
      long slabs = open.values().stream().mapToLong(b -> b).sum();
      assertThat(tier.used()).isEqualTo(used);
      assertThat(tier.held()).isEqualTo(slabs).isGreaterThanOrEqualTo(used);
      assertThat(tier.free()).isNotNegative();
    }
  }

  @Test
  void bytesAreCountedAndBlocksNeverOverlap() {
    int refused = 0;
    int over = 0;
    for (int i = 0; i < RUNS; i++) {
      Run run = new Run(SEED + i);
      for (int step = 0; step < STEPS; step++) run.step();
      refused += run.refused;
      over += run.over;
      List.copyOf(run.held.values()).forEach(BlockPool.Block::close);
      assertThat(run.tier.used()).as("run %d", i).isZero();
      run.tier.close();
      assertThat(run.open).isEmpty();
      assertThat(run.tier.held()).isZero();
    }
    System.out.printf("refused by the source %d, steps over the limit %d%n", refused, over);
    assertThat(refused).isPositive();
    assertThat(over).isPositive();
  }

  @Test
  void aBlockIsGivenBackOnce() {
    MemoryTier tier = new MemoryTier(bytes -> new Storage(null, 64, bytes, null), 4096);
    BlockPool.Block once = tier.pool(64).take();
    once.close();
    assertThatThrownBy(once::close)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("twice");
  }
}
