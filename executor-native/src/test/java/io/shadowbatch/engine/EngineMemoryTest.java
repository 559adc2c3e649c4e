package io.shadowbatch.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.golden.RealModels;
import io.shadowbatch.kernels.cpu.CpuKernels;
import io.shadowbatch.model.Family;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What an engine takes beside the heap is what was promised, and all of it comes back. */
@Timeout(300)
class EngineMemoryTest {
  private static final long SEED = Long.getLong("shadowbatch.test.seed", 20261122L);
  private static final Pattern LINE = Pattern.compile("resident (\\d+) promised (\\d+)");
  private static final long KV_BYTES = 64L << 20;
  private static final int TASKS = 1000;

  @TempDir Path folder;

  private Path tiny() throws IOException {
    return TinyModels.write(folder.resolve("tiny.gguf"), Family.LLAMA, SEED, QuantType.Q8_0);
  }

  @Test
  void theTinyModelTakesWhatWasPromised() throws Exception {
    requirePromiseKept(tiny());
  }

  @Test
  void theDefaultModelTakesWhatWasPromised() throws Exception {
    requirePromiseKept(RealModels.find(RealModels.SMOLLM2));
  }

  private void requirePromiseKept(Path model) throws Exception {
    ProcessBuilder builder =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xms300m",
            "-Xmx300m",
            "-XX:+AlwaysPreTouch",
            "-XX:TieredStopAtLevel=1",
            "-Dshadowbatch.test.seed=" + SEED,
            "-cp",
            System.getProperty("java.class.path"),
            MemoryRun.class.getName(),
            model.toString(),
            folder.toString(),
            "" + KV_BYTES);
    Process process = builder.redirectErrorStream(true).start();
    String log = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as(log).isZero();
    Matcher line = LINE.matcher(log);
    assertThat(line.find()).as(log).isTrue();
    System.out.println(model.getFileName() + ": " + line.group() + ", seed " + SEED);
    long resident = Long.parseLong(line.group(1));
    long promised = Long.parseLong(line.group(2));
    assertThat(resident).as(log).isLessThanOrEqualTo(promised);
    assertThat(promised).as(log).isLessThanOrEqualTo(resident * 3 / 2);
  }

  @Test
  void aThousandTasksLeaveNoNativeMemoryBehind() throws IOException {
    System.out.println("seed " + SEED);
    Random random = new Random(SEED);
    EngineConfig config = new EngineConfig(tiny(), "cpu", 1, 1L << 20, 16, 0, null, folder);
    long start = CpuKernels.heldBytes();
    try (Engine engine = Engine.open(config)) {
      long afterFirst = 0;
      for (int task = 0; task < TASKS; task++) {
        int[] tokens = random.ints(8, 3, 250).toArray();
        Request request = new Request(task, tokens, SamplingParams.GREEDY.withLengths(0, 2));
        Iterator<Completion> answers = engine.run(List.of(request).iterator(), () -> false);
        while (answers.hasNext()) assertThat(answers.next().error()).isNull();
        if (task == 0) afterFirst = CpuKernels.heldBytes();
      }
      assertThat(CpuKernels.heldBytes() - start)
          .as("after %d tasks; %d after one", TASKS, afterFirst - start)
          .isLessThanOrEqualTo(EngineMemory.of(config).keysAndValues() + workOf(config));
    }
    assertThat(CpuKernels.heldBytes()).as("once the engine is closed").isEqualTo(start);
  }

  private static long workOf(EngineConfig config) throws IOException {
    return EngineMemory.of(config).work();
  }
}
