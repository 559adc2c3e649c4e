package io.shadowbatch.spark;

import io.shadowbatch.request.Request;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.spark.launcher.JavaModuleOptions;

/** A standalone cluster on loopback whose workers run one task each, and {@link StubJob}s on it. */
final class StubCluster implements AutoCloseable {
  /** These processes live for seconds, and most of that is the start of Java. */
  private static final String LIGHT = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";

  private final Processes processes;
  private final Path folder;
  private final String master;
  private final List<String> hosts;
  private final List<Process> workers = new ArrayList<>();
  private final Set<ProcessHandle> orphans = new LinkedHashSet<>();
  private int started;

  /** Starts a worker on each of the hosts, addresses of loopback. */
  StubCluster(Processes processes, Path folder, List<String> hosts) throws Exception {
    this.processes = processes;
    this.folder = Files.createDirectories(folder);
    this.hosts = hosts;
    this.master = processes.master();
    for (String host : hosts) workers.add(worker(host));
  }

  private Process worker(String host) throws IOException {
    String name = "worker" + started++;
    List<String> options =
        List.of("-Dspark.local.dir=" + Files.createDirectories(folder.resolve("local-" + name)));
    return processes.worker(name, host, master, options, 1, "600m");
  }

  Process worker(int number) {
    return workers.get(number);
  }

  /** Kills a worker; its executors will notice. */
  void killWorker(int number) throws InterruptedException {
    Process worker = workers.get(number);
    orphans.addAll(worker.descendants().toList());
    worker.destroyForcibly();
    worker.waitFor();
  }

  /** Starts workers in place of those that were killed. */
  void repair() throws IOException {
    for (int i = 0; i < workers.size(); i++) {
      if (!workers.get(i).isAlive()) workers.set(i, worker(hosts.get(i)));
    }
  }

  /** Executors that run. */
  List<ProcessHandle> executors() {
    List<ProcessHandle> executors = new ArrayList<>();
    for (Process worker : workers) {
      worker
          .children()
          .filter(child -> child.info().command().orElse("").endsWith("java"))
          .forEach(executors::add);
    }
    return executors;
  }

  /** The worker of an executor; -1 if it has none any more. */
  int workerOf(long executor) {
    for (int i = 0; i < workers.size(); i++) {
      if (workers.get(i).children().anyMatch(child -> child.pid() == executor)) return i;
    }
    return -1;
  }

  /**
   * Starts a driver.
   *
   * @param conf Spark properties, {@code name=value} each
   * @param args of {@link StubJob}
   */
  Process job(String name, List<String> conf, List<String> args) throws IOException {
    return driver(processes, name, master, conf, args);
  }

  /** Starts a driver on any master. */
  static Process driver(
      Processes processes, String name, String master, List<String> conf, List<String> args)
      throws IOException {
    String own = classPath();
    List<String> options = new ArrayList<>(List.of(JavaModuleOptions.defaultModuleOptionArray()));
    options.addAll(List.of(LIGHT.split(" ")));
    options.addAll(List.of("-Xmx512m", "-cp", own + ":" + Processes.SPARK_HOME + "/jars/*"));
    for (String property :
        List.of(
            "spark.master=" + master,
            "spark.ui.enabled=false",
            "spark.sql.warehouse.dir=target/warehouse",
            "spark.driver.host=127.0.0.1",
            "spark.executor.memory=512m",
            "spark.executor.cores=1",
            "spark.sql.shuffle.partitions=4",
            "spark.executor.extraClassPath=" + own,
            "spark.executor.extraJavaOptions=-XX:-CreateCoredumpOnCrash " + LIGHT)) {
      options.add("-D" + property);
    }
    for (String property : conf) options.add("-D" + property);
    List<String> all = new ArrayList<>(List.of(StubJob.class.getName()));
    all.addAll(args);
    return processes.spark(name, options, all.toArray(new String[0]));
  }

  /** Where the job, the engine and the tests were loaded from. */
  private static String classPath() {
    return Stream.of(StubJob.class, ShadowBatchJob.class, Request.class)
        .map(type -> type.getProtectionDomain().getCodeSource().getLocation().getPath())
        .collect(Collectors.joining(":"));
  }

  @Override
  public void close() {
    for (ProcessHandle orphan : orphans) orphan.destroyForcibly();
  }
}
