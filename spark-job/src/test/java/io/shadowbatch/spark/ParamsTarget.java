package io.shadowbatch.spark;

import io.shadowbatch.fuzz.FuzzTarget;
import io.shadowbatch.request.SamplingParams;
import io.shadowbatch.spark.JobConfig.UnknownParams;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/** A row's parameters as JSON over the job's, and the same out of the form they travel in. */
public final class ParamsTarget implements FuzzTarget {
  static final String PARAMS =
      "{\"max_completion_tokens\":\"7\",\"min_tokens\":1,\"temperature\":0.5,\"top_p\":0.9,"
          + "\"top_k\":4,\"min_p\":0.1,\"n\":2,\"seed\":-3,\"stop\":[\"a\",\"b\"],"
          + "\"stop_token_ids\":[1,\"2\"],\"presence_penalty\":0.1,\"frequency_penalty\":-1,"
          + "\"repetition_penalty\":1.1,\"logprobs\":3,\"ignore_eos\":true,"
          + "\"truncate_prompt_tokens\":9,\"colour\":\"red\",\"logit_bias\":null}";
  static final Map<String, Object> DEFAULTS =
      RowParams.defaults(Settings.merge(Map.of(), Map.of(), null));
  private static final ParamsTarget ONE = new ParamsTarget();

  /** For Jazzer. */
  public static void fuzzerTestOneInput(byte[] input) {
    ONE.accepts(input);
  }

  @Override
  public List<byte[]> seeds() {
    return List.of(
        FuzzTarget.joined(PARAMS),
        FuzzTarget.joined("{\"stop\":\"[\\\"x\\\"]\",\"stop_token_ids\":\"[4]\"}"));
  }

  @Override
  public List<String> words() {
    return JSON_WORDS;
  }

  @Override
  public boolean accepts(byte[] input) {
    try {
      Map<String, Object> own = RowParams.object(new String(input, StandardCharsets.UTF_8));
      Map<String, Object> merged = RowParams.merge(DEFAULTS, own, UnknownParams.IGNORE);
      RowParams.samples(merged);
      SamplingParams params = RowParams.sampling(merged, 0);
      String json = RowParams.json(merged);
      Map<String, Object> again = RowParams.parsed(json);
      boolean same =
          again.equals(merged)
              && RowParams.sampling(again, 0).equals(params)
              && RowParams.maxTokens(json) == params.maxTokens();
      if (!same) throw new IllegalStateException(merged + " came back as " + again);
      return true;
    } catch (RowException e) {
      return false;
    }
  }
}
