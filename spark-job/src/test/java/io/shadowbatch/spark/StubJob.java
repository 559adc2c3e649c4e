package io.shadowbatch.spark;

import io.shadowbatch.spark.JobException.Exit;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;

/**
 * A driver: {@code run} with {@link TracedModel} in place of an engine. Arguments: the folder of
 * traces, milliseconds of an answer and of a slow one, then options of the job, {@code name=value}.
 */
final class StubJob extends SparkListener {
  private final Traces.Writer events;
  private final Instant start;

  private StubJob(Traces.Writer events, Instant start) {
    this.events = events;
    this.start = start;
  }

  @Override
  public void onJobStart(SparkListenerJobStart job) {
    String what = job.properties().getProperty("spark.job.description", "plan");
    double seconds = Duration.between(start, Instant.now()).toMillis() / 1e3;
    events.line("%s %d begins after %.1f s: %s".formatted(Traces.JOB, job.jobId(), seconds, what));
  }

  @Override
  public void onJobEnd(SparkListenerJobEnd job) {
    events.line("%s %d ended".formatted(Traces.JOB, job.jobId()));
  }

  public static void main(String[] args) {
    int code;
    try {
      code = run(args).code();
    } catch (JobException e) {
      System.err.println("shadowbatch: " + e.getMessage());
      if (e.getCause() != null) e.getCause().printStackTrace();
      code = e.exit().code();
    } catch (RuntimeException e) {
      e.printStackTrace();
      code = Exit.UNEXPECTED.code();
    }
    System.exit(code);
  }

  private static Exit run(String[] args) {
    Instant start = Instant.now();
    Map<String, List<String>> given = new LinkedHashMap<>();
    for (int i = 3; i < args.length; i++) {
      int at = args[i].indexOf('=');
      String name = args[i].substring(0, at);
      given.computeIfAbsent(name, n -> new ArrayList<>()).add(args[i].substring(at + 1));
    }
    try (Session session = Session.open()) {
      session.spark().sparkContext().addSparkListener(new StubJob(Traces.own(args[0]), start));
      Settings settings = Settings.merge(given, Session.properties(), null);
      TracedModel.Opener opener =
          new TracedModel.Opener(args[0], Double.parseDouble(args[1]), Double.parseDouble(args[2]));
      var job = new ShadowBatchJob(session.spark(), settings, start, System.err, opener);
      RunSummary summary = job.run();
      System.err.print(summary.text());
      System.gc();
      var heap = ManagementFactory.getMemoryMXBean().getHeapMemoryUsage();
      System.err.printf("heap after the job: %d MB%n", heap.getUsed() >> 20);
      return job.overBudget(summary) ? Exit.ERROR_BUDGET : Exit.OK;
    }
  }
}
