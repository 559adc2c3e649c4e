package io.shadowbatch.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.shadowbatch.kernels.DeviceLostException;
import io.shadowbatch.tensor.Storage;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Memory, copies, uploads, launches and errors of a device. */
class GpuTest {
  private static final long SEED = 11;

  private Gpu gpu;

  @BeforeEach
  void open() {
    gpu = StandIn.open();
  }

  @AfterEach
  void close() {
    if (!StandIn.real()) StandIn.set("FAIL", "");
    if (!StandIn.real()) StandIn.set("DEVICE_MB", "1024");
    gpu.close();
  }

  /** out[i] = scale * in[i] + add. */
  private void probe(Gpu on, long in, long out, int count, float scale, long add) {
    Params p = on.params().address(in).address(out).i64(add).i32(count).f32(scale);
    on.launch("sb_probe", (count + 255) / 256, 1, 1, 256, 0, p);
  }

  @Test
  void aDeviceSaysWhatItIs() {
    assertThat(gpu.info().toString()).contains("sm_", "driver ", " multiprocessors");
    assertThat(gpu.multiprocessors()).isPositive();
    assertThat(gpu.sharedBytesMax()).isGreaterThanOrEqualTo(96 << 10);
  }

  @Test
  void memoryBeginsAsZerosAndOnlyHostMemoryCanBeSeen() {
    try (Storage device = gpu.allocate(1001);
        Storage host = gpu.allocateHost(1001);
        Storage seen = gpu.allocateHost(1001);
        Storage none = gpu.allocate(0)) {
      for (int i = 0; i < 1001; i++) seen.bytes().put(i, (byte) 7);
      gpu.copy(device.address(), seen.address(), 1001);
      gpu.sync();
      assertThat(device.bytes()).isNull();
      assertThat(none.byteSize()).isZero();
      for (int i = 0; i < 1001; i++) assertThat(host.bytes().get(i)).isZero();
      for (int i = 0; i < 1001; i++) assertThat(seen.bytes().get(i)).isZero();
    }
  }

  @Test
  void copiesGoInAllDirections() {
    int n = 5003;
    byte[] data = new byte[n];
    System.out.println("seed " + SEED);
    new Random(SEED).nextBytes(data);
    try (Storage host = gpu.allocateHost(n);
        Storage host2 = gpu.allocateHost(n);
        Storage device = gpu.allocate(n);
        Storage device2 = gpu.allocate(n);
        Storage back = gpu.allocateHost(n)) {
      host.bytes().put(0, data);
      gpu.copy(host.address(), host2.address(), n);
      gpu.copy(host2.address(), device.address(), n);
      // A piece of it to a place that is not aligned.
      gpu.copy(device.address() + 1, device2.address() + 2, n - 2);
      gpu.copy(device2.address(), back.address(), n);
      gpu.sync();
      byte[] got = new byte[n];
      back.bytes().get(0, got);
      assertThat(got[0]).isZero();
      assertThat(got[1]).isZero();
      for (int i = 2; i < n; i++) assertThat(got[i]).isEqualTo(data[i - 1]);
    }
  }

  /** Goal: no array is written over before the copy out of it is done, however often it wraps. */
  @Test
  void uploadsStayWhatTheyWereUntilKernelsHaveReadThem() {
    int count = 60_000;
    int rounds = 50;
    Random random = new Random(SEED);
    System.out.println("seed " + SEED);
    try (Storage out = gpu.allocateHost(8L * 2 * rounds * 300)) {
      for (int r = 0; r < rounds; r++) {
        int[] a = new int[count];
        Arrays.fill(a, r);
        long[] b = {random.nextInt(1000) | 5L << 32, r};
        long first = gpu.upload(a, count);
        long second = gpu.upload(b, 2);
        assertThat(first % 16).isZero();
        assertThat(second % 16).isZero();
        probe(gpu, first + 4L * (count - 300), out.address() + 8L * 600 * r, 300, 1, 0);
        probe(gpu, second, out.address() + 8L * (600 * r + 300), 4, 1, 0);
        b[1] = -1;
        a[count - 1] = -1;
      }
      gpu.sync();
      for (int r = 0; r < rounds; r++) {
        for (int i = 0; i < 300; i++) {
          assertThat(out.bytes().getLong(8 * (600 * r + i))).as("round %d", r).isEqualTo(r);
        }
        assertThat(out.bytes().getLong(8 * (600 * r + 301))).isEqualTo(5);
        assertThat(out.bytes().getLong(8 * (600 * r + 302))).isEqualTo(r);
      }
    }
  }

