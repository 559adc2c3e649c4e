package io.shadowbatch.tokens.template;

import java.util.List;

/** A node that writes output or changes variables. */
@FunctionalInterface
interface Statement {
  /** How control goes on. */
  enum Flow {
    NEXT,
    BREAK,
    CONTINUE
  }

  Flow run(Run run);

  static Flow all(List<Statement> body, Run run) {
    for (Statement statement : body) {
      run.step();
      Flow flow = statement.run(run);
      if (flow != Flow.NEXT) {
        return flow;
      }
    }
    return Flow.NEXT;
  }
}
