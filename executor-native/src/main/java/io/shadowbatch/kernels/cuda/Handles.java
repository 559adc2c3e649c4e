package io.shadowbatch.kernels.cuda;

import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUfunction;
import jcuda.driver.CUstream;

/** JCuda's handles with their value, which it shows to subclasses only. */
final class Handles {
  private Handles() {}

  static final class Context extends CUcontext {
    long value() {
      return getNativePointer();
    }
  }

  static final class Stream extends CUstream {
    long value() {
      return getNativePointer();
    }
  }

  static final class Function extends CUfunction {
    long value() {
      return getNativePointer();
    }
  }

  /** Memory of the device. */
  static final class Device extends CUdeviceptr {
    long value() {
      return getNativePointer();
    }
  }

  /** Pinned memory of the host. */
  static final class Host extends Pointer {
    long value() {
      return getNativePointer();
    }
  }
}
