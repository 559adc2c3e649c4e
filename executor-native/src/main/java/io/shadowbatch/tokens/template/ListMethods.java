package io.shadowbatch.tokens.template;

import java.util.List;

/** The reading methods of Python's {@code list} and {@code tuple}. */
final class ListMethods {
  private ListMethods() {}

  /** The method, or null when lists have none of that name. */
  static Callable bound(List<Object> items, String name) {
    return switch (name) {
      case "index" ->
          (run, args) -> {
            Object wanted = args.bind(run, "index", "value!")[0];
            for (int i = 0; i < items.size(); i++) {
              if (Operators.same(run, items.get(i), wanted)) {
                return (long) i;
              }
            }
            throw run.fail("index: the value is not in the list");
          };
      case "count" ->
          (run, args) -> {
            Object wanted = args.bind(run, "count", "value!")[0];
            return items.stream().filter(item -> Operators.same(run, item, wanted)).count();
          };
      default -> null;
    };
  }
}
