package io.shadowbatch.spark;

import java.io.Serializable;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * When a run ends before its rows do; 0 or null where nothing is bounded.
 *
 * @param after the run's begin
 * @param at a time
 * @param tokens computed, of prompts and of answers
 * @param cost in the unit of the price
 * @param pricePerHour of one executor
 * @param errors rows
 */
public record StopRules(
    Duration after, Instant at, long tokens, double cost, double pricePerHour, long errors)
    implements Serializable {

  private static final long serialVersionUID = 1L;

  private static final Pattern DURATION =
      Pattern.compile("(?:(\\d{1,6})h)?(?:(\\d{1,6})m)?(?:(\\d{1,6})s)?");

  static StopRules of(Settings s) {
    double cost = s.decimal(JobOptions.COST_BUDGET);
    double price = s.decimal(JobOptions.PRICE_PER_HOUR);
    if (cost < 0) throw s.wrong(JobOptions.COST_BUDGET, "0 or more", "" + cost);
    if (price < 0 || cost > 0 && price == 0) {
      throw s.wrong(JobOptions.PRICE_PER_HOUR, "more than 0 beside --cost-budget", "" + price);
    }
    String deadline = s.text(JobOptions.DEADLINE);
    Duration after = deadline == null ? null : duration(deadline);
    Instant at = deadline == null || after != null ? null : time(s, deadline);
    return new StopRules(
        after, at, s.whole(JobOptions.TOKEN_BUDGET), cost, price, s.whole(JobOptions.MAX_ERRORS));
  }

  private static Duration duration(String text) {
    Matcher parts = DURATION.matcher(text);
    if (text.isEmpty() || !parts.matches()) return null;
    return Duration.ofHours(number(parts.group(1)))
        .plusMinutes(number(parts.group(2)))
        .plusSeconds(number(parts.group(3)));
  }

  private static long number(String digits) {
    return digits == null ? 0 : Long.parseLong(digits);
  }

  private static Instant time(Settings s, String text) {
    try {
      return OffsetDateTime.parse(text).toInstant();
    } catch (DateTimeException e) {
      throw s.wrong(
          JobOptions.DEADLINE, "a duration as 1h30m, or a time as 2026-01-31T09:00Z", text);
    }
  }

  /**
   * Why a run should stop, or null.
   *
   * @param start of the run
   * @param engines executors that are paid
   */
  String broken(Instant start, Instant now, int engines, Tally done) {
    Duration spent = Duration.between(start, now);
    if (after != null && spent.compareTo(after) >= 0) return "--deadline: " + after + " are over";
    if (at != null && !now.isBefore(at)) return "--deadline: it is past " + at;
    long computed =
        done.get(Tally.PROMPT_TOKENS) - done.get(Tally.CACHED_TOKENS) + done.get(Tally.NEW_TOKENS);
    if (tokens > 0 && computed >= tokens) {
      return "--token-budget %d: %d tokens were computed".formatted(tokens, computed);
    }
    double paid = spent.toMillis() / 3.6e6 * engines * pricePerHour;
    if (cost > 0 && paid >= cost) {
      return "--cost-budget %s: %d executors cost %.2f".formatted(cost, engines, paid);
    }
    return null;
  }

  /** Whether so many error rows end the run. */
  boolean tooMany(long errorRows) {
    return errors > 0 && errorRows > errors;
  }
}
