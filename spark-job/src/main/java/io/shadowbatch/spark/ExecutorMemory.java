package io.shadowbatch.spark;

import io.shadowbatch.engine.EngineMemory;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.MachineMemory.Bound;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.SparkConf;

/**
 * What an executor's process takes of its host: the heap, the engine beside it, and what Java and
 * Spark need. A start that cannot fit is refused before it computes, with exit code 8.
 *
 * @param heap most bytes of the Java heap
 * @param engine of this job
 */
record ExecutorMemory(long heap, EngineMemory engine) {

  /**
   * Code, classes, threads, collector and Spark's own buffers: 222 MiB were measured in an executor
   * with a heap of 600 MiB.
   */
  static final long JAVA_BYTES = 256L << 20;

  private static final long MIB = 1L << 20;

  /** Less than this is no memory for keys and values to propose. */
  private static final long DEVICE_LEAST = 16 * MIB;

  private static final String HEAP = "spark.executor.memory";
  private static final String OVERHEAD = "spark.executor.memoryOverhead";

  /** The engine that a task opens. */
  static EngineMemory engine(String location, EngineChoice choice) {
    try {
      return EngineMemory.of(ExecutorEngine.config(location, choice));
    } catch (IOException | IllegalArgumentException e) {
      throw ModelReader.wrong(location, e);
    }
  }

  /** An executor of a session; the driver's process is the only one of a local master. */
  static ExecutorMemory of(SparkConf conf, EngineMemory engine) {
    long heap =
        conf.get("spark.master", "local").startsWith("local")
            ? Runtime.getRuntime().maxMemory()
            : conf.getSizeAsBytes(HEAP, "1g");
    return new ExecutorMemory(heap, engine);
  }

  /** Beside the heap; what {@code spark.executor.memoryOverhead} must hold. */
  long offHeap() {
    return engine.total() + JAVA_BYTES;
  }

  long total() {
    return heap + offHeap();
  }

  /** True where Spark asks for containers of memory and overhead. */
  static boolean inContainers(SparkConf conf) {
    String master = conf.get("spark.master", "local");
    return master.equals("yarn") || master.startsWith("k8s://");
  }

  /**
   * Bytes beside the heap in the containers of executors, as YARN and Kubernetes are asked for
   * them: as said, else a part of the heap's size, but at least so much (Spark's {@code
   * ResourceProfile.calculateOverHeadMemory}).
   */
  static long overhead(SparkConf conf) {
    long heapMib = conf.getSizeAsMb(HEAP, "1g");
    if (conf.contains(OVERHEAD)) return conf.getSizeAsMb(OVERHEAD) * MIB;
    String factor = conf.get(OVERHEAD + "Factor", "");
    boolean kubernetes = conf.get("spark.master", "local").startsWith("k8s://");
    if (factor.isEmpty() && kubernetes) {
      factor = conf.get("spark.kubernetes.memoryOverheadFactor", "");
    }
    double part = factor.isEmpty() ? 0.1 : Double.parseDouble(factor);
    long least = conf.getSizeAsMb("spark.executor.minMemoryOverhead", "384m");
    return Math.max((long) (part * heapMib), least) * MIB;
  }

  /** Refuses executors whose containers will be too small, before any is used. */
  void requireContainers(SparkConf conf, EngineChoice choice) {
    long overhead = overhead(conf);
    if (!inContainers(conf) || offHeap() <= overhead) return;
    throw refused(
        "containers have %s beside it (%s)"
            .formatted(mib(overhead), conf.contains(OVERHEAD) ? OVERHEAD : OVERHEAD + ", unset"),
        offHeap() - overhead,
        choice,
        "--conf %s=%dm".formatted(OVERHEAD, mebibytes(offHeap())));
  }

  /**
   * Refuses an engine for which this process or host has no room. What is resident already is
   * counted once.
   *
   * @param others bytes of the engines that this process has open
   */
  void requireHere(MachineMemory machine, SparkConf conf, EngineChoice choice, long others) {
    if (machine.bounds().isEmpty()) return;
    Bound bound = machine.bounds().get(0);
    long more = Math.max(0, total() + others - machine.ownBytes());
    if (more <= bound.free()) return;
    String cure =
        inContainers(conf)
            ? "--conf %s=%dm".formatted(OVERHEAD, mebibytes(offHeap()))
            : "a limit of %s more".formatted(mib(more - bound.free()));
    throw refused(
        "of which the process lacks %s, and %s has %s free of %s"
            .formatted(mib(more), bound.source(), mib(bound.free()), mib(bound.limit())),
        more - bound.free(),
        choice,
        cure);
  }

  /** "yes", or why a run would be refused; of hosts only this one is known. */
  String fit(SparkConf conf, EngineChoice choice) {
    try {
      requireContainers(conf, choice);
      if (!inContainers(conf)) requireHere(MachineMemory.read(Path.of("/")), conf, choice, 0);
      return "yes";
    } catch (JobException e) {
      return e.getMessage();
    }
  }

  private JobException refused(String found, long missing, EngineChoice choice, String cure) {
    long device = choice.kv().deviceBytes() - missing;
    // A GPU's memory is not the host's: less of it would not help.
    boolean less = !Gpus.chosen(choice) && device >= DEVICE_LEAST;
    String other = less ? ", or --device-memory %dm".formatted(device / MIB) : "";
    return new JobException(
        Exit.RESOURCES,
        ("--device-memory %dm: an executor needs %s (heap %s, weights %s, keys and values %s,"
                + " buffers %s, tokenizer %s, Java and Spark %s), %s; use %s%s")
            .formatted(
                choice.kv().deviceBytes() / MIB,
                mib(total()),
                mib(heap),
                mib(engine.weights()),
                mib(engine.keysAndValues()),
                mib(engine.work()),
                mib(engine.text()),
                mib(JAVA_BYTES),
                found,
                cure,
                other));
  }

  /** What a run's executors need and get, for people and programs. */
  Map<String, Object> described(SparkConf conf) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("executor_bytes_heap", heap);
    map.put("executor_bytes_off_heap", offHeap());
    if (inContainers(conf)) {
      map.put("executor_memory_overhead", "%dm".formatted(mebibytes(offHeap())));
      map.put("executor_memory_overhead_now", "%dm".formatted(mebibytes(overhead(conf))));
    }
    return map;
  }

  private static long mebibytes(long bytes) {
    return (bytes + MIB - 1) / MIB;
  }

  private static String mib(long bytes) {
    return "%d MiB".formatted(mebibytes(bytes));
  }
}
