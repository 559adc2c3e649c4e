package io.shadowbatch.kernels;

/**
 * A backend's device is lost, as a GPU is after a kernel's illegal access: every later call of this
 * process fails with this error. Only a new process can use the device again.
 */
public final class DeviceLostException extends IllegalStateException {
  private static final long serialVersionUID = 1;

  public DeviceLostException(String message) {
    super(message);
  }
}
