package io.shadowbatch.kv;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.ReferenceKernels;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Which idle pages are given up: against the best that any choice could do. */
class PrefixIndexEvictionTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261123L);
  private static final int PAGE = KvLayout.TILE;

  /** A held page for each of some prefixes of one page. */
  private static final class Cache {
    private final KvLayout layout = new KvLayout(KvCodec.F32, 1, 1, 32);
    private final KvPages pool;
    private final PrefixIndex index = new PrefixIndex(PAGE);
    private final int capacity;
    private int misses;

    Cache(int capacity) {
      this.capacity = capacity;
      ReferenceKernels kernels = new ReferenceKernels(ReferenceKernels.Form.FLOAT32);
      this.pool = new KvPages(kernels, layout, capacity * layout.pageBytes());
    }

    /** Uses a prefix, where {@code later} are those that will be used, or null if nobody knows. */
    void use(int prefix, int[] later) {
      int[] tokens = tokens(prefix);
      List<PrefixIndex.Node> path = index.match(tokens, PAGE);
      if (path.isEmpty()) {
        misses++;
        if (index.size() == capacity) evict(later);
        KvSpan span = new KvSpan(pool, new int[] {pool.take()}, 0, PAGE);
        PrefixIndex.Node node = index.add(null, tokens, span, 0);
        index.ready(node);
        path = List.of(node);
      }
      path.forEach(index::use);
      path.forEach(index::leave);
    }

    private void evict(int[] later) {
      if (later != null) {
        index.expectNothing();
        for (int i = 0; i < later.length; i++) index.expect(tokens(later[i]), PAGE, i);
      }
      assertThat(index.evict()).isTrue();
    }

    private static int[] tokens(int prefix) {
      int[] tokens = new int[PAGE];
      Arrays.fill(tokens, prefix);
      return tokens;
    }
  }

  @Test
  void knowingTheFutureMissesAsRarelyAsAnyChoiceCould() {
    System.out.println("seed " + SEED + " (-Dshadowbatch.test.seed)");
    Random random = new Random(SEED);
    int missesBlind = 0;
    int missesPlanned = 0;
    for (int round = 0; round < 300; round++) {
      int capacity = 1 + random.nextInt(4);
      int[] uses = random.ints(1 + random.nextInt(14), 0, 2 + random.nextInt(5)).toArray();
      Cache planned = new Cache(capacity);
      Cache blind = new Cache(capacity);
      for (int i = 0; i < uses.length; i++) {
        planned.use(uses[i], Arrays.copyOfRange(uses, i + 1, uses.length));
        blind.use(uses[i], null);
      }
      int best = best(uses, 0, Set.of(), capacity, new HashMap<>());
      assertThat(planned.misses)
          .as("%s, %d pages", Arrays.toString(uses), capacity)
          .isEqualTo(best);
      assertThat(blind.misses).isGreaterThanOrEqualTo(best);
      missesBlind += blind.misses;
      missesPlanned += planned.misses;
    }
    System.out.printf("misses: %d, least recently used %d%n", missesPlanned, missesBlind);
    assertThat(missesPlanned).isLessThan(missesBlind);
  }

  /** Fewest misses from {@code at} on with some prefixes held: all choices tried. */
  private static int best(
      int[] uses, int at, Set<Integer> held, int capacity, Map<List<Object>, Integer> known) {
    if (at == uses.length) return 0;
    List<Object> state = List.of(at, held);
    Integer found = known.get(state);
    if (found != null) return found;
    int least = Integer.MAX_VALUE;
    if (held.contains(uses[at])) {
      least = best(uses, at + 1, held, capacity, known);
    } else {
      Set<Integer> with = new HashSet<>(held);
      with.add(uses[at]);
      if (held.size() < capacity) {
        least = 1 + best(uses, at + 1, Set.copyOf(with), capacity, known);
      } else {
        for (int victim : held) {
          Set<Integer> without = new HashSet<>(with);
          without.remove(victim);
          least = Math.min(least, 1 + best(uses, at + 1, Set.copyOf(without), capacity, known));
        }
      }
    }
    known.put(state, least);
    return least;
  }

  @Test
  void whatWasExpectedBeforeCountsNoMore() {
    Cache cache = new Cache(2);
    cache.use(1, null);
    cache.use(2, null);
    cache.use(3, new int[] {1});
    assertThat(cache.index.match(Cache.tokens(1), PAGE)).as("expected, so kept").hasSize(1);
    cache.use(4, new int[] {3});
    assertThat(cache.index.match(Cache.tokens(1), PAGE)).as("not expected any more").isEmpty();
    assertThat(cache.index.match(Cache.tokens(3), PAGE)).hasSize(1);
  }

  @Test
  void parentsOutliveWhatFollowsThem() {
    Cache cache = new Cache(3);
    int[] three = new int[3 * PAGE];
    PrefixIndex.Node above = null;
    for (int i = 0; i < 3; i++) {
      KvSpan span = new KvSpan(cache.pool, new int[] {cache.pool.take()}, i * PAGE, (i + 1) * PAGE);
      above = cache.index.add(above, three, span, 0);
      cache.index.ready(above);
      cache.index.use(above);
      cache.index.leave(above);
    }
    cache.index.expectNothing();
    cache.index.expect(three, 3 * PAGE, 0);
    for (int left = 2; left >= 0; left--) {
      assertThat(cache.index.evict()).isTrue();
      assertThat(cache.index.match(three, 3 * PAGE)).hasSize(left);
    }
    assertThat(cache.index.evict()).isFalse();
  }
}
