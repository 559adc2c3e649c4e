package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Who is blamed for the ends of processes, over processes that are played. */
@Timeout(120)
class GuardedSourceTest {

  private static final int ROWS = 200;

  /**
   * A process that ends once it computes one of the bad requests, after some answers; and after so
   * many answers for no reason of its requests, unless that is -1.
   */
  private class Played implements GuardLine {
    private final Random random;
    private final List<Request> underWay = new ArrayList<>();
    private final Deque<GuardMessage> messages = new ArrayDeque<>();
    private final FakeModel model = new FakeModel(l -> 0, -1);
    private int lives;
    private boolean ended;

    Played(Random random, int lives) {
      this.random = random;
      this.lives = lives;
      messages.add(new GuardMessage.Opened(1000, new StepCosts(1, 1, 1, 1, 1), null));
    }

    @Override
    public void send(GuardMessage message) {
      if (message instanceof GuardMessage.Compute c) underWay.add(c.request());
      if (message instanceof GuardMessage.Encode e) {
        if (e.text().startsWith("bad")) ended = true;
        else messages.add(new GuardMessage.Encoded(model.encode(e.text()), null));
      }
    }

    @Override
    public GuardMessage receive(long millis) {
      if (!messages.isEmpty()) return messages.poll();
      if (ended || lives == 0 || (poisoned() && random.nextInt(4) == 0)) {
        return new GuardMessage.Ended("signal 11");
      }
      List<Request> good = underWay.stream().filter(r -> !bad.contains(r.id())).toList();
      if (good.isEmpty()) return null;
      lives--;
      Request next = good.get(random.nextInt(good.size()));
      underWay.remove(next);
      return new GuardMessage.Answered(answer(next), EngineMetrics.NONE);
    }

    boolean poisoned() {
      return underWay.stream().anyMatch(r -> bad.contains(r.id()));
    }

    private Completion answer(Request request) {
      return model.run(List.of(request).iterator(), () -> false).next();
    }

    @Override
    public EngineMetrics metrics() {
      return EngineMetrics.NONE;
    }

    @Override
    public void close() {
      closed++;
    }
  }

  private final Set<Long> bad = new LinkedHashSet<>();
  private int started;
  private int closed;

  private GuardedSource source(Supplier<GuardLine> processes) {
    return new GuardedSource(
        null,
        PartitionRuns.CARD,
        JobConfig.of(LocalSpark.settings("model=m", "output=o"), Instant.EPOCH).engine(),
        () -> false,
        start -> {
          started++;
          return processes.get();
        });
  }

