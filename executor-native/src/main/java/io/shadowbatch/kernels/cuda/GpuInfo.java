package io.shadowbatch.kernels.cuda;

import jcuda.driver.CUdevice;

/**
 * What is known of a device.
 *
 * @param architecture 10 * major + minor of its compute capability
 * @param driver release of the driver, as "13.0"
 * @param sharedBytesMax dynamic shared memory that a block can be given
 */
record GpuInfo(
    String name, int architecture, String driver, int multiprocessors, int sharedBytesMax) {
  /** The oldest architecture that has what kernels use: bfloat16, asynchronous copies. */
  static final int ARCHITECTURE_MIN = 80;

  static GpuInfo of(CUdevice device) {
    GpuInfo info =
        new GpuInfo(
            Driver.nameOf(device),
            10 * Driver.attribute(device, Driver.MAJOR) + Driver.attribute(device, Driver.MINOR),
            Driver.version(),
            Driver.attribute(device, Driver.MULTIPROCESSORS),
            Driver.attribute(device, Driver.SHARED_BYTES_MAX));
    if (info.architecture < ARCHITECTURE_MIN
        || Driver.attribute(device, Driver.ONE_ADDRESS_SPACE) == 0) {
      throw new IllegalStateException(
          "%s is of compute capability %d.%d; the kernels need 8.0 or more; use --backend cpu"
              .formatted(info.name, info.architecture / 10, info.architecture % 10));
    }
    return info;
  }

  /** Whether this is the stand-in of tests, which has kernels built in. */
  boolean isStandIn() {
    return name.contains("stand-in");
  }

  @Override
  public String toString() {
    return "%s, sm_%d, driver %s, %d multiprocessors"
        .formatted(name, architecture, driver, multiprocessors);
  }
}
