package io.shadowbatch.engine;

import io.shadowbatch.model.Family;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Random;

/**
 * A process whose heap is resident from the start: what it grows by while an engine of its own
 * fills its memory is what the engine takes. Prints {@code resident N promised N}.
 */
final class MemoryRun {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261122L);

  private MemoryRun() {}

  /**
   * @param args model, folder for packed weights, bytes of keys and values
   */
  public static void main(String[] args) throws IOException {
    Path folder = Path.of(args[1]);
    Path tiny = folder.resolve("warm.gguf");
    TinyModels.write(tiny, Family.LLAMA, SEED, QuantType.Q8_0);
    // Classes, compiled code and buffers of the JVM come with the first engine.
    run(config(tiny, folder, 4L << 20));
    long before = resident();
    EngineConfig config = config(Path.of(args[0]), folder, Long.parseLong(args[2]));
    long after = run(config);
    EngineMemory promise = EngineMemory.of(config);
    System.out.printf("%s seed %d%n", promise, SEED);
    System.out.printf("resident %d promised %d%n", after - before, promise.total());
  }

  private static EngineConfig config(Path model, Path folder, long kvBytes) {
    return new EngineConfig(model, "cpu", 2, kvBytes, 0, 0, null, folder);
  }

  /** Fills pages, steps and logits; what is resident before anything is closed. */
  private static long run(EngineConfig config) throws IOException {
    try (Engine engine = Engine.open(config)) {
      var layout = engine.spec().kvLayout(config.codec(engine.spec()));
      long tokens = config.kvBytes() / (layout.pageBytes() / 64);
      int vocabulary = Math.min(engine.spec().vocabulary(), 250);
      Random random = new Random(SEED);
      List<Request> requests = new ArrayList<>();
      for (int i = 0; i < 96; i++) requests.add(request(i, 4, vocabulary, random));
      int length = Math.min(400, engine.contextTokens() / 2);
      for (int i = 96; (i - 96L) * length < tokens * 5 / 4; i++) {
        requests.add(request(i, length, vocabulary, random));
      }
      Iterator<Completion> answers = engine.run(requests.iterator(), () -> false);
      while (answers.hasNext()) answers.next();
      return resident();
    }
  }

  private static Request request(int id, int length, int vocabulary, Random random) {
    int[] tokens = random.ints(length, 3, vocabulary).toArray();
    return new Request(id, tokens, SamplingParams.GREEDY.withLengths(0, 2));
  }

  /** Bytes of this process in memory. */
  static long resident() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmRSS:")) return Long.parseLong(line.replaceAll("\\D", "")) << 10;
    }
    throw new IOException("/proc/self/status has no line VmRSS");
  }
}
