package io.shadowbatch.spark;

import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;

/**
 * A {@link FakeModel} that some prompts end, with everything that is computed beside them, in the
 * ways in which an engine can end: those that begin with the name of a {@link Poison}.
 */
final class PoisonModel implements CompletionSource {

  /** How a prompt ends the process that computes it. */
  enum Poison {
    SEGV,
    HALT,
    HEAP,
    HANG,
    THROW,
    ENCODE;

    private void act() {
      switch (this) {
        case SEGV, ENCODE -> crash();
        case HALT -> Runtime.getRuntime().halt(9);
        case HEAP -> fill();
        case HANG -> hang();
        case THROW -> throw new IllegalStateException("the engine failed: asked to");
      }
    }

    private static void hang() {
      try {
        Thread.sleep(Long.MAX_VALUE);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }

    private static void fill() {
      List<long[]> all = new ArrayList<>();
      while (true) all.add(new long[1 << 24]);
    }

    /** Writes to an address that nobody has. */
    private static void crash() {
      try {
        Field field = sun.misc.Unsafe.class.getDeclaredField("theUnsafe");
        field.setAccessible(true);
        ((sun.misc.Unsafe) field.get(null)).putAddress(8, 8);
      } catch (ReflectiveOperationException e) {
        throw new LinkageError("no way to crash", e);
      }
    }
  }

  /** Answers that still leave beside a poison, as some end before it is computed. */
  private static final int BESIDE = 2;

  private final FakeModel model = new FakeModel(requests -> 0, -1);
  private final Map<Long, Poison> poisons = new HashMap<>();
  private int beside;

  static CompletionSource open(ModelCard model, EngineChoice choice) {
    return new PoisonModel();
  }

  /** The poison in a prompt, or null. */
  static Poison in(String prompt) {
    for (Poison poison : Poison.values()) if (prompt.startsWith(poison.name())) return poison;
    return null;
  }

  private static Poison in(Request request) {
    int[] tokens = request.tokens();
    byte[] head = new byte[Math.min(8, tokens.length)];
    for (int i = 0; i < head.length; i++) head[i] = (byte) tokens[i];
    return in(new String(head, StandardCharsets.UTF_8));
  }

  @Override
  public int[] encode(String prompt) {
    if (in(prompt) == Poison.ENCODE) Poison.ENCODE.act();
    return model.encode(prompt);
  }

  @Override
  public int[] encodeRaw(String prompt) {
    return encode(prompt);
  }

  @Override
  public String token(int id) {
    return model.token(id);
  }

  @Override
  public int contextTokens() {
    return model.contextTokens();
  }

  @Override
  public StepCosts costs() {
    return model.costs();
  }

  @Override
  public KvChoice choice() {
    return model.choice();
  }

  @Override
  public EngineMetrics metrics() {
    return model.metrics();
  }

  @Override
  public Iterator<Completion> run(Iterator<Request> requests, BooleanSupplier cancelled) {
    Iterator<Request> watched =
        new Iterator<>() {
          @Override
          public boolean hasNext() {
            return requests.hasNext();
          }

          @Override
          public Request next() {
            Request next = requests.next();
            Poison poison = in(next);
            if (poison != null) poisons.put(next.id(), poison);
            return next;
          }
        };
    Iterator<Completion> answers = model.run(watched, cancelled);
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return answers.hasNext();
      }

      @Override
      public Completion next() {
        if (!poisons.isEmpty() && ++beside > BESIDE) poisons.values().iterator().next().act();
        Completion next = answers.next();
        if (poisons.containsKey(next.id())) poisons.get(next.id()).act();
        return next;
      }
    };
  }
}