  private static Iterator<Request> requests(int count) {
    List<Request> all = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      all.add(new Request(i, new int[] {i, 7}, SamplingParams.GREEDY));
    }
    return all.iterator();
  }

  /** Error code of each request, null where it was answered. */
  private static Map<Long, ErrorCode> run(GuardedSource source, int count) {
    Map<Long, ErrorCode> answers = new TreeMap<>();
    Iterator<Completion> all = source.run(requests(count), () -> false);
    while (all.hasNext()) {
      Completion c = all.next();
      assertThat(answers).as("answers so far").doesNotContainKey(c.id());
      answers.put(c.id(), c.error() == null ? null : c.error().code());
    }
    source.close();
    return answers;
  }

  private static Set<Long> failed(Map<Long, ErrorCode> answers) {
    return answers.entrySet().stream()
        .filter(e -> e.getValue() != null)
        .peek(e -> assertThat(e.getValue()).isEqualTo(ErrorCode.ENGINE_CRASH))
        .map(Map.Entry::getKey)
        .collect(Collectors.toSet());
  }

  /** Ends of processes that requests to blame can cause among so many suspects. */
  private static int endsMost(int blamed, int suspects) {
    return blamed * (32 - Integer.numberOfLeadingZeros(suspects - 1) + GuardedSource.STRIKES);
  }

  @Test
  void badRowsAnywhereCostThemselvesOnly() {
    for (long seed = 0; seed < 300; seed++) {
      Random random = new Random(seed);
      bad.clear();
      int count = 1 + random.nextInt(3);
      if (seed % 5 == 0) bad.add(0L);
      if (seed % 5 == 1) bad.add(ROWS - 1L);
      while (bad.size() < count) bad.add((long) random.nextInt(ROWS));
      started = 0;
      closed = 0;
      Map<Long, ErrorCode> answers = run(source(() -> new Played(random, -1)), ROWS);
      assertThat(answers).as("seed %d", seed).hasSize(ROWS);
      assertThat(failed(answers)).as("seed %d", seed).isEqualTo(bad);
      assertThat(started).as("seed %d", seed).isLessThanOrEqualTo(1 + endsMost(count, ROWS));
      assertThat(closed).as("seed %d, processes that were left", seed).isEqualTo(started);
    }
  }

  /** Goal: the bound that is documented, met exactly where nothing is answered beside a bad row. */
  @Test
  void oneBadRowOf256SuspectsTakesTenEnds() {
    bad.add(255L);
    Random never = new Random(0);
    Supplier<GuardLine> processes =
        () ->
            new Played(never, -1) {
              @Override
              public GuardMessage receive(long millis) {
                GuardMessage message = super.receive(millis);
                boolean poisoned = message instanceof GuardMessage.Answered && poisoned();
                return poisoned ? new GuardMessage.Ended("signal 11") : message;
              }
            };
    Map<Long, ErrorCode> answers = run(source(processes), 256);
    assertThat(failed(answers)).containsExactly(255L);
    assertThat(started).as("each of them ended").isEqualTo(10).isEqualTo(endsMost(1, 256));
  }

  @Test
  void aProcessThatIsKilledOnceBlamesNobody() {
    for (long seed = 0; seed < 100; seed++) {
      Random random = new Random(seed);
      started = 0;
      int lives = random.nextInt(ROWS);
      GuardedSource source = source(() -> new Played(random, started == 1 ? lives : -1));
      assertThat(failed(run(source, ROWS))).as("seed %d", seed).isEmpty();
      assertThat(started).as("seed %d", seed).isEqualTo(2);
    }
  }

  @Test
  void processesThatNeverOpenFailTheTask() {
    GuardedSource source =
        source(
            () -> {
              Played played = new Played(new Random(0), 0);
              played.messages.clear();
              return played;
            });
    assertThatThrownBy(() -> run(source, 3))
        .isInstanceOf(JobException.class)
        .hasMessageContaining("ended 3 times before it was open: signal 11");
    source.close();
    assertThat(started).isEqualTo(GuardedSource.STARTS_MAX).isEqualTo(closed);
  }

  @Test
  void anEngineThatAnswersNothingFailsTheTaskAndNotEachRow() {
    GuardedSource source = source(() -> new Played(new Random(0), 0));
    assertThatThrownBy(() -> run(source, ROWS))
        .isInstanceOf(JobException.class)
        .hasMessageContaining("ended 32 times without an answer in between");
    source.close();
    assertThat(started).isEqualTo(GuardedSource.CRASHES_MAX).isEqualTo(closed);
  }

  @Test
  void aTextThatEndsItsTokenizerIsBlamedAndItsNeighboursAreNot() {
    GuardedSource source = source(() -> new Played(new Random(0), -1));
    Iterator<Request> pulled = requests(3);
    Iterator<Request> encoding =
        new Iterator<>() {
          @Override
          public boolean hasNext() {
            return pulled.hasNext();
          }

          @Override
          public Request next() {
            Request next = pulled.next();
            if (next.id() == 1) {
              assertThatThrownBy(() -> source.encode("bad text"))
                  .isInstanceOfSatisfying(
                      RowException.class,
                      e -> assertThat(e.code()).isEqualTo(ErrorCode.ENGINE_CRASH))
                  .hasMessageNotContaining("bad text");
            }
            return next;
          }
        };
    Set<Long> answered = new LinkedHashSet<>();
    source
        .run(encoding, () -> false)
        .forEachRemaining(
            c -> {
              assertThat(c.error()).isNull();
              answered.add(c.id());
            });
    source.close();
    assertThat(answered).containsExactlyInAnyOrder(0L, 1L, 2L);
    assertThat(started).as("processes: with a neighbour, twice alone, the rest").isEqualTo(4);
  }

  @Test
  void aCancelledTaskEndsItsProcessAndLeavesItsTurn() {
    AtomicBoolean cancelled = new AtomicBoolean();
    GuardedSource source = source(() -> new Played(new Random(0), -1));
    Iterator<Completion> all = source.run(requests(ROWS), cancelled::get);
    all.next();
    cancelled.set(true);
    assertThatThrownBy(all::next).isInstanceOf(CancellationException.class);
    assertThat(closed).isEqualTo(1);
    assertThat(run(source(() -> new Played(new Random(0), -1)), 2)).hasSize(2);
  }

  /** Goal: a process takes half of the memory, and still every prompt that the executor takes. */
  @Test
  void aProcessHasHalfOfTheMemoryButRoomForTheLongestPrompts() {
    ModelCard card =
        new ModelCard("/m", "m", "f", "llama", null, "", "", 1000, 1, 1024, 0, 64, 8, 0);
    assertThat(kv("device-memory=16m").beside(card).deviceBytes()).isEqualTo(8 << 20);
    assertThat(kv("device-memory=3m").beside(card).deviceBytes()).isEqualTo(2 * 1000 * 1024);
    assertThat(kv("device-memory=1m").beside(card).deviceBytes()).isEqualTo(1 << 20);
  }

  private static KvOptions kv(String memory) {
    return JobConfig.of(LocalSpark.settings("model=m", "output=o", memory), Instant.EPOCH)
        .engine()
        .kv();
  }

  @Test
  void exitValuesAreSaidInWords() {
    assertThat(EngineProcess.words(139)).startsWith("signal 11 (SIGSEGV");
    assertThat(EngineProcess.words(137))
        .startsWith("signal 9 (SIGKILL")
        .contains("memory is short");
    assertThat(EngineProcess.words(3)).startsWith("exit value 3").contains("heap");
    assertThat(EngineProcess.words(160)).isEqualTo("signal 32");
  }
}
