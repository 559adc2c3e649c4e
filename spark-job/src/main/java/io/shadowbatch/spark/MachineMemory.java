package io.shadowbatch.spark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What Linux lets this process have: the limits of its control groups, of version 1 and 2, and the
 * host's memory. The file cache counts as free, because the kernel drops it where memory is short.
 *
 * @param bounds all that are known, the tightest first; may be empty
 * @param ownBytes that this process has now, without what files back
 */
record MachineMemory(List<Bound> bounds, long ownBytes) {

  /** Version 1 says so of a group without a limit: the largest multiple of a page. */
  private static final long UNLIMITED = 1L << 60;

  /**
   * One limit.
   *
   * @param source the file that says so
   * @param limit bytes for all processes under it
   * @param free bytes that none of them has
   */
  record Bound(String source, long limit, long free) {}

  /** How a version of control groups names its files. */
  private record Version(String folder, String limit, String used, List<String> cached) {}

  private static final Version V1 =
      new Version(
          "sys/fs/cgroup/memory",
          "memory.limit_in_bytes",
          "memory.usage_in_bytes",
          List.of("total_inactive_file", "total_active_file"));

  private static final List<String> CACHED = List.of("inactive_file", "active_file");

  private static final Version V2 =
      new Version("sys/fs/cgroup", "memory.max", "memory.current", CACHED);

  /**
   * Reads what is there; what is not bounds nothing.
   *
   * @param root of the file system
   */
  static MachineMemory read(Path root) {
    List<Bound> bounds = new ArrayList<>();
    for (String line : lines(root.resolve("proc/self/cgroup"))) {
      // number:controllers:path, with neither number nor controllers in version 2
      String[] parts = line.split(":", 3);
      if (parts.length < 3) continue;
      if (List.of(parts[1].split(",")).contains("memory")) groups(root, V1, parts[2], bounds);
      if (parts[0].equals("0") && parts[1].isEmpty()) groups(root, V2, parts[2], bounds);
    }
    Map<String, Long> host = numbers(root.resolve("proc/meminfo"));
    if (host.containsKey("MemTotal") && host.containsKey("MemAvailable")) {
      long total = host.get("MemTotal") << 10;
      bounds.add(new Bound("/proc/meminfo", total, host.get("MemAvailable") << 10));
    }
    bounds.sort(Comparator.comparingLong(Bound::free));
    Map<String, Long> own = numbers(root.resolve("proc/self/status"));
    long kib = own.getOrDefault("RssAnon", 0L) + own.getOrDefault("RssShmem", 0L);
    return new MachineMemory(List.copyOf(bounds), kib << 10);
  }

  /** The group and those above it; a container often sees its own group as the topmost. */
  private static void groups(Path root, Version version, String path, List<Bound> bounds) {
    Path top = root.resolve(version.folder()).normalize();
    Path group = top.resolve(path.replaceFirst("^/+", "")).normalize();
    for (; group != null && group.startsWith(top); group = group.getParent()) {
      Path file = group.resolve(version.limit());
      long limit = number(file);
      if (limit < 0 || limit >= UNLIMITED) continue;
      Map<String, Long> stat = numbers(group.resolve("memory.stat"));
      long cached = version.cached().stream().mapToLong(n -> stat.getOrDefault(n, 0L)).sum();
      long used = Math.max(0, number(group.resolve(version.used())) - cached);
      bounds.add(new Bound("/" + root.relativize(file), limit, Math.max(0, limit - used)));
    }
  }

  /** The file's only number; -1 if it has none, as {@code max}, or is not there. */
  private static long number(Path file) {
    for (String line : lines(file)) {
      if (line.strip().matches("\\d{1,18}")) return Long.parseLong(line.strip());
    }
    return -1;
  }

  /** Lines of a name, a colon or a space, and a number. */
  private static Map<String, Long> numbers(Path file) {
    Map<String, Long> numbers = new HashMap<>();
    for (String line : lines(file)) {
      String[] words = line.strip().split("[:\\s]+");
      if (words.length < 2 || !words[1].matches("\\d{1,18}")) continue;
      numbers.put(words[0], Long.parseLong(words[1]));
    }
    return numbers;
  }

  private static List<String> lines(Path file) {
    try {
      return Files.isReadable(file) ? Files.readAllLines(file) : List.of();
    } catch (IOException e) {
      return List.of(); // as a file that is not there: the group went, or it is another system
    }
  }
}
