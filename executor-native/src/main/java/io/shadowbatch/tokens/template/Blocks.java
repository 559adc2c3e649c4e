package io.shadowbatch.tokens.template;

import java.util.List;

/** Makes the nodes that write or assign. */
final class Blocks {
  private Blocks() {}

  /** One arm of an {@code if}. */
  record Branch(Expr test, List<Statement> body) {}

  /** What an assignment fills. */
  @FunctionalInterface
  interface Target {
    void assign(Run run, Object value);
  }

  /** The output of a block as a value. */
  static final class Captured implements Expr {
    List<Statement> body = List.of();

    @Override
    public Object eval(Run run) {
      return capture(run, body, new Run.Scope(run.scope));
    }
  }

  static String capture(Run run, List<Statement> body, Run.Scope scope) {
    StringBuilder outerOut = run.out;
    Run.Scope outerScope = run.scope;
    run.enter();
    run.out = new StringBuilder();
    run.scope = scope;
    Statement.all(body, run);
    String text = run.out.toString();
    run.out = outerOut;
    run.scope = outerScope;
    run.leave();
    return text;
  }

  static Statement at(int line, Statement inner) {
    return run -> {
      run.line = line;
      run.enter();
      Statement.Flow flow = inner.run(run);
      run.leave();
      return flow;
    };
  }

  static Statement text(String text) {
    return run -> {
      run.write(text);
      return Statement.Flow.NEXT;
    };
  }

  static Statement output(Expr value) {
    return run -> {
      run.write(PyText.str(run, value.eval(run)));
      return Statement.Flow.NEXT;
    };
  }

  static Statement choose(List<Branch> branches) {
    return run -> {
      for (Branch branch : branches) {
        if (Operators.truth(branch.test.eval(run))) {
          return Statement.all(branch.body, run);
        }
      }
      return Statement.Flow.NEXT;
    };
  }

  static Statement set(Target target, Expr value) {
    return run -> {
      target.assign(run, value.eval(run));
      return Statement.Flow.NEXT;
    };
  }

  static Target name(String name) {
    return (run, value) -> run.assign(name, value);
  }

  static Target names(int line, List<String> names) {
    return (run, value) -> {
      run.line = line;
      List<Object> parts = Operators.toList(run, value);
      if (parts.size() != names.size()) {
        throw run.fail("unpacking needs " + names.size() + " values, got " + parts.size());
      }
      for (int i = 0; i < parts.size(); i++) {
        run.assign(names.get(i), parts.get(i));
      }
    };
  }

  static Target field(int line, String name, String field) {
    return (run, value) -> {
      run.line = line;
      if (run.lookup(name) instanceof Namespace namespace) {
        namespace.fields().put(field, value);
        return;
      }
      throw run.fail("cannot assign '" + field + "': '" + name + "' is not a namespace");
    };
  }
}
