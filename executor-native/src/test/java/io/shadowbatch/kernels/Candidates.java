package io.shadowbatch.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import io.shadowbatch.kernels.cpu.CpuKernels;
import io.shadowbatch.kernels.cpu.Isa;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;

/**
 * The backends under test: every supported instruction set with one, two and three threads. Keeps
 * book of what was compared, so that an operation that no test reached is found.
 */
final class Candidates implements AutoCloseable {
  private final List<CpuKernels> kernels = new ArrayList<>();
  private final Map<Isa, Set<String>> compared = new EnumMap<>(Isa.class);

  Candidates() {
    for (Isa isa : Isa.values()) {
      if (!Isa.supported().contains(isa)) {
        System.out.println("skipped: this machine does not run " + isa);
        continue;
      }
      compared.put(isa, new TreeSet<>());
      for (int threads = 1; threads <= 3; threads++) kernels.add(CpuKernels.open(threads, isa));
    }
  }

  List<CpuKernels> all() {
    return kernels;
  }

  /** Runs {@code result} on the reference and on every backend and compares the bits. */
  void compare(String op, String label, Function<Arena, int[]> result) {
    int[] expected;
    try (Arena arena = new Arena(new ReferenceKernels(ReferenceKernels.Form.INT8))) {
      expected = result.apply(arena);
    }
    for (CpuKernels k : kernels) {
      try (Arena arena = new Arena(k)) {
        int[] actual = result.apply(arena);
        int at = java.util.Arrays.mismatch(actual, expected);
        if (at >= 0) {
          throw new AssertionError(
              "%s %s on %s: element %d of %d is %08x, the reference has %08x"
                  .formatted(
                      op, label, k.describe(), at, expected.length, actual[at], expected[at]));
        }
      }
      compared.get(k.isa()).add(op);
    }
  }

  /** Fails unless all of {@code ops} were compared on all instruction sets of this machine. */
  void requireCompared(Set<String> ops) {
    assertThat(compared).isNotEmpty();
    compared.forEach((isa, done) -> assertThat(done).as("compared on " + isa).containsAll(ops));
  }

  @Override
  public void close() {
    kernels.forEach(CpuKernels::close);
  }
}
