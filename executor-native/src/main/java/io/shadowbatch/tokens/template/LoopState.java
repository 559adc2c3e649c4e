package io.shadowbatch.tokens.template;

import java.util.List;

/**
 * The {@code loop} variable of one {@code for}; its depth is 1, since recursive loops are refused.
 */
final class LoopState {
  private final List<Object> items;
  private int index; // 0-based
  private List<Object> changedOf;

  LoopState(List<Object> items) {
    this.items = items;
  }

  void moveTo(int newIndex) {
    index = newIndex;
  }

  /** A part of {@code loop}, or null when there is none of that name. */
  Object attribute(Run run, String name) {
    int size = items.size();
    return switch (name) {
      case "index" -> index + 1L;
      case "index0" -> (long) index;
      case "revindex" -> (long) size - index;
      case "revindex0" -> size - index - 1L;
      case "first" -> index == 0;
      case "last" -> index == size - 1;
      case "length" -> (long) size;
      case "depth" -> 1L;
      case "depth0" -> 0L;
      case "previtem" -> index > 0 ? items.get(index - 1) : new Undefined("'loop.previtem'");
      case "nextitem" -> index + 1 < size ? items.get(index + 1) : new Undefined("'loop.nextitem'");
      case "cycle" -> (Callable) this::cycle;
      case "changed" -> (Callable) this::changed;
      default -> null;
    };
  }

  private Object cycle(Run run, Args args) {
    if (args.positional().isEmpty() || !args.named().isEmpty()) {
      throw run.fail("loop.cycle needs values");
    }
    return args.positional().get(index % args.positional().size());
  }

  private Object changed(Run run, Args args) {
    boolean same = changedOf != null && Operators.same(run, changedOf, args.positional());
    changedOf = args.positional();
    return !same;
  }
}
