package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.hdfs.DistributedFileSystem;

/** HDFS on loopback: a name node and two data nodes, each a process that may be killed. */
final class Hdfs {
  private static final Path JARS = Path.of("target", "minicluster").toAbsolutePath();
  private static final String PACKAGE = "org.apache.hadoop.hdfs.server.";
  private static final int NODES = 2;

  private final Processes processes;
  private final Path folder;
  private final String uri;
  private final List<Process> nodes = new ArrayList<>();

  private Hdfs(Processes processes, Path folder, String uri) {
    this.processes = processes;
    this.folder = folder;
    this.uri = uri;
  }

  /** Starts an empty one and waits until it stores. */
  static Hdfs start(Processes processes, Path folder) throws Exception {
    int port = Processes.freePort();
    Hdfs hdfs = new Hdfs(processes, folder, "hdfs://127.0.0.1:" + port);
    Process format = hdfs.nameNode("format", "-format", "-nonInteractive");
    processes.expect(0, format, "format", Duration.ofSeconds(150));
    hdfs.nameNode("namenode");
    for (int i = 0; i < NODES; i++) hdfs.nodes.add(hdfs.dataNode(i));
    Processes.awaitPort(port);
    hdfs.awaitNodes();
    return hdfs;
  }

  String uri() {
    return uri;
  }

  /** What clients are told. */
  static List<String> settings() {
    return List.of("dfs.replication=" + NODES, "dfs.client.socket-timeout=8000");
  }

  /** Kills one of the data nodes. */
  void killNode(int number) throws InterruptedException {
    Process node = nodes.get(number);
    node.destroyForcibly();
    node.waitFor();
  }

  /** Starts those that were killed again. */
  void repair() throws Exception {
    boolean all = true;
    for (int i = 0; i < NODES; i++) {
      if (nodes.get(i).isAlive()) continue;
      all = false;
      nodes.set(i, dataNode(i));
    }
    if (!all) awaitNodes();
  }

  private Process nameNode(String name, String... args) throws IOException {
    List<String> settings =
        List.of(
            "dfs.namenode.name.dir=" + folder.resolve("name").toUri(),
            "dfs.namenode.http-address=127.0.0.1:0",
            "dfs.namenode.rpc-bind-host=127.0.0.1",
            // a data node that is killed is found out within seconds
            "dfs.namenode.heartbeat.recheck-interval=1000",
            "dfs.permissions.enabled=false");
    return hadoop(name, PACKAGE + "namenode.NameNode", settings, args);
  }

  private Process dataNode(int number) throws IOException {
    List<String> settings =
        List.of(
            "dfs.datanode.data.dir=" + folder.resolve("data" + number).toUri(),
            "dfs.datanode.address=127.0.0.1:0",
            "dfs.datanode.http.address=127.0.0.1:0",
            "dfs.datanode.ipc.address=127.0.0.1:0",
            "dfs.heartbeat.interval=1");
    return hadoop("datanode" + number, PACKAGE + "datanode.DataNode", settings);
  }

  private Process hadoop(String name, String main, List<String> settings, String... args)
      throws IOException {
    List<String> all = new ArrayList<>(List.of(main, "-D", "fs.defaultFS=" + uri));
    for (String setting : settings) all.addAll(List.of("-D", setting));
    all.addAll(List.of(args));
    String jars = JARS + "/*:" + Processes.SPARK_HOME + "/jars/*";
    return processes.spark(name, List.of("-cp", jars), all.toArray(new String[0]));
  }

  private void awaitNodes() throws Exception {
    long end = System.nanoTime() + Duration.ofSeconds(150).toNanos();
    var files =
        (DistributedFileSystem) FileSystem.newInstance(URI.create(uri), new Configuration());
    try (files) {
      while (files.getDataNodeStats().length < NODES || files.isInSafeMode()) {
        assertThat(System.nanoTime()).as("data nodes of " + uri).isLessThan(end);
        Thread.sleep(100);
      }
    }
  }
}
