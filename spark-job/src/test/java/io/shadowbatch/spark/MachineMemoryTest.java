package io.shadowbatch.spark;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.spark.MachineMemory.Bound;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Limits of control groups of both versions and of the host, from trees of files. */
class MachineMemoryTest {

  private static final long MIB = 1L << 20;
  private static final String STATUS = "Name:\tjava\nRssAnon:\t  2048 kB\nRssFile:\t 9 kB\n";

  @TempDir Path root;

  private void put(String file, String content) throws IOException {
    Path path = root.resolve(file);
    Files.createDirectories(path.getParent());
    Files.writeString(path, content);
  }

  private MachineMemory read() throws IOException {
    put("proc/self/status", STATUS + "RssShmem:\t 1024 kB\n");
    return MachineMemory.read(root);
  }

  private void v2(String group, String max, long current, long cached) throws IOException {
    String folder = "sys/fs/cgroup/" + group;
    put(folder + "memory.max", max + "\n");
    put(folder + "memory.current", current + "\n");
    put(folder + "memory.stat", "anon 5\ninactive_file %d\nactive_file 0\n".formatted(cached));
  }

  /** Goal: of nested groups of version 2 the one with the least free bounds; cache is free. */
  @Test
  void nestedGroupsOfVersion2() throws IOException {
    put("proc/self/cgroup", "0::/pods/one\n");
    put("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n");
    v2("pods/one/", "" + 1000 * MIB, 700 * MIB, 200 * MIB);
    v2("pods/", "" + 2000 * MIB, 1900 * MIB, 0);
    MachineMemory memory = read();
    assertThat(memory.bounds())
        .containsExactly(
            new Bound("/sys/fs/cgroup/pods/memory.max", 2000 * MIB, 100 * MIB),
            new Bound("/sys/fs/cgroup/pods/one/memory.max", 1000 * MIB, 500 * MIB),
            new Bound("/proc/meminfo", 8192 * MIB, 4096 * MIB));
    assertThat(memory.ownBytes()).isEqualTo(3 * MIB);
  }

  /** Goal: a group without a limit bounds nothing; one above it does. */
  @Test
  void maxIsNoLimit() throws IOException {
    put("proc/self/cgroup", "0::/pods/one\n");
    v2("pods/one/", "max", 700 * MIB, 0);
    v2("", "" + 800 * MIB, 700 * MIB, 300 * MIB);
    assertThat(read().bounds())
        .containsExactly(new Bound("/sys/fs/cgroup/memory.max", 800 * MIB, 400 * MIB));
  }

  /** Goal: in a container of version 1 the group's path is not there, and its root is the group. */
  @Test
  void containerOfVersion1() throws IOException {
    put("proc/self/cgroup", "12:cpu,cpuacct:/docker/ab\n4:memory:/docker/ab\n0::/\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "" + 600 * MIB);
    put("sys/fs/cgroup/memory/memory.usage_in_bytes", "" + 500 * MIB);
    put(
        "sys/fs/cgroup/memory/memory.stat",
        "inactive_file 1\ntotal_inactive_file %d\ntotal_active_file %d\n"
            .formatted(40 * MIB, 60 * MIB));
    assertThat(read().bounds())
        .containsExactly(
            new Bound("/sys/fs/cgroup/memory/memory.limit_in_bytes", 600 * MIB, 200 * MIB));
  }

  /** Goal: the huge number with which version 1 says unlimited is no limit. */
  @Test
  void hugeIsNoLimit() throws IOException {
    put("proc/self/cgroup", "4:memory:/a\n");
    put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assertThat(read().bounds()).isEmpty();
  }

  /** Goal: a path that leaves the tree, or a system without such files, bounds nothing. */
  @Test
  void nothingIsThere() throws IOException {
    assertThat(read().bounds()).isEmpty();
    put("proc/self/cgroup", "0::/../../outside\nnot a line\n");
    put("proc/meminfo", "MemTotal: x kB\n");
    assertThat(read().bounds()).isEmpty();
  }

  /** Goal: what this machine's files say is what Java finds by itself. */
  @Test
  void thisMachine() throws IOException {
    MachineMemory memory = MachineMemory.read(Path.of("/"));
    var system = ManagementFactory.getOperatingSystemMXBean();
    long total = ((com.sun.management.OperatingSystemMXBean) system).getTotalMemorySize();
    assertThat(memory.bounds()).isNotEmpty();
    long least = memory.bounds().stream().mapToLong(Bound::limit).min().orElseThrow();
    assertThat(least).isEqualTo(total);
    assertThat(memory.ownBytes()).isBetween(16 * MIB, total);
    assertThat(memory.bounds()).allMatch(b -> b.free() >= 0 && b.free() <= b.limit());
  }
}
