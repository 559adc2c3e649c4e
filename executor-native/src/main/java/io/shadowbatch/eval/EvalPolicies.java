package io.shadowbatch.eval;

import io.shadowbatch.engine.EngineConfig;
import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KeyStore;
import io.shadowbatch.kernels.KvCodec;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kv.EvictingKvStore;
import io.shadowbatch.kv.Eviction;
import io.shadowbatch.kv.FullKvStore;
import io.shadowbatch.kv.HostMemory;
import io.shadowbatch.kv.KvStore;
import io.shadowbatch.kv.ShadowKvStore;
import io.shadowbatch.kv.ShadowSpec;
import io.shadowbatch.model.ModelSpec;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Makes the store of a policy, a new one for each case.
 *
 * @param rope covers the longest case
 */
record EvalPolicies(Kernels kernels, ModelSpec spec, RopeTable rope) {
  private static final int MASS_ONE_OF = 4;
  private static final String BACKEND = "cpu";

  /** The names of {@link #open}. */
  static final String NAMES =
      "full, int8, fp16, int4:group=32, shadow:budget=512,outliers=16,chunk=4|8|16,from=1024,"
          + "codec=auto|int8|fp16,rank=0,store=fp16|int8,"
          + " streaming:budget=512, h2o:budget=512, window:budget=512,queries=32";

  /**
   * Opens an empty store.
   *
   * @param tokens that it must hold together
   * @throws IllegalArgumentException if the policy is unknown or does not suit the model
   */
  KvStore open(EvalPolicy policy, int tokens) {
    return switch (policy.name()) {
      case "full" -> plain(policy, EngineConfig.codec(null, BACKEND, spec), tokens);
      case "int8" -> plain(policy, KvCodec.INT8, tokens);
      case "fp16" -> plain(policy, KvCodec.FP16, tokens);
      case "int4" -> fourBit(policy, tokens);
      case "shadow" -> shadow(policy, tokens);
      case "streaming" -> evicting(policy, 0, tokens);
      case "h2o" -> evicting(policy, Integer.MAX_VALUE, tokens);
      case "window" -> evicting(policy, policy.number("queries", 32), tokens);
      default ->
          throw new IllegalArgumentException(
              "--policy: expected one of %s, got '%s'".formatted(NAMES, policy.text()));
    };
  }

  /** False if each prompt must be computed as a whole, because its own queries choose. */
  boolean shares(EvalPolicy policy) {
    return !Set.of("streaming", "h2o", "window").contains(policy.name());
  }

  private KvStore evicting(EvalPolicy policy, int queries, int tokens) {
    policy.allow(policy.name().equals("window") ? Set.of("budget", "queries") : Set.of("budget"));
    KvLayout layout = spec.kvLayout(EngineConfig.codec(null, BACKEND, spec));
    Eviction eviction = new Eviction(policy.number("budget", 512), queries);
    return new EvictingKvStore(kernels, shapes(layout), rope, eviction, bytes(layout, tokens));
  }

  private KvStore plain(EvalPolicy policy, KvCodec codec, int tokens) {
    policy.allow(Set.of());
    return full(codec, tokens);
  }

  private KvStore fourBit(EvalPolicy policy, int tokens) {
    policy.allow(Set.of("group"));
    int group = policy.number("group", 32);
    KvLayout layout = spec.kvLayout(KvCodec.FP16);
    return new FourBitStore(kernels, layout, rope, group, full(KvCodec.FP16, tokens));
  }

  private KvStore shadow(EvalPolicy policy, int tokens) {
    policy.allow(Set.of("budget", "outliers", "chunk", "from", "codec", "rank", "store"));
    ShadowSpec usual = ShadowSpec.STANDARD;
    ShadowSpec shadow =
        usual
            .chunks(EngineConfig.chunkTokens(policy.number("chunk", 0), spec))
            .with(
                policy.number("budget", usual.budgetTokens()),
                policy.number("outliers", usual.outlierChunks()))
            .from(policy.number("from", usual.leastTokens()));
    int rank = policy.number("rank", 0);
    boolean int8 = policy.word("store", List.of("fp16", "int8")).equals("int8");
    if (rank > 0) {
      shadow = shadow.holding(int8 ? KeyStore.LOWRANK_INT8 : KeyStore.LOWRANK_FP16, rank);
    }
    String codec = policy.word("codec", List.of("auto", "int8", "fp16"));
    KvCodec asked = codec.equals("auto") ? null : KvCodec.valueOf(codec.toUpperCase(Locale.ROOT));
    KvLayout layout = spec.kvLayout(EngineConfig.codec(asked, BACKEND, spec));
    // Twice the pages: landmarks and tables of chunks lie there too.
    long bytes = 2 * bytes(layout, tokens);
    HostMemory host = HostMemory.of(bytes);
    ShadowKvStore store =
        new ShadowKvStore(
            kernels, shapes(layout), rope, shadow, bytes, host, PrefixAttention.SHARED);
    store.measureMass(MASS_ONE_OF);
    return store;
  }

  private FullKvStore full(KvCodec codec, int tokens) {
    KvLayout layout = spec.kvLayout(codec);
    return new FullKvStore(kernels, shapes(layout), rope, bytes(layout, tokens));
  }

  private List<AttentionShape> shapes(KvLayout layout) {
    return IntStream.range(0, spec.layers()).mapToObj(i -> spec.attention(i, layout)).toList();
  }

  private static long bytes(KvLayout layout, int tokens) {
    return (tokens + KvLayout.TILE - 1) / KvLayout.TILE * layout.pageBytes();
  }
}
