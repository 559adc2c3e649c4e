package io.shadowbatch.spark;

import io.shadowbatch.engine.DeviceCosts;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.tokens.TokenizerException;
import java.io.IOException;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;

/** Asks an executor what steps of a model cost there; measures them if nobody did before. */
record EngineCosts(ModelCard model, EngineChoice choice)
    implements MapPartitionsFunction<Long, StepCosts> {

  private static final long serialVersionUID = 1L;

  /** The costs on one executor, which stands for all. */
  static StepCosts ask(SparkSession spark, JobPlan plan) {
    EngineCosts task = new EngineCosts(plan.model(), plan.engine());
    Dataset<Long> one = spark.range(0, 1, 1, 1).as(Encoders.LONG());
    return one.mapPartitions(task, Encoders.javaSerialization(StepCosts.class)).head();
  }

  @Override
  public Iterator<StepCosts> call(Iterator<Long> one) {
    return List.of(here(model, choice)).iterator();
  }

  /** The costs on this host. */
  static StepCosts here(ModelCard model, EngineChoice choice) {
    try {
      return DeviceCosts.of(ExecutorEngine.config(model, choice));
    } catch (IOException | TokenizerException | IllegalArgumentException e) {
      throw ModelReader.wrong(model.location(), e);
    }
  }
}
