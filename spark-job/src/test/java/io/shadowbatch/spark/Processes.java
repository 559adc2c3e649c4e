package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Processes of a test: their output in files, their lives bounded, none left behind. */
final class Processes implements AutoCloseable {

  static final Path LAUNCHER = Path.of("bin", "shadowbatch").toAbsolutePath();
  static final Path SPARK_HOME = Path.of("spark-home", "target", "spark-home").toAbsolutePath();

  private final Path folder;
  private final Deque<Process> started = new ArrayDeque<>();

  Processes(Path folder) {
    this.folder = folder;
  }

  /** Starts the launcher on the local Spark home. */
  Process launch(String name, String... args) throws IOException {
    List<String> command = new ArrayList<>(List.of(LAUNCHER.toString()));
    command.addAll(List.of(args));
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().remove("SPARK_HOME");
    return start(name, builder);
  }

  /** Starts a class of Spark. */
  Process spark(String name, String... args) throws IOException {
    return spark(name, List.of(), args);
  }

  /** The same with options of Java, which may replace heap and class path. */
  Process spark(String name, List<String> options, String... args) throws IOException {
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    List<String> command =
        new ArrayList<>(
            List.of(java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", SPARK_HOME + "/jars/*"));
    command.addAll(options);
    command.addAll(List.of(args));
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().put("SPARK_HOME", SPARK_HOME.toString());
    return start(name, builder);
  }

  /** Starts a master of a standalone cluster; its address, once it listens. */
  String master() throws Exception {
    int port = freePort();
    String main = "org.apache.spark.deploy.master.Master";
    spark("master", main, "--host", "127.0.0.1", "--port", "" + port, "--webui-port", "0");
    awaitPort(port);
    return "spark://127.0.0.1:" + port;
  }

  static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }

  static void awaitPort(int port) throws Exception {
    long end = System.nanoTime() + Duration.ofSeconds(150).toNanos();
    while (true) {
      try (Socket socket = new Socket()) {
        socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 500);
        return;
      } catch (IOException e) {
        assertThat(System.nanoTime()).as("nothing listens on port " + port).isLessThan(end);
        Thread.sleep(200);
      }
    }
  }

  /** Starts a worker of a standalone cluster. */
  Process worker(String name, String master, List<String> options, int cores, String memory)
      throws IOException {
    return worker(name, "127.0.0.1", master, options, cores, memory);
  }

  /** The same on an address of its own. */
  Process worker(
      String name, String host, String master, List<String> options, int cores, String memory)
      throws IOException {
    return spark(
        name,
        options,
        "org.apache.spark.deploy.worker.Worker",
        "--host",
        host,
        "--webui-port",
        "0",
        "-c",
        "" + cores,
        "-m",
        memory,
        "-d",
        folder.resolve(name).toString(),
        master);
  }

  private Process start(String name, ProcessBuilder builder) throws IOException {
    builder.environment().put("SPARK_SCALA_VERSION", "2.13");
    builder.environment().put("SPARK_LOCAL_IP", "127.0.0.1");
    builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
    File log = log(name).toFile();
    builder.redirectErrorStream(true).redirectOutput(log);
    Process process = builder.start();
    started.push(process);
    return process;
  }

  Path log(String name) {
    return folder.resolve(name + ".log");
  }

  /** Waits for the end, with the log in the message if it is not the expected one. */
  void expect(int code, Process process, String name, Duration limit) throws Exception {
    boolean ended = process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS);
    if (!ended) stop(process);
    assertThat(ended).as(name + " ran longer than " + limit + "\n" + tail(name)).isTrue();
    assertThat(process.exitValue()).as(name + "\n" + tail(name)).isEqualTo(code);
  }

  String tail(String name) throws IOException {
    String text = Files.readString(log(name));
    return text.substring(Math.max(0, text.length() - 6000));
  }

  static void stop(Process process) {
    process.descendants().forEach(ProcessHandle::destroyForcibly);
    process.destroyForcibly();
  }

  @Override
  public void close() throws InterruptedException {
    for (Process process : started) {
      stop(process);
      process.waitFor(20, TimeUnit.SECONDS);
    }
  }
}
