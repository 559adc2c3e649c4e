package io.shadowbatch.spark;

import io.shadowbatch.engine.DeviceCosts;
import io.shadowbatch.engine.EngineConfig;
import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.tokens.TokenizerException;
import java.io.IOException;
import java.io.Serializable;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;

/** Asks an executor what a model costs there; measures that if nobody did before. */
record EngineCosts(ModelCard model, EngineChoice choice)
    implements MapPartitionsFunction<Long, EngineCosts.Found> {

  private static final long serialVersionUID = 1L;

  /**
   * What was found.
   *
   * @param steps what steps cost
   * @param choice what reading prompts in part is worth; null where all are read exactly
   */
  public record Found(StepCosts steps, KvChoice choice) implements Serializable {
    private static final long serialVersionUID = 1L;
  }

  /** The costs on one executor, which stands for all. */
  static Found ask(SparkSession spark, JobPlan plan) {
    EngineCosts task = new EngineCosts(plan.model(), plan.engine());
    Dataset<Long> one = spark.range(0, 1, 1, 1).as(Encoders.LONG());
    return one.mapPartitions(task, Encoders.javaSerialization(Found.class)).head();
  }

  @Override
  public Iterator<Found> call(Iterator<Long> one) {
    EngineChoice placed = Gpus.ofThisTask(choice);
    try {
      return List.of(here(model, placed)).iterator();
    } catch (IllegalStateException | UnsatisfiedLinkError e) {
      throw Gpus.unusable(placed, e);
    }
  }

  /** The costs on this host. */
  static Found here(ModelCard model, EngineChoice choice) {
    try {
      EngineConfig config = ExecutorEngine.config(model.location(), choice);
      StepCosts steps = DeviceCosts.of(config);
      KvOptions kv = choice.kv();
      if (kv.shadow() == null) return new Found(steps, null);
      KvChoice reading =
          new KvChoice(
              steps,
              DeviceCosts.reads(config),
              kv.shadow(),
              kv.deviceBytes(),
              model.kvBytesPerToken(),
              model.sparseBytesPerToken());
      return new Found(steps, reading);
    } catch (IOException | TokenizerException | IllegalArgumentException e) {
      throw ModelReader.wrong(model.location(), e);
    }
  }
}
