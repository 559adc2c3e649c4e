package io.shadowbatch.model;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.golden.RealModels;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.kernels.ReferenceKernels;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import io.shadowbatch.weights.BlockCodec;
import io.shadowbatch.weights.GgufFile;
import io.shadowbatch.weights.GroupRow;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.RowDecoder;
import io.shadowbatch.weights.TensorInfo;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Two published models are read as their makers describe them. */
class RealModelTest {
  @TempDir Path folder;

  private final ReferenceKernels int8 = new ReferenceKernels(ReferenceKernels.Form.INT8);

  private PackOptions options() {
    return new PackOptions(folder, 2, Duration.ofMinutes(1));
  }

  private static Map<QuantType, Integer> types(Path path) throws IOException {
    Map<QuantType, Integer> counts = new TreeMap<>();
    try (GgufFile file = GgufFile.open(path)) {
      file.tensors().forEach(t -> counts.merge(t.type(), 1, Integer::sum));
    }
    return counts;
  }

  @Test
  void smolLm2HasItsPublishedShape() throws IOException {
    Path path = RealModels.find(RealModels.SMOLLM2);
    assertThat(types(path))
        .isEqualTo(Map.of(QuantType.F32, 61, QuantType.Q4_1, 210, QuantType.Q8_0, 1));
    ModelHeader header = Model.header(path);
    ModelSpec spec = header.spec();
    assertThat(spec.family()).isEqualTo("llama");
    assertThat(spec.layers()).isEqualTo(30);
    assertThat(spec.hidden()).isEqualTo(576);
    assertThat(spec.queryHeads()).isEqualTo(9);
    assertThat(spec.kvHeads()).isEqualTo(3);
    assertThat(spec.headDim()).isEqualTo(64);
    assertThat(spec.feedForward()).isEqualTo(1536);
    assertThat(spec.vocabulary()).isEqualTo(49152);
    assertThat(spec.contextLength()).isEqualTo(8192);
    assertThat(spec.rope()).isEqualTo(new RopeSpec(100000, 64, new RopeScaling.None()));
    assertThat(spec.tiedEmbeddings()).isTrue();
    assertThat(spec.qkvBias()).isFalse();
    assertThat(spec.text().eosIds()).containsExactly(2);
    assertThat(spec.text().bosId()).isEqualTo(1);
    assertThat(spec.text().addBos()).isFalse();
    assertThat(spec.text().chatTemplate()).contains("<|im_start|>");
    assertThat(header.vocabulary().model()).isEqualTo("gpt2");
    assertThat(header.vocabulary().pre()).isEqualTo("smollm");
    assertThat(header.vocabulary().tokens()).hasSize(49152);
    assertThat(Model.fingerprint(path, options()))
        .isEqualTo("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53");
  }

  @Test
  void qwenCoderHasItsPublishedShape() throws IOException {
    Path path = RealModels.find(RealModels.QWEN);
    assertThat(types(path))
        .isEqualTo(
            Map.of(
                QuantType.F32, 121,
                QuantType.Q4_K, 12,
                QuantType.Q5_0, 133,
                QuantType.Q6_K, 12,
                QuantType.Q8_0, 13));
    ModelSpec spec = Model.spec(path);
    assertThat(spec.family()).isEqualTo("qwen2");
    assertThat(spec.layers()).isEqualTo(24);
    assertThat(spec.hidden()).isEqualTo(896);
    assertThat(spec.queryHeads()).isEqualTo(14);
    assertThat(spec.kvHeads()).isEqualTo(2);
    assertThat(spec.headDim()).isEqualTo(64);
    assertThat(spec.feedForward()).isEqualTo(4864);
    assertThat(spec.contextLength()).isEqualTo(32768);
    assertThat(spec.rope().base()).isEqualTo(1e6);
    assertThat(spec.tiedEmbeddings()).isFalse();
    assertThat(spec.qkvBias()).isTrue();
    assertThat(spec.text().addBos()).isFalse();
  }

