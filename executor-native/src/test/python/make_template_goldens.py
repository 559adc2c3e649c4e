#!/usr/bin/env python3
"""Makes golden outputs for the chat template tests, with Python's jinja2 as the reference.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install jinja2==3.1.6
    /tmp/venv/bin/python executor-native/src/test/python/make_template_goldens.py \
        executor-native/src/test/resources/golden/templates/templates.jsonl

jinja2 is set up as transformers does it: ImmutableSandboxedEnvironment, trim_blocks, lstrip_blocks,
loop controls, tojson without HTML escaping, raise_exception, strftime_now (with a fixed clock).

Lines of the output:
  {"conversation": name, "variables": {...}}
  {"case": name, "template": text, "expected": {conversation: text, or null for an error, or
      {"raised": text} for raise_exception}}
Further arguments are folders of *.jinja files, rendered over the same conversations.
"""
import copy
import datetime
import json
import pathlib
import random
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

NOW = datetime.datetime(2024, 7, 5, 9, 3, 7)
SEED = 20240705
FUZZ_CASES = 300


class Raised(Exception):
    pass


def environment():
    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    def raise_exception(message):
        raise Raised(str(message))

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


ENV = environment()


def render(template, variables):
    variables = copy.deepcopy(variables)  # the indent filter of jinja2 changes a list in place
    try:
        return ENV.from_string(template).render(**variables)
    except Raised as e:
        return {"raised": str(e)}
    except Exception:  # every other failure is one kind: the template does not render
        return None


TOOLS = [{"type": "function", "function": {
    "name": "weather", "description": "Says what's outside <now> & later",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "Où? \"Zürich\""},
        "days": {"type": "integer", "default": 3, "maximum": 7.5}},
        "required": ["city"]}}}]


def conversations():
    user = {"role": "user", "content": "  Hello,\n world! <b>&amp;</b> "}
    base = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True,
            "tools": None, "documents": None}
    call = {"role": "assistant", "content": None, "tool_calls": [
        {"id": "call00001", "type": "function",
         "function": {"name": "weather", "arguments": {"city": "Zürich", "days": 2}}}]}
    talk = {
        "single": [user],
        "system": [{"role": "system", "content": "Be brief.\n"}, user],
        "turns": [user, {"role": "assistant", "content": "<think>hm\n</think>\n\nHi 😀 é"},
                  {"role": "user", "content": "Why's that?", "name": "Ann"}],
        "tools": [user, call, {"role": "tool", "content": "{\"t\": 21}", "tool_call_id":
                               "call00001"}, {"role": "assistant", "content": "21 °C"}],
        "parts": [{"role": "user", "content": [{"type": "text", "text": "one"},
                                               {"type": "image"},
                                               {"type": "text", "text": "two"}]}],
        "empty": [],
    }
    out = {name: dict(base, messages=messages) for name, messages in talk.items()}
    out["tools"]["tools"] = TOOLS
    out["turns"]["add_generation_prompt"] = False
    out["turns"]["enable_thinking"] = False
    return out


CASES = pathlib.Path(__file__).with_name("template_cases.txt")


def own_templates():
    """Whole templates, each after a line "=== name"; the newline before the next is its last."""
    out = {}
    for part in ("\n" + CASES.read_text(encoding="utf-8")).split("\n=== ")[1:]:
        name, _, template = part.partition("\n")
        out[name] = template + "\n"
    return out


SNIPPETS = pathlib.Path(__file__).with_name("template_snippets.txt")


def snippets():
    """One template a line, with \\n for a newline; both rendered and failing ones."""
    lines = SNIPPETS.read_text(encoding="utf-8").splitlines()
    return [line.replace("⏎", "\n") for line in lines if line and not line.startswith("##")]


ATOMS = ["0", "1", "-1", "2", "3", "7", "2.5", "0.5", "true", "false", "none", "nope", "''",
         "'ab'", "'Äb c'", "' x y '", "'a,b,,c'", "[1, 2, 3]", "[]", "['b', 'a']", "{'k': 1}",
         "{}", "(1, 'z')", "[1, [2, none]]", "{'a': [1], 'b': {'c': 'd'}}", "messages",
         "messages[0]", "messages[0].content", "range(4)", "tools", "'12'", "'é😀'", "1000000"]
