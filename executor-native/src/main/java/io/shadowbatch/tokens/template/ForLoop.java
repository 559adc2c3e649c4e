package io.shadowbatch.tokens.template;

import java.util.ArrayList;
import java.util.List;

/**
 * A {@code for}.
 *
 * @param filter items that fail it are skipped and not counted; null keeps all
 * @param otherwise runs when there was no item
 */
record ForLoop(
    int line,
    Blocks.Target target,
    Expr iterable,
    Expr filter,
    List<Statement> body,
    List<Statement> otherwise)
    implements Statement {

  @Override
  public Flow run(Run run) {
    List<Object> items = kept(run, Operators.toList(run, iterable.eval(run)));
    Run.Scope outer = run.scope;
    try {
      if (items.isEmpty()) {
        run.scope = new Run.Scope(outer);
        return Statement.all(otherwise, run);
      }
      LoopState loop = new LoopState(items);
      for (int i = 0; i < items.size(); i++) {
        run.scope = new Run.Scope(outer);
        run.step();
        loop.moveTo(i);
        run.assign("loop", loop);
        target.assign(run, items.get(i));
        if (Statement.all(body, run) == Flow.BREAK) {
          break;
        }
      }
      return Flow.NEXT;
    } finally {
      run.scope = outer;
    }
  }

  private List<Object> kept(Run run, List<Object> all) {
    if (filter == null) {
      return all;
    }
    List<Object> out = new ArrayList<>();
    Run.Scope outer = run.scope;
    for (Object item : all) {
      run.scope = new Run.Scope(outer);
      target.assign(run, item);
      if (Operators.truth(filter.eval(run))) {
        out.add(item);
      }
    }
    run.scope = outer;
    return out;
  }
}
