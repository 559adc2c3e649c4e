package io.shadowbatch.bench;

import io.shadowbatch.kernels.Activations;
import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.LogitQuery;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Times every operation of a device at the shapes of a model of 8 billion parameters (32 query
 * heads over 8 KV heads of 128, width 4096), beside the copy rate that the same run measures; a
 * JSON line for each.
 */
public final class DeviceBench {
  private static final String USAGE =
      "DeviceBench [--backend cuda] [--shapes 8b|tiny] [--parts memory,products,rows,attention,"
          + "shadow]";

  /**
   * Widths of a model, and how much of it is computed.
   *
   * @param copyBytes of the copies that measure memory
   * @param tokens of a prefill step
   * @param context of decoding sequences
   * @param sequences that decode together
   */
  record Shapes(
      int hidden,
      int queryHeads,
      int kvHeads,
      int headDim,
      int feedForward,
      int vocabulary,
      long copyBytes,
      int tokens,
      int context,
      int sequences) {
    static Shapes of(String name) {
      return switch (name) {
        case "8b" -> new Shapes(4096, 32, 8, 128, 14336, 128256, 1L << 30, 2048, 8192, 64);
        // so that a test can run all of it on emulated threads
        case "tiny" -> new Shapes(64, 4, 2, 32, 128, 512, 1L << 16, 64, 256, 4);
        default -> throw new IllegalArgumentException("shapes '" + name + "'; " + USAGE);
      };
    }
  }

  private final Kernels kernels;
  private final DeviceRig rig;
  private final Shapes shapes;

  private DeviceBench(Kernels kernels, DeviceRig rig, Shapes shapes) {
    this.kernels = kernels;
    this.rig = rig;
    this.shapes = shapes;
  }

  public static void main(String[] args) {
    Map<String, String> options = new HashMap<>();
    for (int i = 0; i + 1 < args.length; i += 2) options.put(args[i], args[i + 1]);
    if (args.length % 2 != 0) throw new IllegalArgumentException(USAGE);
    Shapes shapes = Shapes.of(options.getOrDefault("--shapes", "8b"));
    List<String> parts =
        List.of(
            options.getOrDefault("--parts", "memory,products,rows,attention,shadow").split(","));
    int calls = shapes.hidden > 1000 ? 200 : 2;
    try (Kernels kernels = Backend.open(options.getOrDefault("--backend", "cuda"), 2);
        DeviceRig rig = new DeviceRig(kernels, calls)) {
      System.out.printf("{\"name\": \"device\", \"device\": \"%s\"}%n", kernels.describe());
      new DeviceBench(kernels, rig, shapes).run(parts);
    }
  }

  private void run(List<String> parts) {
    double rate = rig.copyRate(shapes.copyBytes);
    System.out.printf(
        Locale.ROOT, "{\"name\": \"copy\", \"gigabytes_per_second\": %.1f}%n", rate / 1e9);
    rig.free();
    if (parts.contains("memory")) links();
    if (parts.contains("products")) products();
    if (parts.contains("rows")) rows();
    DeviceAttention attention = new DeviceAttention(kernels, rig, shapes);
    if (parts.contains("attention")) attention.dense();
    if (parts.contains("shadow")) attention.shadow();
  }

  private void links() {
    int bytes = (int) Math.min(shapes.copyBytes, 256L << 20);
    Storage host = rig.allocateHost(bytes);
    Storage device = rig.allocate(bytes);
    Tensor h = new Tensor(host, 0, DType.U8, 1, bytes, bytes);
    Tensor d = new Tensor(device, 0, DType.U8, 1, bytes, bytes);
    rig.report("copy from host", rig.seconds(() -> kernels.copy(h, d)), bytes, 0);
    rig.report("copy to host", rig.seconds(() -> kernels.copy(d, h)), bytes, 0);
    rig.free();
  }

  private void products() {
    int kv = shapes.kvHeads * shapes.headDim;
    int heads = shapes.queryHeads * shapes.headDim;
    product("qkv", heads + 2 * kv, shapes.hidden);
    product("output", shapes.hidden, heads);
    product("gate and up", 2 * shapes.feedForward, shapes.hidden);
    product("down", shapes.hidden, shapes.feedForward);
    product("head", shapes.vocabulary, shapes.hidden);
  }

  private void product(String name, int n, int k) {
    PackedMatrix w = rig.weights(n, k);
    for (int m : new int[] {1, 16, 64, 256, 2048}) {
      if (m > shapes.tokens || (long) m * n > 1L << 28) continue;
      Activations x = kernels.activations(rig.allocate(kernels.activationBytes(m, k)), m, k);
      kernels.quantize(rig.floats(m, k), x);
      Tensor out = Tensor.of(rig.allocate(4L * m * n), DType.F32, m, n);
      double seconds = rig.seconds(() -> kernels.matmul(x, w, null, out, Kernels.Store.SET));
      if (!(Math.abs(rig.first(out)) < 1e6)) throw new IllegalStateException(name + ": no numbers");
      double bytes = 2.0 * n * k + 2.0 * m * k + 4.0 * m * n;
      rig.report(name + " of " + m + " rows", seconds, bytes, 2.0 * m * n * k);
    }
    rig.free();
  }

  private void rows() {
    int n = shapes.tokens;
    int d = shapes.hidden;
    int f = shapes.feedForward;
    Tensor x = rig.floats(n, d);
    Tensor weight = rig.floats(1, d);
    Tensor gateUp = rig.floats(n, 2 * f);
    Tensor out = rig.floats(n, d);
    Activations narrow = kernels.activations(rig.allocate(kernels.activationBytes(n, d)), n, d);
    Activations wide = kernels.activations(rig.allocate(kernels.activationBytes(n, f)), n, f);
    rig.report(
        "norm", rig.seconds(() -> kernels.rmsNorm(x, weight, 1e-5f, narrow)), 6.0 * n * d, 0);
    rig.report("round", rig.seconds(() -> kernels.quantize(x, narrow)), 6.0 * n * d, 0);
    rig.report("swiglu", rig.seconds(() -> kernels.swiGlu(gateUp, wide)), 10.0 * n * f, 0);
    int[] ids = new int[n];
    for (int i = 0; i < n; i++) ids[i] = i;
    rig.report("gather", rig.seconds(() -> kernels.gatherRows(x, ids, n, out)), 8.0 * n * d, 0);
    int logitRows = Math.min(64, n);
    Tensor logits = rig.floats(logitRows, shapes.vocabulary);
    double bytes = 4.0 * logitRows * shapes.vocabulary;
    rig.report("argmax", rig.seconds(() -> kernels.argmax(logits, new int[logitRows])), bytes, 0);
    List<LogitQuery> queries = new ArrayList<>();
    for (int i = 0; i < logitRows; i++) {
      queries.add(new LogitQuery(i, 1, 40, LogitQuery.Edits.NONE));
    }
    rig.report("top logits", rig.seconds(() -> kernels.topLogits(logits, queries)), bytes, 0);
    rig.free();
  }
}
