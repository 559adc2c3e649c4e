package io.shadowbatch.kernels;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.function.Predicate;

/** Real kernels, of which some operations run out of memory. */
public final class FailingKernels {
  private FailingKernels() {}

  /** Kernels that throw before the operations that {@code fails} names. */
  public static Kernels over(Kernels real, Predicate<String> fails) {
    return (Kernels)
        Proxy.newProxyInstance(
            Kernels.class.getClassLoader(),
            new Class<?>[] {Kernels.class},
            (proxy, method, args) -> {
              if (fails.test(method.getName())) throw new OutOfMemoryError("by the test");
              try {
                return method.invoke(real, args);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            });
  }
}
