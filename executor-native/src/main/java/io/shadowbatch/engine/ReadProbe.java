package io.shadowbatch.engine;

import io.shadowbatch.kernels.AttentionShape;
import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.KvLayout;
import io.shadowbatch.kernels.PrefixAttention;
import io.shadowbatch.kernels.RopeTable;
import io.shadowbatch.kernels.Slice;
import io.shadowbatch.kernels.TokenBatch;
import io.shadowbatch.kv.HostMemory;
import io.shadowbatch.kv.KvSpan;
import io.shadowbatch.kv.KvStore;
import io.shadowbatch.kv.ShadowKvStore;
import io.shadowbatch.kv.ShadowSpec;
import io.shadowbatch.model.Decoder;
import io.shadowbatch.model.Model;
import io.shadowbatch.model.ModelSpec;
import io.shadowbatch.model.PackOptions;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * Measures {@link ReadCosts}: steps of the real forward pass behind a prompt of {@link #LONG}
 * tokens, taken in turns, each the least of some. Takes about as long as computing 15,000 tokens.
 */
final class ReadProbe {
  private static final int ROWS = 16;
  private static final int NONE = 64;
  private static final int SHORT = 2112; // of which low-rank keys are read in part, too
  private static final int LONG = 4096;
  private static final int OWN = 96; // an exact tail, and room for a token
  private static final int CHUNK = 256;
  private static final int ROUNDS = 12;

  private final Kernels kernels;
  private final ModelSpec spec;
  private final Decoder decoder;
  private final KvStore store;
  private final int[] tokens;
  private int nextSequence = 1;

  private ReadProbe(Kernels kernels, ModelSpec spec, Decoder decoder, KvStore store) {
    this.kernels = kernels;
    this.spec = spec;
    this.decoder = decoder;
    this.store = store;
    this.tokens = new int[LONG + 2 * OWN];
    for (int i = 0; i < tokens.length; i++) tokens[i] = (31 * i + 7 * (i / 11)) % spec.vocabulary();
  }

  /**
   * Opens the model in kernels of its own, measures, and closes both.
   *
   * @param config with a way to read prompts in part
   */
  static ReadCosts of(EngineConfig config) throws IOException {
    PackOptions pack = PackOptions.standard().threads(config.threads());
    if (config.packFolder() != null) pack = pack.in(config.packFolder());
    try (Kernels kernels = Backend.open(config.backend(), config.threads());
        Model model = Model.open(config.model(), kernels, pack)) {
      ModelSpec spec = model.spec();
      KvLayout layout = spec.kvLayout(config.codec(spec));
      List<AttentionShape> shapes = new ArrayList<>();
      for (int i = 0; i < spec.layers(); i++) shapes.add(spec.attention(i, layout));
      long bytes = (LONG / KvLayout.TILE + 4L * ROWS + 8) * layout.pageBytes() * 4;
      ShadowSpec always = config.shadow().from(0);
      HostMemory host = HostMemory.of(bytes);
      try (RopeTable rope = RopeTable.of(kernels, spec.rope().frequencies(), LONG + 2 * OWN);
          KvStore store =
              new ShadowKvStore(
                  kernels, shapes, rope, always, bytes, host, PrefixAttention.SHARED);
          Decoder decoder = new Decoder(kernels, spec, model.weights(), CHUNK)) {
        return new ReadProbe(kernels, spec, decoder, store).measure(always);
      }
    }
  }

  private ReadCosts measure(ShadowSpec shadow) {
    prefill(0, 0, LONG + OWN);
    Rows one = rows(1, NONE, ReadAs.WHOLE);
    Rows many = rows(ROWS, NONE, ReadAs.WHOLE);
    Rows oneWhole = rows(1, LONG, ReadAs.WHOLE);
    Rows manyWhole = rows(ROWS, LONG, ReadAs.WHOLE);
    Rows oneShort = rows(1, SHORT, ReadAs.PART);
    Rows manyShort = rows(ROWS, SHORT, ReadAs.PART);
    Rows oneLong = rows(1, LONG, ReadAs.PART);
    Rows manyLong = rows(ROWS, LONG, ReadAs.PART);
    List<Rows> all =
        List.of(one, many, oneWhole, manyWhole, oneShort, manyShort, oneLong, manyLong);
    for (int round = 0; round < ROUNDS; round++) all.forEach(this::time);
    double token = (oneWhole.least - one.least) / (LONG - NONE);
    double sharedToken = shared(token, (manyWhole.least - many.least) / ROWS / (LONG - NONE));
    double chunks = (LONG - SHORT) / (double) shadow.chunkTokens();
    double landmark = Math.max(0, (oneLong.least - oneShort.least) / chunks);
    double mixed = (manyLong.least - manyShort.least) / ROWS / chunks;
    double most = LONG / (double) shadow.chunkTokens();
    double read = Math.min(most, shadow.budgetChunks() + shadow.exactChunks());
    double tokens = read * shadow.chunkTokens();
    double sharedLandmark = shared(landmark, mixed);
    double scored = most * (sharedLandmark + (landmark - sharedLandmark) / ROWS);
    double picked = Math.max(0, (oneLong.least - one.least - most * landmark) / tokens);
    double pickedMixed = ((manyLong.least - many.least) / ROWS - scored) / tokens;
    return new ReadCosts(
        token, sharedToken, landmark, sharedLandmark, picked, shared(picked, pickedMixed));
  }

  /** What many rows pay each, from what {@link #ROWS} do. */
  private static double shared(double alone, double mixed) {
    return Math.min(alone, Math.max(0, (mixed - alone / ROWS) / (1 - 1.0 / ROWS)));
  }

  private enum ReadAs {
    WHOLE,
    PART
  }

  /** Rows that each decode a token behind the same beginning, and the least time of their step. */
  private static final class Rows {
    private final TokenBatch batch;
    private double least = Double.MAX_VALUE;

    Rows(TokenBatch batch) {
      this.batch = batch;
    }
  }

  private Rows rows(int rows, int prompt, ReadAs how) {
    List<Slice> slices = new ArrayList<>();
    int[] ids = new int[rows];
    int[] positions = new int[rows];
    for (int row = 0; row < rows; row++) {
      int sequence = nextSequence++;
      try (KvSpan span = store.share(0, 0, prompt)) {
        if (!store.attach(sequence, span, 0)) throw new IllegalStateException("no page is free");
      }
      prefill(sequence, prompt, prompt + OWN - 1);
      if (how == ReadAs.PART) store.seal(sequence, prompt + OWN - 1);
      reserve(sequence, prompt + OWN);
      slices.add(new Slice(sequence, row, 1));
      ids[row] = tokens[row];
      positions[row] = prompt + OWN - 1;
    }
    return new Rows(new TokenBatch(rows, ids, positions, slices, new int[0]));
  }

  /** The least of several times is that of a machine which does nothing else. */
  private void time(Rows rows) {
    kernels.finish();
    long begin = System.nanoTime();
    decoder.forward(rows.batch, store);
    kernels.finish();
    rows.least = Math.min(rows.least, (System.nanoTime() - begin) / 1e9);
  }

  private void prefill(int sequence, int from, int to) {
    reserve(sequence, to);
    int[] ids = new int[CHUNK];
    int[] positions = new int[CHUNK];
    for (int at = from; at < to; at += CHUNK) {
      int n = Math.min(CHUNK, to - at);
      for (int i = 0; i < n; i++) {
        ids[i] = tokens[at + i];
        positions[i] = at + i;
      }
      List<Slice> slices = List.of(new Slice(sequence, 0, n));
      decoder.forward(new TokenBatch(n, ids, positions, slices, new int[0]), store);
    }
  }

  private void reserve(int sequence, int to) {
    if (!store.reserve(sequence, to)) {
      throw new IllegalStateException("no room for %d tokens".formatted(to));
    }
  }
}
