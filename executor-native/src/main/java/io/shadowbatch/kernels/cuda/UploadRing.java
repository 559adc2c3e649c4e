package io.shadowbatch.kernels.cuda;

import io.shadowbatch.tensor.Storage;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import jcuda.driver.CUevent;

/**
 * Small arrays on their way to the device: written to pinned memory, from there copied in the order
 * of the stream to the same place of a buffer on the device. Both are rings of {@link #SEGMENTS}
 * segments. The host waits before it writes a segment again until the copies out of it are done; on
 * the device, order alone keeps what kernels before still read.
 *
 * <p>An array stays valid for kernels that are launched before {@code SEGMENTS - 1} segments more
 * have been filled: far longer than an operation needs.
 */
final class UploadRing implements AutoCloseable {
  static final int SEGMENTS = 8;
  private static final int ALIGNMENT = 16;
  private static final long SEGMENT_BYTES_MAX = 1L << 27;

  private final Gpu gpu;
  private final CUevent[] fences = new CUevent[SEGMENTS];
  private final List<Storage> storages = new ArrayList<>();
  private Storage device;
  private ByteBuffer host;
  private long hostAddress;
  private long segmentBytes;
  private int segment;
  private long used;

  UploadRing(Gpu gpu, long segmentBytes) {
    this.gpu = gpu;
    for (int i = 0; i < SEGMENTS; i++) fences[i] = gpu.event();
    open(segmentBytes);
  }

  private void open(long bytes) {
    Storage pinned = gpu.allocateHost(SEGMENTS * bytes);
    storages.add(pinned);
    device = gpu.allocate(SEGMENTS * bytes);
    storages.add(device);
    host = pinned.bytes().order(ByteOrder.nativeOrder());
    hostAddress = pinned.address();
    segmentBytes = bytes;
    segment = 0;
    used = 0;
  }

  long upload(int[] a, int count) {
    int at = room(4L * count);
    host.slice(at, 4 * count).order(ByteOrder.nativeOrder()).asIntBuffer().put(a, 0, count);
    return send(at, 4L * count);
  }

  long upload(long[] a, int count) {
    int at = room(8L * count);
    host.slice(at, 8 * count).order(ByteOrder.nativeOrder()).asLongBuffer().put(a, 0, count);
    return send(at, 8L * count);
  }

  private long send(int at, long bytes) {
    long to = device.address() + at;
    if (bytes > 0) gpu.copy(hostAddress + at, to, bytes);
    return to;
  }

  /** Offset of room for that many bytes, which no copy on its way reads. */
  private int room(long bytes) {
    long needed = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (needed > segmentBytes) grow(needed);
    if (used + needed > segmentBytes) {
      gpu.record(fences[segment]);
      segment = (segment + 1) % SEGMENTS;
      gpu.await(fences[segment]);
      used = 0;
    }
    long at = segment * segmentBytes + used;
    used += needed;
    return Math.toIntExact(at);
  }

  /** The old ring is kept, as its arrays may be those of the operation that asks for more. */
  private void grow(long needed) {
    if (needed > SEGMENT_BYTES_MAX) {
      throw new IllegalArgumentException(
          "cuda: an array of %d bytes for one operation, at most %d; use smaller steps"
              .formatted(needed, SEGMENT_BYTES_MAX));
    }
    open(Math.min(SEGMENT_BYTES_MAX, 2 * Long.highestOneBit(needed)));
  }

  @Override
  public void close() {
    for (CUevent fence : fences) gpu.destroy(fence);
    for (Storage storage : storages) storage.close();
  }
}
