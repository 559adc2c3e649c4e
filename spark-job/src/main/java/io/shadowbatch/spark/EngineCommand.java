package io.shadowbatch.spark;

import java.io.File;
import java.lang.management.ManagementFactory;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** How an executor starts a process that knows the same classes and settings. */
final class EngineCommand {

  /** Requests, tokens and answers only: weights, keys and values lie outside the heap. */
  private static final String HEAP = "-Xmx512m";

  /** A bound that is never met: only the reference kernels keep anything there. */
  private static final String DIRECT = "-XX:MaxDirectMemorySize=64g";

  /**
   * Options of this process that the other gets too. Not those that open modules: Spark needs them,
   * an engine does not, and with them Java starts more slowly.
   */
  private static final List<String> SAME =
      List.of(
          "--enable-native-access", "-Djava.io.tmpdir=", "-Djava.library.path=", "-Duser.home=");

  /** What the Java machine writes when native code crashes. */
  static final String REPORT = "crash.log";

  private static final String OWN = "shadowbatch.";

  private EngineCommand() {}

  /**
   * A process that is ready to be started.
   *
   * @param folder for what the Java machine leaves behind when it crashes
   */
  static ProcessBuilder of(Class<?> main, Path folder) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-XX:+IgnoreUnrecognizedVMOptions");
    command.addAll(options());
    command.addAll(List.of(HEAP, DIRECT, "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"));
    // Both hold memory, and with it prompts: a report is read for its place and deleted.
    command.add("-XX:ErrorFile=" + folder.resolve(REPORT));
    command.add("-XX:-CreateCoredumpOnCrash");
    command.add("-XX:+DisplayVMOutputToStderr"); // standard output is for messages
    command.add(main.getName());
    ProcessBuilder builder = new ProcessBuilder(command);
    // In the environment: a command line of some hundred jars hides everything else in lists.
    builder.environment().put("CLASSPATH", classPath());
    return builder;
  }

  private static List<String> options() {
    List<String> options = new ArrayList<>();
    for (String given : ManagementFactory.getRuntimeMXBean().getInputArguments()) {
      if (SAME.stream().anyMatch(given::startsWith)) options.add(given);
    }
    for (String name : new TreeSet<>(System.getProperties().stringPropertyNames())) {
      if (name.startsWith(OWN)) options.add("-D" + name + "=" + System.getProperty(name));
    }
    return options;
  }

  /**
   * That of this process, and the jars that Spark gives its tasks by class loaders: on an executor
   * the job's own jar is only there.
   */
  private static String classPath() {
    Set<String> places = new LinkedHashSet<>();
    URL own = EngineCommand.class.getProtectionDomain().getCodeSource().getLocation();
    places.add(new File(own.getPath()).getAbsolutePath());
    ClassLoader loader = Thread.currentThread().getContextClassLoader();
    for (; loader != null; loader = loader.getParent()) {
      if (!(loader instanceof URLClassLoader jars)) continue;
      for (URL url : jars.getURLs()) {
        if ("file".equals(url.getProtocol())) places.add(new File(url.getPath()).getAbsolutePath());
      }
    }
    places.addAll(List.of(System.getProperty("java.class.path").split(File.pathSeparator)));
    return String.join(File.pathSeparator, places);
  }
}
