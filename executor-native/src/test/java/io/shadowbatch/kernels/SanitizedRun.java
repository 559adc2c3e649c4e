package io.shadowbatch.kernels;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import io.shadowbatch.kernels.cpu.CpuKernels;
import io.shadowbatch.kernels.cpu.Planted;
import io.shadowbatch.tensor.Storage;
import java.io.PrintWriter;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;

/** A process with the kernels' sanitizers: runs test classes by name, or a planted bug. */
final class SanitizedRun {
  private SanitizedRun() {}

  /**
   * @param args {@code read}, {@code sum}, or names of test classes
   */
  public static void main(String[] args) throws ClassNotFoundException {
    switch (args[0]) {
      case "read" -> {
        try (CpuKernels k = CpuKernels.open(1);
            Storage s = k.allocate(128)) {
          System.out.println("inside " + Planted.read(s.address(), 127));
          System.out.println("behind " + Planted.read(s.address(), 128));
        }
      }
      case "sum" -> {
        System.out.println("below " + Planted.sum(Integer.MAX_VALUE - 1, 1));
        System.out.println("above " + Planted.sum(Integer.MAX_VALUE, 1));
      }
      default -> run(args);
    }
  }

  private static void run(String[] names) throws ClassNotFoundException {
    LauncherDiscoveryRequestBuilder request = LauncherDiscoveryRequestBuilder.request();
    for (String name : names) request.selectors(selectClass(Class.forName(name)));
    LauncherDiscoveryRequest tests = request.build();
    SummaryGeneratingListener listener = new SummaryGeneratingListener();
    LauncherFactory.create().execute(tests, listener);
    var summary = listener.getSummary();
    summary.printFailuresTo(new PrintWriter(System.out, true));
    System.out.printf("passed %d%n", summary.getTestsSucceededCount());
    System.exit(summary.getTotalFailureCount() == 0 ? 0 : 3);
  }
}
