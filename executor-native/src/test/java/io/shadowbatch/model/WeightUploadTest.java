package io.shadowbatch.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.kernels.ReferenceKernels;
import io.shadowbatch.tensor.Bf16;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.weights.BlockCodec;
import io.shadowbatch.weights.GgufWriter;
import io.shadowbatch.weights.ModelFileException;
import io.shadowbatch.weights.QuantType;
import io.shadowbatch.weights.TinyModels;
import io.shadowbatch.weights.TinyVocabulary;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Weights for backends that multiply bfloat16 are the floats' nearest, whatever the threads. */
class WeightUploadTest {
  @TempDir Path folder;

  private final ReferenceKernels kernels = new ReferenceKernels(ReferenceKernels.Form.FLOAT32);

  private DecoderWeights load(Path path, int threads) throws IOException {
    try (ModelSource source = Families.open(path)) {
      return WeightUpload.load(source.file(), source.plan(), kernels, threads);
    }
  }

  private DecoderWeights floats(Path path) throws IOException {
    try (ModelSource source = Families.open(path)) {
      return DecoderWeights.loadFloat32(source.file(), source.plan(), kernels);
    }
  }

  @Test
  void matricesAreTheNearestAndVectorsExact() throws IOException {
    for (Family family : Family.values()) {
      Path path = TinyModels.write(folder.resolve(family + ".gguf"), family, 5, QuantType.Q4_K);
      DecoderWeights want = floats(path);
      for (int threads : new int[] {1, 3}) {
        DecoderWeights got = load(path, threads);
        assertThat(got.storages()).hasSameSizeAs(want.storages());
        for (int i = 0; i < want.storages().size(); i++) {
          compare(want.storages().get(i), got.storages().get(i));
        }
        assertThat(got.byteSize() - vectorBytes(got))
            .isEqualTo(2 * Model.spec(path).matrixNumbers());
        PackedMatrix qkv = got.layers().get(1).qkv();
        assertThat(qkv.form()).isEqualTo(PackedMatrix.Form.BF16);
        assertThat(qkv.columns()).isEqualTo(want.layers().get(1).qkv().columns());
        assertThat(got.head() == got.embedding()).isEqualTo(TinyModels.tied(family));
        got.close();
      }
      want.close();
    }
  }

  private static long vectorBytes(DecoderWeights weights) {
    long columns = weights.outputNorm().columns();
    for (DecoderWeights.Layer l : weights.layers()) {
      columns += l.attentionNorm().columns() + l.feedForwardNorm().columns();
      if (l.qkvBias() != null) columns += l.qkvBias().columns();
      if (l.qNorm() != null) columns += l.qNorm().columns() + l.kNorm().columns();
    }
    return 4 * columns;
  }

  private static void compare(Storage want, Storage got) {
    if (got.byteSize() == want.byteSize()) {
      assertThat(got.bytes()).isEqualTo(want.bytes());
      return;
    }
    assertThat(2 * got.byteSize()).isEqualTo(want.byteSize());
    for (int i = 0; i < got.byteSize() / 2; i++) {
      assertThat(got.bytes().getShort(2 * i)).isEqualTo(Bf16.of(want.bytes().getFloat(4 * i)));
    }
  }

  /** Ties go to the even; 1 + 2^-8 and 1 + 3 * 2^-8 lie half way. */
  @Test
  void roundingGoesToTheNearest() {
    List<Float> from = List.of(1f, 1.00390625f, 1.01171875f, -1.0039064f, 0f, -0f, 3.4e38f);
    List<Float> to = List.of(1f, 1f, 1.015625f, -1.0078125f, 0f, -0f, Float.POSITIVE_INFINITY);
    for (int i = 0; i < from.size(); i++) {
      assertThat(Bf16.toFloat(Bf16.of(from.get(i)))).isEqualTo(to.get(i));
    }
    assertThat(Bf16.toFloat(Bf16.of(Float.NaN))).isNaN();
  }

  @Test
  void aWeightThatIsNotFiniteIsNamedWhicheverThreadMeetsIt() throws IOException {
    float[] values = new float[TinyVocabulary.SIZE * 64];
    values[64 * 77 + 5] = Float.NaN;
    GgufWriter writer = TinyModels.gguf(Family.LLAMA, 1).removeTensor("token_embd.weight");
    writer.tensor(
        "token_embd.weight",
        QuantType.F32,
        BlockCodec.quantise(QuantType.F32, values),
        TinyVocabulary.SIZE,
        64);
    Path path = writer.write(folder.resolve("bad.gguf"));
    for (int threads : new int[] {1, 4}) {
      assertThatThrownBy(() -> load(path, threads))
          .isInstanceOf(ModelFileException.class)
          .hasMessageContaining("'token_embd.weight' holds an infinite number or NaN in row 77");
    }
  }
}
