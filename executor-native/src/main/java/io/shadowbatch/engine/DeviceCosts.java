package io.shadowbatch.engine;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.kernels.Backend;
import io.shadowbatch.kernels.Kernels;
import io.shadowbatch.model.Model;
import io.shadowbatch.model.PackOptions;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.UUID;
import java.util.stream.DoubleStream;

/**
 * The {@link StepCosts} of a model on this kind of machine: measured once, then kept beside the
 * packed weights. The kind is the processor's name, the kernels and their threads. Forgetting is
 * harmless.
 */
public final class DeviceCosts {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int VERSION = 2;

  private DeviceCosts() {}

  /** A file of costs, with what they are of. */
  private record Kept(String device, StepCosts costs) implements OfDevice {
    @Override
    public boolean sane() {
      return all(costs.base(), costs.token(), costs.logit(), costs.batchedPair(), costs.lonePair());
    }
  }

  private record KeptReads(String device, ReadCosts costs) implements OfDevice {
    @Override
    public boolean sane() {
      return all(
          costs.token(),
          costs.sharedToken(),
          costs.landmark(),
          costs.sharedLandmark(),
          costs.picked(),
          costs.sharedPicked());
    }
  }

  private interface OfDevice {
    String device();

    Object costs();

    boolean sane();
  }

  /**
   * The costs, measured now if they are not known: seconds to a minute, with memory for the weights
   * and some thousand tokens.
   */
  public static StepCosts of(EngineConfig config) throws IOException {
    PackOptions pack = PackOptions.standard();
    if (config.packFolder() != null) pack = pack.in(config.packFolder());
    String device = device(config);
    Path file = file(pack.folder(), Model.fingerprint(config.model(), pack), device);
    Kept known = read(file, device, Kept.class);
    if (known != null) return known.costs();
    StepCosts measured = CostProbe.of(config);
    write(file, new Kept(device, measured));
    return measured;
  }

  /**
   * What reading keys and values costs, measured now if it is not known.
   *
   * @param config with a way to read prompts in part
   */
  public static ReadCosts reads(EngineConfig config) throws IOException {
    PackOptions pack = PackOptions.standard();
    if (config.packFolder() != null) pack = pack.in(config.packFolder());
    String device = device(config) + ", " + config.shadow();
    Path file = file(pack.folder(), Model.fingerprint(config.model(), pack), device);
    KeptReads known = read(file, device, KeptReads.class);
    if (known != null) return known.costs();
    ReadCosts measured = ReadProbe.of(config);
    write(file, new KeptReads(device, measured));
    return measured;
  }

  private static String device(EngineConfig config) {
    try (Kernels kernels = Backend.open(config.backend(), config.threads())) {
      return "%s, %s, kv %s".formatted(processor(), kernels.describe(), config.kvCodec());
    }
  }

  private static String processor() {
    try (var lines = Files.lines(Path.of("/proc/cpuinfo"))) {
      return lines
          .filter(line -> line.startsWith("model name"))
          .map(line -> line.replaceFirst(".*:\\s*", ""))
          .findFirst()
          .orElse(System.getProperty("os.arch"));
    } catch (IOException e) {
      return System.getProperty("os.arch");
    }
  }

  private static Path file(Path folder, String fingerprint, String device) {
    UUID name = UUID.nameUUIDFromBytes(device.getBytes(StandardCharsets.UTF_8));
    return folder.resolve("costs/%s-%s-v%d.json".formatted(fingerprint, name, VERSION));
  }

  /** Null where there is nothing, or nothing that can be believed. */
  private static <T extends OfDevice> T read(Path file, String device, Class<T> type) {
    try {
      T kept = JSON.readValue(Files.readAllBytes(file), type);
      boolean whole = kept != null && kept.costs() != null && device.equals(kept.device());
      return whole && kept.sane() ? kept : null;
    } catch (IOException e) {
      return null;
    }
  }

  private static boolean all(double... costs) {
    return DoubleStream.of(costs).allMatch(v -> v >= 0 && v < 3600);
  }

  private static void write(Path file, OfDevice kept) {
    Path temporary = file.resolveSibling(UUID.randomUUID() + ".tmp");
    try {
      Files.createDirectories(file.getParent());
      Files.write(temporary, List.of(json(kept)));
      Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      // A folder that cannot be written only means measuring again next time.
      temporary.toFile().delete();
    }
  }

  private static String json(OfDevice kept) throws JsonProcessingException {
    return JSON.writerWithDefaultPrettyPrinter().writeValueAsString(kept);
  }
}
