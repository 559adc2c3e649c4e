package io.shadowbatch.kernels.cpu;

import io.shadowbatch.kernels.NativeLibrary;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Set;

/** The instruction sets that the CPU kernels are compiled for, plainest first. */
public enum Isa {
  /** The compiler's baseline; runs on any processor. */
  PORTABLE,
  /** AVX2, FMA and F16C. */
  AVX2,
  /** AVX-512 with VNNI. */
  AVX512,
  /** AVX512 and the int8 tiles of AMX. */
  AMX;

  /** System property that forces an instruction set. */
  public static final String PROPERTY = "shadowbatch.isa";

  /** Environment variable that forces an instruction set; the property wins. */
  public static final String VARIABLE = "SHADOWBATCH_ISA";

  /** Those that this processor and this build of the library run. */
  public static Set<Isa> supported() {
    NativeLibrary.load();
    int mask = Native.supported();
    EnumSet<Isa> result = EnumSet.noneOf(Isa.class);
    for (Isa isa : values()) {
      if ((mask >> isa.ordinal() & 1) != 0) result.add(isa);
    }
    return result;
  }

  /** The forced one, or else the best supported one. */
  public static Isa preferred() {
    String forced = System.getProperty(PROPERTY, System.getenv(VARIABLE));
    if (forced != null && !forced.isBlank()) return named(forced.strip());
    Isa best = PORTABLE;
    for (Isa isa : supported()) best = isa;
    return best;
  }

  private static Isa named(String name) {
    for (Isa isa : values()) {
      if (isa.name().equals(name.toUpperCase(Locale.ROOT))) return isa;
    }
    throw new IllegalArgumentException(
        "instruction set '%s' (%s or %s) is none of portable, avx2, avx512, amx"
            .formatted(name, PROPERTY, VARIABLE));
  }
}
