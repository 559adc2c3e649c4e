package io.shadowbatch.spark;

import io.shadowbatch.engine.Engine;
import io.shadowbatch.engine.EngineConfig;
import io.shadowbatch.engine.EngineMemory;
import io.shadowbatch.engine.EngineMetrics;
import io.shadowbatch.engine.KvChoice;
import io.shadowbatch.engine.StepCosts;
import io.shadowbatch.request.Completion;
import io.shadowbatch.request.Request;
import io.shadowbatch.spark.JobConfig.EngineChoice;
import io.shadowbatch.tokens.Tokenizer;
import io.shadowbatch.tokens.TokenizerException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BooleanSupplier;
import org.apache.spark.SparkEnv;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The engine of this JVM: opened by the first task that needs it, shared by all, kept until the
 * process ends.
 */
final class ExecutorEngine implements CompletionSource {

  private static final Logger LOG = LoggerFactory.getLogger(ExecutorEngine.class);

  private record Key(String fingerprint, EngineChoice choice) {}

  /** How an executor ends whose engine is stuck. */
  private static final int STALLED = 71;

  private static final Object LOCK = new Object();
  private static final Map<Key, ExecutorEngine> OPEN = new LinkedHashMap<>();

  static {
    Runtime.getRuntime().addShutdownHook(new Thread(ExecutorEngine::closeAll, "engine-close"));
  }

  private final Engine engine;
  private final Tokenizer tokenizer;
  private final EngineCosts.Found costs;
  private final long bytes;

  private ExecutorEngine(Engine engine, EngineCosts.Found costs, long bytes) {
    this.engine = engine;
    this.bytes = bytes;
    this.costs = costs;
    this.tokenizer = engine.tokenizer();
  }

  /** The engine for this model and configuration. */
  static CompletionSource get(ModelCard model, EngineChoice wanted) {
    EngineChoice choice = Gpus.ofThisTask(wanted);
    Key key = new Key(model.fingerprint(), choice);
    synchronized (LOCK) {
      ExecutorEngine held = OPEN.get(key);
      if (held != null && !held.engine.alive()) {
        // It failed under another task; a retried task gets a new one.
        if (held.engine.deviceLost()) Gpus.lost(choice);
        OPEN.remove(key);
        held.engine.close();
      }
      return OPEN.computeIfAbsent(key, k -> open(model, choice));
    }
  }

  private static ExecutorEngine open(ModelCard model, EngineChoice choice) {
    EngineMemory memory = ExecutorMemory.engine(model.location(), choice);
    requireRoom(memory, choice);
    try {
      // Before the engine takes its memory: the first on a kind of machine measures.
      EngineCosts.Found costs = EngineCosts.here(model, choice);
      Engine engine = Engine.open(config(model.location(), choice));
      LOG.info("engine: backend {}, {}", choice.backend(), engine.describe());
      return new ExecutorEngine(engine, costs, memory.total());
    } catch (IOException | TokenizerException | IllegalArgumentException e) {
      throw ModelReader.wrong(model.location(), e);
    } catch (IllegalStateException | UnsatisfiedLinkError e) {
      throw Gpus.unusable(choice, e);
    }
  }

  /** Before anything is measured or opened, which could end the process or its neighbours. */
  private static void requireRoom(EngineMemory memory, EngineChoice choice) {
    if (SparkEnv.get() == null) return;
    long others = OPEN.values().stream().mapToLong(e -> e.bytes).sum();
    new ExecutorMemory(Runtime.getRuntime().maxMemory(), memory)
        .requireHere(MachineMemory.read(Path.of("/")), SparkEnv.get().conf(), choice, others);
  }

  /** What an engine of this host is opened with. */
  static EngineConfig config(String location, EngineChoice choice) {
    KvOptions kv = choice.kv();
    EngineConfig config =
        new EngineConfig(
            ModelFiles.local(location),
            choice.backend(),
            choice.threads(),
            kv.deviceBytes(),
            choice.batchTokens(),
            choice.contextTokens(),
            kv.codec(),
            null);
    return kv.shadow() == null ? config : config.with(kv.shadow(), kv.host());
  }

  /**
   * Ends an executor whose engine is stuck in a step: its thread would hold cores and memory for
   * ever, and all tasks wait for the same engine. Spark starts another executor, and computes these
   * tasks again in processes of their own. Not in the driver's process, which is not started again.
   */
  static void stalled(Throwable failure) {
    if (!Gpus.isExecutor()) return;
    LOG.error("the engine is stuck, {}: this executor ends", failure.getMessage());
    // Not exit: shutdown hooks would wait for the engine.
    Runtime.getRuntime().halt(STALLED);
  }

  private static void closeAll() {
    synchronized (LOCK) {
      OPEN.values().forEach(e -> e.engine.close());
      OPEN.clear();
    }
  }

  @Override
  public int[] encode(String prompt) {
    return tokenizer.encode(prompt);
  }

  @Override
  public int[] encodeRaw(String prompt) {
    return tokenizer.encodeWithModelSpecials(prompt);
  }

  @Override
  public String token(int id) {
    int[] ids = {id};
    return id < tokenizer.vocabularySize() ? tokenizer.decodeWithSpecials(ids, 0, 1) : "";
  }

  @Override
  public int contextTokens() {
    return engine.contextTokens();
  }

  @Override
  public StepCosts costs() {
    return costs.steps();
  }

  @Override
  public KvChoice choice() {
    return costs.choice();
  }

  @Override
  public EngineMetrics metrics() {
    return engine.metrics();
  }

  @Override
  public Iterator<Completion> run(Iterator<Request> requests, BooleanSupplier cancelled) {
    return engine.run(requests, cancelled);
  }
}