  @Test
  void anUploadLargerThanTheRingLeavesEarlierOnesAlone() {
    int[] small = {1, 2, 3};
    int[] large = new int[3 << 20];
    large[large.length - 1] = 9;
    try (Storage out = gpu.allocateHost(8 * 4)) {
      long first = gpu.upload(small, 3);
      long second = gpu.upload(large, large.length);
      probe(gpu, first, out.address(), 3, 1, 0);
      probe(gpu, second + 4L * (large.length - 1), out.address() + 24, 1, 1, 0);
      gpu.sync();
      assertThat(out.bytes().getLong(16)).isEqualTo(3);
      assertThat(out.bytes().getLong(24)).isEqualTo(9);
    }
    assertThatThrownBy(() -> gpu.upload(new int[40 << 20], 40 << 20))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("smaller steps");
  }

  @Test
  void memoryGoesWhenTheWorkOnItIsDone() {
    int n = 1 << 20;
    try (Storage out = gpu.allocateHost(8 * 300)) {
      Storage host = gpu.allocateHost(n);
      Storage device = gpu.allocate(n);
      host.bytes().putInt(n - 4, 77);
      gpu.copy(host.address(), device.address(), n);
      host.close();
      probe(gpu, device.address() + n - 1200, out.address(), 300, 1, 0);
      device.close();
      gpu.sync();
      assertThat(out.bytes().getLong(8 * 299)).isEqualTo(77);
    }
  }

  @Test
  void memoryThatIsShortIsAnOutOfMemoryErrorAndNotTheEnd() {
    StandIn.requireFaults();
    StandIn.set("DEVICE_MB", "64");
    assertThatThrownBy(() -> gpu.allocate(100 << 20))
        .isInstanceOf(OutOfMemoryError.class)
        .hasMessageContaining("104857600 bytes of device memory")
        .hasMessageContaining("MiB free of 64");
    StandIn.set("FAIL", "hostalloc:1");
    assertThatThrownBy(() -> gpu.allocateHost(100))
        .isInstanceOf(OutOfMemoryError.class)
        .hasMessageContaining("pinned host");
    StandIn.set("DEVICE_MB", "1024");
    gpu.allocate(100 << 20).close();
    assertThatThrownBy(() -> gpu.allocateHost(1L << 31)).hasMessageContaining("use several");
    assertThatThrownBy(() -> gpu.allocate(-1)).hasMessageContaining("-1 bytes");
  }

  @Test
  void freedMemoryCanBeHadAgain() {
    StandIn.requireFaults();
    StandIn.set("DEVICE_MB", "64");
    for (int i = 0; i < 10; i++) gpu.allocate(40 << 20).close();
  }

  @Test
  void aLostDeviceNamesTheKernelAndFailsFromThenOn() {
    StandIn.requireFaults();
    try (Storage out = gpu.allocate(800)) {
      long in = gpu.upload(new int[100], 100);
      StandIn.set("FAIL", "launch:1");
      probe(gpu, in, out.address(), 100, 1, 0);
      assertThatThrownBy(() -> gpu.sync())
          .isInstanceOf(DeviceLostException.class)
          .hasMessageContaining("CUDA_ERROR_ILLEGAL_ADDRESS (700)")
          .hasMessageContaining("sb_probe");
      for (Runnable call :
          List.<Runnable>of(
              gpu::sync,
              () -> gpu.allocate(1),
              () -> gpu.allocateHost(1),
              () -> gpu.copy(in, in, 1),
              () -> gpu.upload(new int[1], 1),
              () -> probe(gpu, in, out.address(), 1, 1, 0))) {
        assertThatThrownBy(call::run)
            .isInstanceOf(DeviceLostException.class)
            .hasMessageContaining("700");
      }
      // Whatever the driver says by now: what lies on the device is not to be trusted.
      StandIn.set("FAIL", "");
      assertThatThrownBy(gpu::sync).isInstanceOf(DeviceLostException.class);
    }
  }

