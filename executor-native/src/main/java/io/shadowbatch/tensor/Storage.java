package io.shadowbatch.tensor;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * A range of memory that a backend allocated or mapped. Does not know what is stored in it.
 *
 * <p>{@code bytes} is null for memory that the host cannot read. {@code address} is 0 where the
 * backend needs none (the Java reference).
 */
public final class Storage implements AutoCloseable {
  private final ByteBuffer bytes;
  private final long address;
  private final long byteSize;
  private Runnable release;

  /**
   * @param release runs once, at {@link #close}; or null
   */
  public Storage(ByteBuffer bytes, long address, long byteSize, Runnable release) {
    this.bytes = bytes == null ? null : bytes.order(ByteOrder.nativeOrder());
    this.address = address;
    this.byteSize = byteSize;
    this.release = release;
  }

  /** The memory as the host sees it, in native byte order, or null for device memory. */
  public ByteBuffer bytes() {
    return bytes;
  }

  /** Address of the first byte, or 0 where the backend needs none. */
  public long address() {
    return address;
  }

  /** Size in bytes. */
  public long byteSize() {
    return byteSize;
  }

  @Override
  public synchronized void close() {
    if (release != null) {
      Runnable once = release;
      release = null;
      once.run();
    }
  }
}
