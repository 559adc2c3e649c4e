package io.shadowbatch.tokens.template;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The reading methods of Python's {@code dict}. */
final class DictMethods {
  private DictMethods() {}

  /** The method, or null when dicts have none of that name. */
  static Callable bound(Map<?, ?> map, String name) {
    return switch (name) {
      case "items" -> (run, args) -> view(run, args, items(map));
      case "keys" -> (run, args) -> view(run, args, new ArrayList<>(map.keySet()));
      case "values" -> (run, args) -> view(run, args, new ArrayList<>(map.values()));
      case "copy" ->
          (run, args) -> {
            args.bind(run, "copy");
            run.checkItems(map.size());
            return new LinkedHashMap<>(map);
          };
      case "get" ->
          (run, args) -> {
            Object[] a = args.bind(run, "get", "key!", "default");
            Object found = map.get(Attributes.key(run, a[0]));
            return found != null ? found : a[1] != null ? a[1] : None.NONE;
          };
      default -> null;
    };
  }

  private static View view(Run run, Args args, List<Object> items) {
    args.bind(run, "items, keys and values");
    run.checkItems(items.size());
    return new View(items);
  }

  /** Pairs of key and value. */
  static List<Object> items(Map<?, ?> map) {
    List<Object> out = new ArrayList<>(map.size());
    map.forEach((key, value) -> out.add(new Tuple(List.of(key, value))));
    return out;
  }
}