FILTERS = ["trim", "upper", "lower", "title", "capitalize", "length", "first", "last", "list",
           "string", "int", "float", "tojson", "join(',')", "reverse|list", "sort", "unique|list",
           "default('D')", "default('D', true)", "abs", "round", "round(1)", "sum", "min", "max",
           "map('upper')|list", "map('string')|join('/')", "select('string')|list",
           "reject('number')|list", "select|list", "replace('a', 'bb')", "indent(2)", "items|list",
           "dictsort", "tojson(indent=2)", "map(attribute='role')|list",
           "selectattr('role', 'equalto', 'user')|list|length"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean",
         "mapping", "iterable", "sequence", "true", "false", "odd", "even", "callable", "lower",
         "upper", "eq 1", "ne 'ab'", "in [1, 2, 'ab']", "divisibleby 2", "gt 1", "sameas none"]
METHODS = ["strip()", "lstrip('a ')", "rstrip()", "upper()", "title()", "split()", "split(',')",
           "rsplit(' ', 1)", "startswith('a')", "endswith(('b', 'c'))", "replace('b', 'Q')",
           "find('b')", "count('a')", "items()|list", "keys()|list", "get('k', 5)",
           "values()|list", "splitlines()", "isdigit()", "capitalize()", "index(1)", "lower()"]
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in",
          "and", "or", "**"]
SLICES = ["[0]", "[-1]", "[1:]", "[:-1]", "[::-1]", "[::2]", "[5]", "['k']", ".k", "[3:0:-1]",
          "[-2:]", "[none:2]"]


def expression(r, depth):
    if depth == 0 or r.random() < 0.15:
        return r.choice(ATOMS)
    inner = lambda: expression(r, depth - 1)
    kind = r.randrange(9)
    if kind == 0:
        return f"({inner()} {r.choice(BINARY)} {inner()})"
    if kind == 1:
        return f"{inner()} {r.choice(BINARY)} {inner()}"
    if kind == 2:
        return f"({inner()})|{r.choice(FILTERS)}"
    if kind == 3:
        return f"({inner()}) is {r.choice(['', 'not '])}{r.choice(TESTS)}"
    if kind == 4:
        return f"({inner()}).{r.choice(METHODS)}"
    if kind == 5:
        return f"({inner()}){r.choice(SLICES)}"
    if kind == 6:
        return f"({inner()} if {inner()} else {inner()})"
    if kind == 7:
        return r.choice([f"[{inner()}, {inner()}]", f"{{'p': {inner()}}}", f"(not {inner()})"])
    return f"{inner()}|{r.choice(FILTERS)}"


def fuzz_template(r):
    e = lambda: expression(r, r.randrange(1, 4))
    minus = lambda: r.choice(["", "", "-"])
    shape = r.randrange(5)
    if shape <= 1:
        return f"<{{{{ {e()} }}}}>"
    if shape == 2:
        return (f"a \n  {{%{minus()} for x in {e()} {minus()}%}} \n {{{{ loop.index }}}}:"
                f"{{{{{minus()} x }}}}{{{{ ',' if not loop.last }}}}\n"
                f"  {{% else %}}none{{%{minus()} endfor {minus()}%}}\n end")
    if shape == 3:
        return (f"{{%{minus()} set v = {e()} {minus()}%}}\n {{% if {e()} {minus()}%}}\n yes "
                f"{{{{ v }}}}\n{{% else {minus()}%}}\n no {{{{ v|tojson }}}}\n {{% endif %}} .")
    return (f"{{% macro m(a, b={e()}) %}}[{{{{ a }}}}|{{{{ b }}}}]{{% endmacro %}}"
            f"{{{{ m({e()}) }}}}{{{{ m(1, b={e()}) }}}}")


def fuzz():
    """Most cases must render: of those that fail, one in eight is kept."""
    r = random.Random(SEED)
    talk = conversations()["tools"]
    found = []
    while len(found) < FUZZ_CASES:
        template = fuzz_template(r)
        out = render(template, talk)
        shown = json.dumps(out)
        if "object at" in shown or len(shown) > 600 or "built-in" in shown or "range(" in shown \
                or "dict_" in shown or (out is None and r.random() < 0.875):
            continue
        found.append((template, out))
    return found


def main():
    talks = conversations()
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        def put(row):
            f.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")

        for name, variables in talks.items():
            put({"conversation": name, "variables": variables})
        templates = own_templates()
        for folder in sys.argv[2:]:
            for p in sorted(pathlib.Path(folder).glob("*.jinja")):
                templates[p.stem] = p.read_text(encoding="utf-8")
        for name, template in templates.items():
            put({"case": name, "template": template,
                 "expected": {t: render(template, v) for t, v in talks.items()}})
        if sys.argv[2:]:
            return
        for i, template in enumerate(snippets()):
            put({"case": f"snippet {i}", "template": template,
                 "expected": {"tools": render(template, talks["tools"])}})
        for i, (template, out) in enumerate(fuzz()):
            put({"case": f"fuzz {i}", "template": template, "expected": {"tools": out}})


if __name__ == "__main__":
    main()
