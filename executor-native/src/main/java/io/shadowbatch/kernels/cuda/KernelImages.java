package io.shadowbatch.kernels.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The kernels in the forms that the driver loads, the best first: machine code of the jar for the
 * device or an older one of its generation, code compiled here and now, PTX of the jar.
 */
final class KernelImages {
  /** Architectures for which the jar may have PTX, the newest first. */
  private static final int[] PTX = {90, 80};

  private KernelImages() {}

  /** Images, or why there are none. */
  record Found(List<byte[]> images, String problem) {}

  /** Finds images when asked. */
  interface Search {
    Found run();
  }

  /** One form, by the name that errors give it. */
  record Offer(String name, Search search) {}

  static List<Offer> offers(GpuInfo info) {
    if (info.isStandIn()) {
      return List.of(new Offer("built in", () -> new Found(List.of(new byte[] {0}), null)));
    }
    List<Offer> offers = new ArrayList<>();
    // Code of sm_86 runs on sm_89, that of another generation does not.
    int oldest = info.architecture() / 10 * 10;
    for (int sm = info.architecture(); sm >= oldest; sm--) {
      String resource = "/cuda/sm_%d.cubin".formatted(sm);
      if (KernelImages.class.getResource(resource) != null) offers.add(resource(resource));
    }
    if (offers.isEmpty()) {
      offers.add(resource("/cuda/sm_%d.cubin".formatted(info.architecture())));
    }
    offers.add(new Offer("NVRTC", () -> KernelCompiler.compile(info)));
    for (int compute : PTX) {
      if (compute <= info.architecture()) {
        offers.add(resource("/cuda/compute_%d.ptx".formatted(compute)));
      }
    }
    return offers;
  }

  private static Offer resource(String name) {
    return new Offer(name, () -> read(name));
  }

  private static Found read(String name) {
    try (InputStream in = KernelImages.class.getResourceAsStream(name)) {
      if (in == null) return new Found(List.of(), "not in this jar");
      byte[] bytes = in.readAllBytes();
      // PTX is text that ends with a zero.
      byte[] image = name.endsWith(".ptx") ? Arrays.copyOf(bytes, bytes.length + 1) : bytes;
      return new Found(List.of(image), null);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read " + name, e);
    }
  }
}
