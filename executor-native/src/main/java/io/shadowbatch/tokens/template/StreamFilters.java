package io.shadowbatch.tokens.template;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;

/** Filters that give a generator: each item is worked out when it is asked for, and only once. */
final class StreamFilters {
  private StreamFilters() {}

  static Map<String, Filter> all() {
    Map<String, Filter> map = new HashMap<>();
    map.put("map", StreamFilters::map);
    map.put("select", (run, v, a) -> select(run, v, a, false, true));
    map.put("reject", (run, v, a) -> select(run, v, a, false, false));
    map.put("selectattr", (run, v, a) -> select(run, v, a, true, true));
    map.put("rejectattr", (run, v, a) -> select(run, v, a, true, false));
    map.put("unique", StreamFilters::unique);
    map.put("items", StreamFilters::items);
    return map;
  }

  private static OneShot mapped(Iterator<Object> source, UnaryOperator<Object> change) {
    return new OneShot(
        new Iterator<>() {
          @Override
          public boolean hasNext() {
            return source.hasNext();
          }

          @Override
          public Object next() {
            return change.apply(source.next());
          }
        });
  }

  private static OneShot kept(Iterator<Object> source, Predicate<Object> keep) {
    return new OneShot(
        new Iterator<>() {
          private Object ahead;

          @Override
          public boolean hasNext() {
            while (ahead == null && source.hasNext()) {
              Object item = source.next();
              ahead = keep.test(item) ? item : null;
            }
            return ahead != null;
          }

          @Override
          public Object next() {
            if (!hasNext()) {
              throw new NoSuchElementException();
            }
            Object item = ahead;
            ahead = null;
            return item;
          }
        });
  }

  /** As in Jinja, anything false has no items here, even None. */
  private static Iterator<Object> source(Run run, Object v) {
    return Operators.truth(v) ? Operators.iterate(run, v) : List.<Object>of().iterator();
  }

  private static Object map(Run run, Object v, Args args) {
    Iterator<Object> source = source(run, v);
    if (args.positional().isEmpty()) {
      Object[] a = args.bind(run, "map", "attribute!", "default");
      return mapped(
          source,
          item -> {
            Object found = SequenceFilters.path(run, item, a[0]);
            return found instanceof Undefined && a[1] != null ? a[1] : found;
          });
    }
    Object name = args.positional().get(0);
    Filter filter = name instanceof String s ? Filters.named(s) : null;
    if (filter == null) {
      throw run.fail("map: filter " + run.shown(PyText.str(run, name)) + " is not supported");
    }
    return mapped(source, item -> filter.apply(run, item, rest(args, 1)));
  }

  private static Args rest(Args args, int from) {
    List<Object> all = args.positional();
    return new Args(all.subList(from, all.size()), args.named());
  }

  private static Object select(Run run, Object v, Args args, boolean byPart, boolean wanted) {
    int skip = byPart ? 1 : 0;
    List<Object> given = args.positional();
    if (given.size() < skip) {
      throw run.fail("selectattr and rejectattr need an attribute");
    }
    Object attribute = byPart ? given.get(0) : null;
    Predicate<Object> test = Operators::truth;
    if (given.size() > skip) {
      Object name = given.get(skip);
      Test found = name instanceof String s ? Tests.named(s) : null;
      if (found == null) {
        throw run.fail("select: test " + run.shown(PyText.str(run, name)) + " is not supported");
      }
      Args testArgs = rest(args, skip + 1);
      test = item -> found.apply(run, item, testArgs);
    } else if (!args.named().isEmpty()) {
      throw run.fail("select: names are not supported, got " + args.named().keySet());
    }
    Predicate<Object> chosen = test;
    return kept(
        source(run, v),
        item -> {
          run.step();
          Object part = byPart ? SequenceFilters.path(run, item, attribute) : item;
          return chosen.test(part) == wanted;
        });
  }

  private static Object unique(Run run, Object v, Args args) {
    Object[] a = args.bind(run, "unique", "case_sensitive", "attribute");
    UnaryOperator<Object> key = SequenceFilters.key(run, a[1] == None.NONE ? null : a[1], a[0]);
    List<Object> seen = new ArrayList<>();
    return kept(
        Operators.iterate(run, v),
        item -> {
          Object mine = key.apply(item);
          if (mine instanceof List || mine instanceof Map) {
            throw run.fail("unique of a " + Values.typeName(mine) + " is not supported");
          }
          boolean fresh = seen.stream().noneMatch(old -> Operators.same(run, old, mine));
          if (fresh) {
            seen.add(mine);
          }
          return fresh;
        });
  }

  private static Object items(Run run, Object v, Args args) {
    args.bind(run, "items");
    if (v instanceof Undefined) {
      return new OneShot(List.<Object>of().iterator());
    } else if (v instanceof Map<?, ?> map) {
      return new OneShot(DictMethods.items(map).iterator());
    }
    throw run.fail("items needs a dict, got " + Values.typeName(v));
  }
}
