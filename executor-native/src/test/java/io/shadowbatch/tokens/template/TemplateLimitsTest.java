package io.shadowbatch.tokens.template;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A hostile or broken template ends quickly, with a reason, and reaches nothing. */
class TemplateLimitsTest {
  private static final TemplateContext CONTEXT =
      TemplateContext.of(null, "</s>", Instant.parse("2024-12-31T23:30:00Z"), ZoneId.of("UTC"));

  private static String render(String template) {
    return ChatTemplate.parse(template).render(List.of(Map.of("role", "user")), CONTEXT);
  }

  private static String nested(String open, String middle, String close, int times) {
    return open.repeat(times) + middle + close.repeat(times);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(n) %}{{ m(n+1) }}{{ m(n+1) }}{% endmacro %}{{ m(0) }}",
        "{{ range(100001) }}",
        "{{ range(0, 9223372036854775807, 92233720368547758) | sum }}",
        "{{ 'x' * 1000000000 }}",
        "{{ 'x' * 9223372036854775807 }}",
        "{{ [1] * 1000000000 }}",
        "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{%"
            + " endfor %}",
        "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{%"
            + " endfor %}",
        "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{%"
            + " endfor %}",
        "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{%"
            + " endfor %}{{ n.x }}",
        "{% set n = namespace(x=[1]) %}{% for i in range(40) %}{% set n.x = [n.x, n.x] %}{%"
            + " endfor %}{{ n.x | tojson }}",
        "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(40) %}{% set n.x = [n.x,"
            + " n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}",
        "{% set n = namespace(x=[1]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{%"
            + " endfor %}{{ n.x }}",
        "{% set s = 'a' * 30000000 %}{% for i in range(99999) %}{{ s.replace('a', 'bb')"
            + " }}{% endfor %}",
        "{% set s = ' a' * 400000 %}{% for i in range(99999) %}{% set t = s.split() %}{% endfor %}",
        "{% set s = 'ab' * 400000 %}{% for i in range(99999) %}{% set t = s.find('ba' *"
            + " 1000 ~ 'c') %}{% endfor %}",
        "{% set l = range(99999) | list %}{% for i in l %}{% set t = l | unique | list %}{%"
            + " endfor %}",
        "{% set l = range(99999) | list %}{% for i in l %}{% set t = l[1:] %}{% endfor %}",
        "{{ 9223372036854775807 + 1 }}",
        "{{ 10 ** 400 }}",
        "{{ 2 ** 9223372036854775807 }}",
        "{{ 'a' | indent(1000000) }}",
        "{{ [1] | tojson(indent=1000000) }}",
        "{{ '%s' % (9,9) }}"
      })
  void hostileTemplateEndsQuicklyWithAnException(String template) {
    Assertions.assertTimeoutPreemptively(
        Duration.ofSeconds(20),
        () ->
            assertThatExceptionOfType(TemplateException.class).isThrownBy(() -> render(template)));
  }

  @Test
  void deepNestingIsRefusedWithoutStackOverflow() {
    List<String> sources = new ArrayList<>();
    for (int depth : new int[] {150, 5000, 100_000}) {
      sources.add("{{ " + nested("(", "1", ")", depth) + " }}");
      sources.add("{{ " + nested("[", "", "]", depth) + " }}");
      sources.add("{{ " + "not ".repeat(depth) + "1 }}");
      sources.add("{{ " + "-".repeat(depth) + "1 }}");
      sources.add("{{ 1" + " if 1 else 1".repeat(depth) + " }}");
      sources.add(nested("{% if 1 %}", "", "{% endif %}", depth));
    }
    sources.add("{{ 1" + " + 1".repeat(5000) + " }}");
    sources.add("{{ x" + ".y".repeat(5000) + " }}");
    sources.add("{{ '' " + "| trim ".repeat(5000) + " }}");
    for (String source : sources) {
      assertThatExceptionOfType(TemplateException.class)
          .as(source.substring(0, 30))
          .isThrownBy(() -> render(source));
    }
  }

  @Test
  void limitsAreExact() {
    ChatTemplate output = ChatTemplate.parse("abcde", new TemplateLimits(100, 4, 9, 9));
    assertThatThrownBy(() -> output.render(List.of(), CONTEXT)).hasMessageContaining("at most 4");
    ChatTemplate steps =
        ChatTemplate.parse("{% for i in range(9) %}{% endfor %}", new TemplateLimits(20, 9, 9, 9));
    assertThatThrownBy(() -> steps.render(List.of(), CONTEXT)).hasMessageContaining("20 steps");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{{ ''.__class__ }}",
        "{{ [].__init__ }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({}) }}",
        "{{ ''.getClass() }}",
        "{{ messages.getClass().forName('x') }}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% block b %}{% endblock %}",
        "{% call f() %}{% endcall %}",
        "{% do 1 %}",
        "{% with x=1 %}{% endwith %}",
        "{% generation %}{% endgeneration %}",
        "{% for x in [1] recursive %}{% endfor %}",
        "{{ f(*args) }}",
        "{{ f(**args) }}",
        "{{ 'a' | attr('b') }}",
        "{{ [1] | groupby('x') }}",
        "{{ cycler('a') }}",
        "{{ joiner() }}",
        "{{ '\\N{DASH}' }}",
        "{{ 0x10 }}",
        "{{ 'a' | pprint }}",
        "{{ strftime_now('%c') }}",
        "{{ 'a'.encode() }}",
        "{{ range(3).start }}",
        "{% macro m() %}{{ caller() }}{% endmacro %}",
        "{% macro m() %}{{ varargs }}{% endmacro %}",
        "{{ self }}",
        "{{ namespace(a=1) }}",
        "{{ [1] | map('upper') }}",
        "{{ {1.5: 1} }}"
      })
  void whatIsNotSupportedIsRefused(String template) {
    assertThatExceptionOfType(TemplateException.class)
        .isThrownBy(() -> render(template))
        .withMessageStartingWith("template line 1: ");
  }

  @Test
  void messageNamesTheLineAndTheConstruct() {
    assertThatThrownBy(() -> render("a\n{% if true %}\n  {{ 'x'\n | frobnicate }}{% endif %}"))
        .hasMessage("template line 4: filter 'frobnicate' is not supported");
    assertThatThrownBy(() -> render("a\r\n\n{% frob %}"))
        .hasMessage("template line 3: statement 'frob' is not supported");
    assertThatThrownBy(() -> render("\n{{ messages[0].meta.deep }}"))
        .hasMessageContaining("line 2")
        .hasMessageContaining("meta")
        .hasMessageContaining("undefined");
  }

  @Test
  void raisedReasonIsToldApartFromAFailure() {
    assertThatExceptionOfType(TemplateRaised.class)
        .isThrownBy(() -> render("\n{{ raise_exception('no ' ~ messages[0].role) }}"))
        .satisfies(e -> assertThat(e.reason()).isEqualTo("no user"))
        .withMessage("template line 2: raised: a text of 7 characters");
  }

  /** What a message says must not get into errors, which are logged and kept. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "{{ raise_exception('no ' ~ messages[0].role) }}",
        "{{ {}[messages[0].role].x }}",
        "{{ {'a': 1}[messages[0].role] + 1 }}",
        "{{ ('inf_' ~ messages[0].role) | int }}",
        "{{ 'x'.index(messages[0].role) }}",
        "{{ ('{' ~ messages[0].role ~ '}').format(1) }}",
        "{{ [1] | map(messages[0].role) | list }}",
        "{{ [1] | select(messages[0].role) | list }}",
        "{{ [{}] | sort(attribute=messages[0].role ~ ',') }}",
        "{{ [{}] | map(attribute=messages[0].role ~ '.y') | list }}",
        "{{ ''['__' ~ messages[0].role] }}"
      })
  void errorDoesNotTellWhatMessagesSay(String template) {
    ChatTemplate parsed = ChatTemplate.parse(template);
    assertThatExceptionOfType(TemplateException.class)
        .isThrownBy(() -> parsed.render(List.of(Map.of("role", "my_secret")), CONTEXT))
        .satisfies(e -> assertThat(e.getMessage()).doesNotContain("my_secret"))
        .withMessageContaining("characters");
  }

  @Test
  void clockAndZoneComeFromTheContext() {
    String template = "{{ strftime_now('%Y-%m-%d %H:%M') }}";
    TemplateContext later =
        new TemplateContext(Map.of(), CONTEXT.now(), ZoneId.of("Europe/Zurich"));
    assertThat(render(template)).isEqualTo("2024-12-31 23:30");
    assertThat(ChatTemplate.parse(template).render(List.of(), later)).isEqualTo("2025-01-01 00:30");
  }

  @Test
  void contextAddsWhatTheTemplateSees() {
    ChatTemplate template =
        ChatTemplate.parse(
            "{{ bos_token is defined }} {{ eos_token }} {{ add_generation_prompt }} {{ tools }}"
                + " {{ enable_thinking }}");
    assertThat(template.render(List.of(), CONTEXT)).isEqualTo("False </s> True None ");
    TemplateContext other =
        CONTEXT
            .withTools(List.of(Map.of("name", "f")))
            .with("enable_thinking", false)
            .withoutGenerationPrompt();
    assertThat(template.render(List.of(), other))
        .isEqualTo("False </s> False [{'name': 'f'}] False");
  }

  @Test
  void dataOfOtherTypesIsRefused() {
    Map<String, Object> message = new HashMap<>();
    message.put("role", new StringBuilder("user"));
    assertThatThrownBy(() -> ChatTemplate.parse("x").render(List.of(message), CONTEXT))
        .hasMessageContaining("java.lang.StringBuilder");
  }

  @Test
  void oneTemplateRendersInManyThreads() {
    ChatTemplate template =
        ChatTemplate.parse(
            "{% set ns = namespace(n=0) %}{% for i in range(50) %}{% set ns.n = ns.n + i %}"
                + "{% endfor %}{{ ns.n }}");
    List<String> all =
        java.util.stream.IntStream.range(0, 400)
            .parallel()
            .mapToObj(i -> template.render(List.of(), CONTEXT))
            .distinct()
            .toList();
    assertThat(all).containsExactly("1225");
  }
}
