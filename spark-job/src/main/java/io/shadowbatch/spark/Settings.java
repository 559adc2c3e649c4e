package io.shadowbatch.spark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.shadowbatch.spark.JobException.Exit;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The value of every option and where it came from: command line over Spark property over file over
 * default.
 */
public final class Settings {

  /** Where a value came from, lowest precedence first. */
  public enum Origin {
    DEFAULT,
    FILE,
    CONF,
    COMMAND_LINE
  }

  /** One option's values (one unless repeatable) and their origin. */
  public record Setting(List<String> values, Origin origin) {}

  private static final ObjectMapper JSON = new ObjectMapper();

  private final Map<JobOption, Setting> settings = new LinkedHashMap<>();

  private Settings() {}

  /**
   * Merges the sources.
   *
   * @param commandLine by option name
   * @param conf all Spark properties; those outside our prefix are left alone
   * @param file JSON or YAML, or null
   */
  public static Settings merge(
      Map<String, List<String>> commandLine, Map<String, String> conf, Path file) {
    Settings merged = new Settings();
    for (JobOption option : JobOptions.ALL) {
      List<String> initial = option.initial() == null ? List.of() : List.of(option.initial());
      merged.settings.put(option, new Setting(initial, Origin.DEFAULT));
    }
    if (file != null) merged.putFile(file);
    merged.putConf(conf);
    commandLine.forEach(
        (name, values) ->
            merged.put(JobOptions.named(name), new Setting(values, Origin.COMMAND_LINE)));
    merged.settings.forEach(merged::check);
    return merged;
  }

  private void putConf(Map<String, String> conf) {
    conf.forEach(
        (key, value) -> {
          if (!key.startsWith(JobOption.KEY_PREFIX)) return;
          JobOption option = JobOptions.keyed(key);
          if (option == null) {
            throw usage("--conf " + key + ": no such property; `shadowbatch options` lists them");
          }
          put(option, new Setting(confValues(option, value), Origin.CONF));
        });
  }

  private static List<String> confValues(JobOption option, String value) {
    if (!option.type().repeatable() || !value.startsWith("[")) return List.of(value);
    try {
      return fileValues(option, JSON.readTree(value));
    } catch (IOException e) {
      throw usage("--conf " + option.key() + ": starts with [ but is no JSON array");
    }
  }

  private void putFile(Path file) {
    JsonNode root;
    try {
      root = mapper(file).readTree(Files.readString(file));
    } catch (IOException e) {
      String reason =
          e.getMessage() == null ? e.toString() : e.getMessage().lines().findFirst().get();
      throw usage("--config " + file + ": cannot be read as JSON or YAML: " + reason);
    }
    if (root == null || !root.isObject()) {
      throw usage("--config " + file + ": expected a map of option names to values");
    }
    root.properties()
        .forEach(
            field -> {
              JobOption option = JobOptions.named(field.getKey());
              if (option == null) {
                throw usage(
                    "--config %s: no option is called %s; `shadowbatch options` lists them"
                        .formatted(file, field.getKey()));
              }
              put(option, new Setting(fileValues(option, field.getValue()), Origin.FILE));
            });
  }

  private static ObjectMapper mapper(Path file) {
    if (file.toString().toLowerCase(Locale.ROOT).endsWith(".json")) return JSON;
    try {
      return Yaml.mapper();
    } catch (NoClassDefFoundError e) {
      throw usage("--config " + file + ": this Spark has no YAML library; write the file as .json");
    }
  }

  private static List<String> fileValues(JobOption option, JsonNode value) {
    if (value.isArray()) {
      List<String> values = new ArrayList<>();
      value.forEach(v -> values.add(v.asText()));
      if (option.type().repeatable()) return values;
      return List.of(String.join(",", values));
    }
    if (value.isObject()) {
      List<String> values = new ArrayList<>();
      value.properties().forEach(f -> values.add(f.getKey() + "=" + f.getValue().asText()));
      return values;
    }
    return List.of(value.asText());
  }

  private void put(JobOption option, Setting setting) {
    settings.put(option, setting);
  }

  private void check(JobOption option, Setting setting) {
    if (setting.values().size() > 1 && !option.type().repeatable()) {
      throw usage(where(option) + ": given " + setting.values().size() + " times, expected one");
    }
    for (String value : setting.values()) {
      switch (option.type()) {
        case WHOLE -> whole(option);
        case DECIMAL -> decimal(option);
        case SIZE -> bytes(option);
        case SIZE_OR_AUTO -> bytes(option, 0);
        case SWITCH -> checkChoice(option, value, List.of("true", "false"));
        case PAIRS -> {
          if (value.indexOf('=') < 1) throw wrong(option, "name=value", value);
        }
        case TEXT -> {
          if (!option.choices().isEmpty()) checkChoice(option, value, option.choices());
        }
        case TEXTS -> {}
      }
    }
  }

