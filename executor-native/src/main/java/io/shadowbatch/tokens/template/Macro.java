package io.shadowbatch.tokens.template;

import java.util.List;
import java.util.Map;

/**
 * A macro: its own scope inside the one where it was defined.
 *
 * @param parameters names with their default, or null where there is none
 */
record Macro(String name, Map<String, Expr> parameters, List<Statement> body, Run.Scope definedIn)
    implements Callable {

  @Override
  public Object call(Run run, Args args) {
    Object[] given = args.bind(run, "macro " + name, parameters.keySet().toArray(String[]::new));
    Run.Scope scope = new Run.Scope(definedIn);
    Run.Scope outer = run.scope;
    run.scope = scope;
    int i = 0;
    for (Map.Entry<String, Expr> parameter : parameters.entrySet()) {
      Object value = given[i++];
      if (value == null) {
        Expr absent = parameter.getValue();
        value =
            absent == null
                ? new Undefined("parameter '" + parameter.getKey() + "'")
                : absent.eval(run);
      }
      run.assign(parameter.getKey(), value);
    }
    run.scope = outer;
    return Blocks.capture(run, body, scope);
  }
}
