package io.shadowbatch.kernels.cuda;

import io.shadowbatch.kernels.DeviceLostException;
import io.shadowbatch.tensor.Storage;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUevent;
import jcuda.driver.JCudaDriver;

/**
 * One device and one stream, on which everything happens in order. All addresses are of the one
 * space that host and device share. Any thread may call, one at a time.
 *
 * <p>Errors: {@link OutOfMemoryError} where memory is short; {@link DeviceLostException} once the
 * device is lost, from then on at every call; else {@link IllegalStateException} with CUDA's name.
 */
final class Gpu implements AutoCloseable {
  /** How long {@link #sync} waits. */
  static final Duration PATIENCE = Duration.ofMinutes(10);

  private static final long SEGMENT_BYTES = 1 << 19;
  private static final int STREAM_NON_BLOCKING = 1;
  private static final int HOST_PORTABLE_MAPPED = 1 | 2;
  private static final int EVENT_WITHOUT_TIME = 2;

  /** Busy waiting before the thread gives way: a step's end is not to be slept through. */
  private static final long SPIN_NANOS = 2_000_000;

  private final CUdevice device;
  private final GpuInfo info;
  private final Handles.Context context = new Handles.Context();
  private final Handles.Stream stream = new Handles.Stream();
  private final Map<Long, Runnable> live = new HashMap<>();
  private final Params params = new Params();
  private final Modules modules;
  private final UploadRing uploads;
  private String lastKernel = "no kernel";
  private String failure;
  private boolean closed;

  private Gpu(int ordinal) {
    device = Driver.device(ordinal);
    info = GpuInfo.of(device);
    check(JCudaDriver.cuDevicePrimaryCtxRetain(context, device), "context of " + info.name());
    boolean opened = false;
    try {
      enter();
      check(JCudaDriver.cuStreamCreate(stream, STREAM_NON_BLOCKING), "stream");
      modules = Modules.load(info);
      uploads = new UploadRing(this, SEGMENT_BYTES);
      probe();
      opened = true;
    } finally {
      if (!opened) close();
    }
  }

  /**
   * Opens a device by its number.
   *
   * @throws UnsatisfiedLinkError if there is no driver
   * @throws IllegalStateException if there is no such device or it cannot run the kernels, with
   *     what was tried
   */
  static Gpu open(int ordinal) {
    Driver.load();
    return new Gpu(ordinal);
  }

  /** Lets the device compute something before anyone relies on it. */
  private void probe() {
    int[] in = {-3, 0, 7};
    try (Storage out = allocateHost(8L * in.length)) {
      Params p = params().address(upload(in, in.length)).address(out.address()).i64(1L << 40);
      launch("sb_probe", 1, 1, 1, 256, 0, p.i32(in.length).f32(2));
      sync();
      for (int i = 0; i < in.length; i++) {
        long got = out.bytes().getLong(8 * i);
        if (got == 2L * in[i] + (1L << 40)) continue;
        throw new IllegalStateException(
            "%s does not compute: 2 * %d + 2^40 gave %d; use --backend cpu"
                .formatted(info, in[i], got));
      }
    }
  }

  GpuInfo info() {
    return info;
  }

  int sharedBytesMax() {
    return info.sharedBytesMax();
  }

  int multiprocessors() {
    return info.multiprocessors();
  }

  /** Zeroed memory of the device. */
  synchronized Storage allocate(long bytes) {
    if (bytes < 0) throw new IllegalArgumentException("allocate: %d bytes".formatted(bytes));
    enter();
    Handles.Device memory = new Handles.Device();
    long size = Math.max(16, bytes);
    check(JCudaDriver.cuMemAlloc(memory, size), bytes, "device");
    return keep(memory.value(), bytes, null, memory, () -> JCudaDriver.cuMemFree(memory));
  }

