package io.shadowbatch.spark;

import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import java.io.Serializable;
import java.util.Iterator;
import java.util.function.BooleanSupplier;

/** A model ready to answer: what the inference task needs of an engine and its tokenizer. */
interface CompletionSource {

  /** How an executor gets its source. */
  interface Opener extends Serializable {
    CompletionSource open(ModelCard model, EngineChoice choice);
  }

  /** Token ids of a prompt that a chat template made. */
  int[] encode(String prompt);

  /** Token ids of a raw prompt, with the tokens that the model's file says to add. */
  int[] encodeRaw(String prompt);

  /** Text of one token, special or not. */
  String token(int id);

  /** Most tokens of prompt and completion together. */
  int contextTokens();

  /** What steps cost, for predictions. */
  StepCosts costs();

  /** What it costs to read prompts whole and in part; null where all are read exactly. */
  KvChoice choice();

  /** What the engine has done since it was opened, for all its tasks. */
  EngineMetrics metrics();

  /**
   * Completions in the order in which they finish. Requests are pulled as there is room, by the
   * thread that asks for completions; requests that have come to an end are asked again each time,
   * for their source may have paused.
   */
  Iterator<Completion> run(Iterator<Request> requests, BooleanSupplier cancelled);
}