  @Test
  void launchesThatCannotBeAreRefused() {
    assertThatThrownBy(() -> gpu.launch("sb_none", 1, 1, 1, 32, 0, gpu.params()))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("no kernel 'sb_none'");
    assertThatThrownBy(() -> gpu.launch("sb_probe", 1, 1, 1, 32, 0, gpu.params().i32(1)))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("sb_probe");
    Params p = gpu.params().address(0).address(0).i64(0).i32(0).f32(0);
    assertThatThrownBy(() -> gpu.launch("sb_probe", 1, 1, 1, 32, 1 << 20, p))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("1048576 bytes of shared memory for sb_probe");
    gpu.launch("sb_probe", 1, 1, 1, 32, gpu.sharedBytesMax(), p);
    gpu.launch("sb_probe", 1, 0, 1, 32, 0, p);
    gpu.sync();
  }

  @Test
  void fieldsLieAsInC() {
    assertThat(gpu.params().bytes()).isZero();
    assertThat(gpu.params().i32(1).bytes()).isEqualTo(4);
    assertThat(gpu.params().i32(1).address(2).f32(3).bytes()).isEqualTo(24);
    assertThat(gpu.params().i64(1).i32(2).f32(3).bytes()).isEqualTo(16);
  }

  @Test
  void anyThreadMayCall() throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(2);
    try (Storage out = gpu.allocateHost(8 * 64)) {
      List<Future<?>> calls = new ArrayList<>();
      for (int i = 0; i < 64; i++) {
        int at = i;
        calls.add(
            threads.submit(
                () -> {
                  // The struct between params and launch is one caller's at a time.
                  synchronized (gpu) {
                    long in = gpu.upload(new int[] {at}, 1);
                    probe(gpu, in, out.address() + 8L * at, 1, 1, 0);
                  }
                  gpu.allocate(64).close();
                }));
      }
      for (Future<?> call : calls) call.get();
      gpu.sync();
      for (int i = 0; i < 64; i++) assertThat(out.bytes().getLong(8 * i)).isEqualTo(i);
    } finally {
      threads.shutdown();
    }
  }

  @Test
  void waitingEnds() {
    try (Storage out = gpu.allocateHost(800)) {
      long in = gpu.upload(new int[100], 100);
      probe(gpu, in, out.address(), 100, 1, 0);
      assertThatThrownBy(() -> gpu.sync(Duration.ZERO))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("has not finished in 0 s")
          .hasMessageContaining("sb_probe");
    }
  }

  @Test
  void closingTwiceIsClosingOnceAndStoragesMayComeLater() {
    Gpu other = Gpu.open(0);
    Storage late = other.allocate(100);
    Storage lateHost = other.allocateHost(100);
    other.close();
    other.close();
    late.close();
    lateHost.close();
    assertThatThrownBy(other::sync).hasMessage("cuda kernels: closed");
    assertThatThrownBy(() -> other.allocate(1)).hasMessage("cuda kernels: closed");
    ByteBuffer bytes = lateHost.bytes();
    assertThat(bytes.capacity()).isEqualTo(100);
    gpu.sync();
  }

  @Test
  void aDeviceThatIsNotThereIsRefused() {
    assertThatThrownBy(() -> Gpu.open(97))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("CUDA device 97 asked,")
        .hasMessageContaining("CUDA_VISIBLE_DEVICES");
    assertThatThrownBy(() -> Gpu.open(-1)).hasMessageContaining("device -1 asked");
  }
}
