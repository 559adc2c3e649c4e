package io.shadowbatch.spark;

import io.shadowbatch.engine.Engine;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.spark.JobException.Exit;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Which GPU an executor's engine uses: the one that Spark gave the task. */
final class Gpus {
  private static final Logger LOG = LoggerFactory.getLogger(Gpus.class);

  /** The name of the backend in options. */
  static final String BACKEND = "cuda";

  private static final String RESOURCE = "gpu";
  private static final String EXECUTOR_AMOUNT = "spark.executor.resource.gpu.amount";
  private static final String TASK_AMOUNT = "spark.task.resource.gpu.amount";

  /** How an executor ends whose GPU is lost. */
  private static final int LOST = 70;

  private Gpus() {}

  /** True if engines compute on GPUs. */
  static boolean chosen(EngineChoice choice) {
    return choice.backend().startsWith(BACKEND);
  }

  /**
   * Refuses a session in which Spark was not asked for GPUs, before anything runs.
   *
   * @param conf of a master that is not local
   */
  static void requireRequested(SparkConf conf) {
    for (String key : new String[] {EXECUTOR_AMOUNT, TASK_AMOUNT}) {
      if (!conf.contains(key)) throw noneGiven(key + " is not set");
    }
  }

  /**
   * Ends an executor whose GPU is lost, so that Spark starts a new process, which can use it: the
   * rows that it committed stay. The driver's own process does not end for it.
   */
  static void lost(EngineChoice choice) {
    if (!isExecutor()) {
      throw new JobException(
          Exit.RESOURCES,
          "--backend %s: the GPU was lost in this process; run the command again"
              .formatted(choice.backend()));
    }
    LOG.error("the GPU of {} was lost: this executor ends, Spark starts another", choice.backend());
    // Not exit: shutdown hooks would wait for engines whose device answers nothing any more.
    Runtime.getRuntime().halt(LOST);
  }

  /** True in an executor's process, which Spark starts again when it ends. */
  static boolean isExecutor() {
    return SparkEnv.get() != null && !SparkEnv.get().executorId().equals("driver");
  }

  /** The choice with the device of the running task in its backend; as it is for the others. */
  static EngineChoice ofThisTask(EngineChoice choice) {
    if (!choice.backend().equals(BACKEND)) return choice;
    TaskContext task = TaskContext.get();
    Map<String, ResourceInformation> given = task == null ? Map.of() : task.resourcesJMap();
    return choice.withBackend(isExecutor() ? BACKEND + ":" + device(given) : BACKEND);
  }

  /** The number of the first device given. */
  static int device(Map<String, ResourceInformation> given) {
    ResourceInformation gpus = given.get(RESOURCE);
    if (gpus == null || gpus.addresses().length == 0) throw noneGiven("the task has none");
    String address = gpus.addresses()[0];
    if (!address.matches("\\d{1,4}")) {
      throw new JobException(
          Exit.RESOURCES,
          "--backend cuda: Spark gives GPU '%s', expected a device's number from 0; use the"
                  .formatted(address)
              + " discovery script bin/gpu-discovery");
    }
    return Integer.parseInt(address);
  }

  private static JobException noneGiven(String why) {
    return new JobException(
        Exit.RESOURCES,
        ("--backend cuda: Spark assigns no GPU (%s); set %s=1, %s (1, or 1/N for N tasks at once)"
                + " and spark.executor.resource.gpu.discoveryScript=.../bin/gpu-discovery, or use"
                + " --backend cpu")
            .formatted(why, EXECUTOR_AMOUNT, TASK_AMOUNT));
  }

  /** What the user reads of a device or driver that cannot be used. */
  static RuntimeException unusable(EngineChoice choice, Throwable e) {
    if (!chosen(choice)) {
      if (e instanceof RuntimeException other) return other;
      throw (Error) e;
    }
    if (Engine.isDeviceLost(e)) lost(choice);
    return new JobException(
        Exit.RESOURCES, "--backend %s: %s".formatted(choice.backend(), e.getMessage()), e);
  }
}