  /** Every tensor of both files, a few rows each, against the formulas of the formats. */
  @Test
  void rowsAreDecodedAsTheFormatSays() throws IOException {
    for (String name : new String[] {RealModels.SMOLLM2, RealModels.QWEN}) {
      try (GgufFile file = GgufFile.open(RealModels.find(name))) {
        for (TensorInfo tensor : file.tensors()) {
          long step = Math.max(1, tensor.rows() / 3);
          for (long row = 0; row < tensor.rows(); row += step) checkRow(file, tensor, row);
        }
      }
    }
  }

  private static void checkRow(GgufFile file, TensorInfo tensor, long row) throws IOException {
    int columns = (int) tensor.columns();
    byte[] raw = new byte[(int) tensor.rowBytes()];
    float[] found = new float[columns];
    file.readRows(tensor, row, 1, raw, 0);
    RowDecoder.floats(tensor.type(), raw, 0, columns, new GroupRow(columns), found, 0);
    for (int i = 0; i < columns; i++) {
      float expected = BlockCodec.element(tensor.type(), raw, i);
      if (found[i] != expected) {
        assertThat(found[i]).as("%s[%d,%d]", tensor.name(), row, i).isEqualTo(expected);
      }
    }
  }

  /** SmolLM2 has only types that go into the packed form exactly. */
  @Test
  void packedSmolLm2EqualsItsFloatForm() throws IOException {
    Path path = RealModels.find(RealModels.SMOLLM2);
    ReferenceKernels f32 = new ReferenceKernels(ReferenceKernels.Form.FLOAT32);
    try (Model packed = Model.open(path, int8, options());
        Model floats = Model.open(path, f32, options())) {
      checkRows(f32, packed.weights().embedding(), floats.weights().embedding());
      for (int i = 0; i < packed.spec().layers(); i++) {
        DecoderWeights.Layer a = packed.weights().layers().get(i);
        DecoderWeights.Layer b = floats.weights().layers().get(i);
        checkRows(f32, a.qkv(), b.qkv());
        checkRows(f32, a.output(), b.output());
        checkRows(f32, a.gateUp(), b.gateUp());
        checkRows(f32, a.down(), b.down());
      }
    }
  }

  private static void checkRows(ReferenceKernels f32, PackedMatrix packed, PackedMatrix floats) {
    int[] ids = new int[40];
    for (int i = 0; i < ids.length; i++) ids[i] = (int) ((long) i * (packed.rows() - 1) / 39);
    float[][] rows = new float[2][packed.columns()];
    Storage storage = f32.allocate(4L * ids.length * packed.columns());
    Storage other = f32.allocate(4L * ids.length * packed.columns());
    Tensor a = Tensor.of(storage, DType.F32, ids.length, packed.columns());
    Tensor b = Tensor.of(other, DType.F32, ids.length, packed.columns());
    f32.embed(packed, ids, ids.length, a);
    f32.embed(floats, ids, ids.length, b);
    for (int i = 0; i < ids.length; i++) {
      a.readRow(i, rows[0]);
      b.readRow(i, rows[1]);
      for (int k = 0; k < rows[0].length; k++) assertThat(rows[0][k] == rows[1][k]).isTrue();
    }
  }

  @Test
  void realModelsOpenPackedAndReopenFast() throws IOException {
    for (String name : new String[] {RealModels.SMOLLM2, RealModels.QWEN}) {
      Path path = RealModels.find(name);
      long start = System.nanoTime();
      Model.fingerprint(path, options());
      long hashed = System.nanoTime();
      try (Model model = Model.open(path, int8, options())) {
        long packed = System.nanoTime();
        assertThat(model.weights().layers()).hasSize(model.spec().layers());
        assertThat(model.weights().head() == model.weights().embedding())
            .isEqualTo(model.spec().tiedEmbeddings());
        try (Model again = Model.open(path, int8, options())) {
          PackedMatrix qkv = again.weights().layers().get(0).qkv();
          assertThat(qkv.rows()).isEqualTo(model.spec().queryWidth() + 2 * model.spec().kvWidth());
        }
        System.out.printf(
            "%s: hash %d ms, pack with 2 threads %d ms, reopen %d ms, %d MB%n",
            name,
            (hashed - start) / 1_000_000,
            (packed - hashed) / 1_000_000,
            (System.nanoTime() - packed) / 1_000_000,
            model.weights().byteSize() / 1_000_000);
      }
    }
  }
}