  private void checkChoice(JobOption option, String value, List<String> choices) {
    if (!choices.contains(value))
      throw wrong(option, "one of " + String.join(", ", choices), value);
  }

  /** Whether the machine's line on standard output was asked for. */
  public boolean json() {
    return "json".equals(text(JobOptions.LOG_FORMAT));
  }

  /** The value, or null if there is none. */
  String text(JobOption option) {
    List<String> values = settings.get(option).values();
    return values.isEmpty() ? null : values.get(0);
  }

  /** The value; its absence is the user's error. */
  String required(JobOption option) {
    String value = text(option);
    if (value == null || value.isBlank()) {
      throw usage(
          "--%s is missing (or %s): %s".formatted(option.name(), option.key(), option.text()));
    }
    return value;
  }

  List<String> texts(JobOption option) {
    return settings.get(option).values();
  }

  long whole(JobOption option) {
    String value = text(option);
    try {
      long number = Long.parseLong(value.trim().replace("_", ""));
      if (number < 0 && option != JobOptions.SEED && option != JobOptions.LOGPROBS) {
        throw wrong(option, "0 or more", value);
      }
      return number;
    } catch (NumberFormatException e) {
      throw wrong(option, "a whole number", value);
    }
  }

  int count(JobOption option) {
    long number = whole(option);
    if (number > Integer.MAX_VALUE)
      throw wrong(option, "at most " + Integer.MAX_VALUE, text(option));
    return (int) number;
  }

  double decimal(JobOption option) {
    try {
      double number = Double.parseDouble(text(option).trim());
      if (Double.isNaN(number)) throw wrong(option, "a number", text(option));
      return number;
    } catch (NumberFormatException e) {
      throw wrong(option, "a number", text(option));
    }
  }

  boolean on(JobOption option) {
    return "true".equals(text(option)) || "on".equals(text(option));
  }

  /** A size such as 512m or 4g in bytes. */
  long bytes(JobOption option) {
    long bytes = size(option, "a size such as 512m or 4g");
    if (bytes < 1) throw wrong(option, "a size such as 512m or 4g", text(option));
    return bytes;
  }

  /** A size in bytes, which may be 0, or {@code automatic}. */
  long bytes(JobOption option, long automatic) {
    if (text(option).trim().equalsIgnoreCase("auto")) return automatic;
    return size(option, "auto, 0 or a size such as 512m or 4g");
  }

  private long size(JobOption option, String expected) {
    String value = text(option).trim().toLowerCase(Locale.ROOT);
    String digits = value.replaceFirst("(k|m|g|t)?(i?b)?$", "");
    String unit = value.substring(digits.length());
    int shift = unit.isEmpty() ? 0 : Math.max(0, 10 * (1 + "kmgt".indexOf(unit.charAt(0))));
    try {
      long bytes = Math.multiplyExact(Long.parseLong(digits), 1L << shift);
      if (bytes < 0) throw wrong(option, expected, value);
      return bytes;
    } catch (NumberFormatException | ArithmeticException e) {
      throw wrong(option, expected, value);
    }
  }

  /** A wrong value, with the place to mend. */
  JobException wrong(JobOption option, String expected, String actual) {
    return usage("%s: expected %s, got \"%s\"".formatted(where(option), expected, actual));
  }

  private String where(JobOption option) {
    return switch (settings.get(option).origin()) {
      case CONF -> "--conf " + option.key();
      case FILE -> option.name() + " in the configuration file";
      default -> "--" + option.name();
    };
  }

  private static JobException usage(String message) {
    return new JobException(Exit.USAGE, message);
  }

  /** Every option with its value and origin, for the run's record. */
  Map<String, Object> described() {
    Map<String, Object> all = new LinkedHashMap<>();
    settings.forEach(
        (option, setting) -> {
          Object value = option.type().repeatable() ? setting.values() : text(option);
          if (option == JobOptions.INPUT_OPTION) value = Redaction.pairs(setting.values());
          Map<String, Object> entry = new LinkedHashMap<>();
          entry.put("value", value);
          entry.put("origin", setting.origin().name().toLowerCase(Locale.ROOT));
          all.put(option.name(), entry);
        });
    return all;
  }
}