  /** Zeroed pinned memory of the host, at one address for both sides. */
  synchronized Storage allocateHost(long bytes) {
    if (bytes < 0 || bytes > Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "allocate: %d bytes of host memory, one storage holds 0..%d; use several"
              .formatted(bytes, Integer.MAX_VALUE));
    }
    enter();
    Handles.Host memory = new Handles.Host();
    long size = Math.max(16, bytes);
    check(JCudaDriver.cuMemHostAlloc(memory, size, HOST_PORTABLE_MAPPED), bytes, "pinned host");
    Handles.Device mapped = new Handles.Device();
    check(JCudaDriver.cuMemHostGetDevicePointer(mapped, memory, 0), "address of host memory");
    Runnable free = () -> JCudaDriver.cuMemFreeHost(memory);
    if (mapped.value() != memory.value()) {
      free.run();
      throw new IllegalStateException(
          "cuda: %s has host memory at another address than the host".formatted(info.name()));
    }
    return keep(memory.value(), bytes, memory, mapped, free);
  }

  private Storage keep(
      long address, long bytes, Handles.Host host, CUdeviceptr memory, Runnable free) {
    live.put(address, free);
    Storage storage =
        new Storage(
            host == null ? null : GpuNative.view(address, bytes),
            address,
            bytes,
            () -> release(address));
    check(JCudaDriver.cuMemsetD8Async(memory, (byte) 0, Math.max(16, bytes), stream), "zeros");
    if (host != null) sync();
    return storage;
  }

  /** After what is queued, which may still use it; nothing once this is closed. */
  private synchronized void release(long address) {
    if (closed) return;
    GpuNative.enter(context.value());
    if (failure == null) sync();
    Runnable free = live.remove(address);
    if (free != null) free.run();
  }

  /** Queues a copy between any two addresses of storages of this. */
  synchronized void copy(long from, long to, long bytes) {
    ready();
    if (bytes == 0) return;
    int result = GpuNative.copy(context.value(), to, from, bytes, stream.value());
    if (result != 0) check(result, "copy of %d bytes".formatted(bytes));
  }

  /** Address on the device of a copy of a[0..count); see {@link UploadRing} for how long. */
  synchronized long upload(int[] a, int count) {
    ready();
    return uploads.upload(a, count);
  }

  /** Address on the device of a copy of a[0..count); see {@link UploadRing} for how long. */
  synchronized long upload(long[] a, int count) {
    ready();
    return uploads.upload(a, count);
  }

  /** The struct of the next launch, empty. */
  Params params() {
    return params.clear();
  }

  /**
   * Queues a kernel; nothing if the grid is empty.
   *
   * @param sharedBytes of dynamic shared memory
   */
  synchronized void launch(
      String kernel, int gridX, int gridY, int gridZ, int threads, int sharedBytes, Params p) {
    ready();
    if (gridX == 0 || gridY == 0 || gridZ == 0) return;
    Modules.Kernel k = modules.kernel(kernel, this);
    k.requireParams(p);
    if (k.mustAllow(sharedBytes)) {
      enter();
      check(
          k.allow(sharedBytes), "%d bytes of shared memory for %s".formatted(sharedBytes, kernel));
    }
    int result =
        GpuNative.launch(
            context.value(),
            k.handle(),
            gridX,
            gridY,
            gridZ,
            threads,
            sharedBytes,
            stream.value(),
            p.start(),
            p.bytes());
    lastKernel = kernel;
    if (result != 0) {
      check(
          result,
          "launch of %s, grid %d x %d x %d, %d threads, %d bytes shared, %d of parameters"
              .formatted(kernel, gridX, gridY, gridZ, threads, sharedBytes, p.bytes()));
    }
  }

  /** Queues a product of cuBLASLt, see {@link GpuNative#multiply}. */
  synchronized void multiply(long plan, long[] addresses, float beta) {
    ready();
    int status = GpuNative.multiply(context.value(), plan, addresses, 1f, beta, stream.value());
    lastKernel = "a product of cuBLASLt";
    if (status != 0) throw new IllegalStateException("cuda: cuBLASLt status " + status);
  }

  /** Waits until all that was queued is done; an error after {@link #PATIENCE}. */
  void sync() {
    sync(PATIENCE);
  }

  synchronized void sync(Duration patience) {
    ready();
    await(() -> isDone(GpuNative.query(context.value(), stream.value())), patience);
  }

  CUevent event() {
    CUevent event = new CUevent();
    check(JCudaDriver.cuEventCreate(event, EVENT_WITHOUT_TIME), "event");
    return event;
  }

  void record(CUevent event) {
    enter();
    check(JCudaDriver.cuEventRecord(event, stream), "event");
  }

  void await(CUevent event) {
    await(() -> isDone(JCudaDriver.cuEventQuery(event)), PATIENCE);
  }

  void destroy(CUevent event) {
    JCudaDriver.cuEventDestroy(event);
  }

  private boolean isDone(int result) {
    if (result == Driver.NOT_READY) return false;
    check(result, "wait");
    return true;
  }

  private void await(BooleanSupplier done, Duration patience) {
    long start = System.nanoTime();
    while (!done.getAsBoolean()) {
      long waited = System.nanoTime() - start;
      if (waited > patience.toNanos()) {
        throw new IllegalStateException(
            "cuda: the GPU has not finished in %d s; the last kernel queued is %s"
                .formatted(patience.toSeconds(), lastKernel));
      }
      if (waited < SPIN_NANOS) {
        Thread.onSpinWait();
      } else {
        LockSupport.parkNanos(50_000);
      }
    }
  }

  /** Makes the context the calling thread's, for calls that need one. */
  synchronized void enter() {
    ready();
    check(GpuNative.enter(context.value()), "context");
  }

  private void ready() {
    if (closed) throw new IllegalStateException("cuda kernels: closed");
    if (failure != null) throw new DeviceLostException(failure);
  }

  private void check(int result, long bytes, String kind) {
    if (result != Driver.OUT_OF_MEMORY) {
      check(result, "%d bytes of %s memory".formatted(bytes, kind));
      return;
    }
    long[] free = new long[1];
    long[] total = new long[1];
    JCudaDriver.cuMemGetInfo(free, total);
    throw new OutOfMemoryError(
        "%d bytes of %s memory; %s has %d MiB free of %d"
            .formatted(bytes, kind, info.name(), free[0] >> 20, total[0] >> 20));
  }

  void check(int result, String doing) {
    if (result == 0) return;
    if (Driver.isSticky(result)) {
      failure =
          ("cuda: %s at %s; the last kernel queued is %s (CUDA_LAUNCH_BLOCKING=1 finds the one"
                  + " at fault); this process cannot use the GPU any more")
              .formatted(Driver.name(result), doing, lastKernel);
      throw new DeviceLostException(failure);
    }
    String text = "cuda: %s: %s".formatted(doing, Driver.name(result));
    if (result == Driver.OUT_OF_MEMORY) throw new OutOfMemoryError(text);
    throw new IllegalStateException(text);
  }

  /** Frees all storages; they may be closed afterwards. */
  @Override
  public synchronized void close() {
    if (closed) return;
    if (GpuNative.enter(context.value()) == 0) {
      if (failure == null && stream.value() != 0) sync();
      if (uploads != null) uploads.close();
      live.values().forEach(Runnable::run);
      live.clear();
      if (modules != null) modules.close();
      JCudaDriver.cuStreamDestroy(stream);
    }
    closed = true;
    JCudaDriver.cuDevicePrimaryCtxRelease(device);
  }
}
