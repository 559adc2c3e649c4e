package io.shadowbatch.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.HostCopy;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.kernels.PackedMatrix;
import io.shadowbatch.tensor.DType;
import io.shadowbatch.tensor.Storage;
import io.shadowbatch.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The GPU as a backend: by its name, its memory and what it does not do. */
class CudaKernelsTest {
  private Kernels kernels;

  @BeforeEach
  void open() {
    StandIn.require();
    kernels = Backend.open("cuda", 1);
  }

  @AfterEach
  void close() {
    kernels.close();
  }

  @Test
  void itsNameSaysDeviceAndDriver() {
    assertThat(kernels.describe())
        .matches("cuda \\(.+, sm_\\d+, driver \\d+\\.\\d+, \\d+ multi.+\\)");
    try (Kernels same = Backend.open("cuda:0", 1)) {
      assertThat(same.describe()).isEqualTo(kernels.describe());
    }
    assertThatThrownBy(() -> Backend.open("cuda:97", 1)).hasMessageContaining("CUDA device 97");
  }

  @Test
  void weightsAndOperandsAreOfSixteenBits() {
    assertThat(kernels.weightForm()).isEqualTo(PackedMatrix.Form.BF16);
    assertThat(kernels.activationBytes(3, 32)).isEqualTo(192);
    try (Storage s = kernels.allocate(192)) {
      assertThat(kernels.activations(s, 3, 32).q().dtype()).isEqualTo(DType.BF16);
    }
  }

  /** Goal: tensors of any strides arrive whole, and at once where the host looks. */
  @Test
  void copiesKeepRowsApart() {
    try (Storage host = kernels.allocateHost(4 * 5 * 8);
        Storage device = kernels.allocate(4 * 5 * 16);
        HostCopy seen = new HostCopy(kernels)) {
      Tensor from = new Tensor(host, 4, DType.F32, 5, 6, 8);
      Tensor to = new Tensor(device, 8, DType.F32, 5, 6, 16);
      for (int i = 0; i < 5; i++) for (int j = 0; j < 6; j++) from.setF32(i, j, 10 * i + j);
      kernels.copy(from, to);
      Tensor wide = seen.of(new Tensor(device, 0, DType.F32, 5, 16, 16));
      for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 16; j++) {
          boolean inside = j >= 2 && j < 8;
          assertThat(wide.f32(i, j)).isEqualTo(inside ? 10 * i + j - 2 : 0);
        }
      }
      kernels.copy(to, from);
      assertThat(from.f32(4, 5)).isEqualTo(45);
      assertThatThrownBy(() -> kernels.copy(from, to.rows(0, 4)))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  /** Goal: who writes host memory again after finish does not change what was copied from it. */
  @Test
  void finishedCopiesHaveLeftTheirSource() {
    int n = 1 << 16;
    try (Storage host = kernels.allocateHost(n);
        Storage device = kernels.allocate(8L * n);
        HostCopy seen = new HostCopy(kernels)) {
      for (int i = 0; i < 8; i++) {
        host.bytes().putInt(n - 4, i + 1);
        Tensor to = new Tensor(device, (long) i * n, DType.U8, 1, n, n);
        kernels.copy(Tensor.of(host, DType.U8, 1, n), to);
        kernels.finish();
      }
      Tensor all = seen.of(Tensor.of(device, DType.I32, 8, n / 4));
      for (int i = 0; i < 8; i++) assertThat(all.i32(i, n / 4 - 1)).isEqualTo(i + 1);
    }
  }

  @Test
  void filesAreNotMemoryOfTheGpu() {
    assertThatThrownBy(() -> kernels.map(Path.of("w.gguf"), 0, 4096))
        .isInstanceOf(UnsupportedOperationException.class)
        .hasMessageContaining("w.gguf");
    assertThatThrownBy(() -> kernels.spill(Path.of("folder"), 4096))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("pinned host memory");
  }
}
