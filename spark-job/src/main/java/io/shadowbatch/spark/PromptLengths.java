package io.shadowbatch.spark;

import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.spark.JobConfig.LongPrompts;
import java.util.Arrays;

/** What becomes of prompts that do not fit the context. */
final class PromptLengths {

  private PromptLengths() {}

  /**
   * The prompt's tokens, or fewer of them.
   *
   * @param contextTokens most tokens of prompt and completion; a completion needs at least one
   * @param maxTokens completion tokens to leave room for, up to half of the context
   * @param promptTokensMax the row's own limit, which keeps the end; 0 for none
   */
  static int[] fit(
      int[] tokens, int contextTokens, int maxTokens, int promptTokensMax, LongPrompts policy) {
    int[] kept = tokens;
    if (promptTokensMax > 0 && kept.length > promptTokensMax) {
      kept = Arrays.copyOfRange(kept, kept.length - promptTokensMax, kept.length);
    }
    if (kept.length < contextTokens) return kept;
    int keep = Math.max(1, contextTokens - Math.min(maxTokens, contextTokens / 2));
    return switch (policy) {
      case ERROR ->
          throw new RowException(
              ErrorCode.PROMPT_TOO_LONG,
              "tokenize",
              "the prompt has %d tokens, expected at most %d; set --on-long-prompt to truncate"
                  .formatted(kept.length, contextTokens - 1));
      case TRUNCATE_LEFT -> Arrays.copyOfRange(kept, kept.length - keep, kept.length);
      case TRUNCATE_RIGHT -> Arrays.copyOf(kept, keep);
      case TRUNCATE_MIDDLE -> {
        int head = (keep + 1) / 2;
        int[] ends = Arrays.copyOf(kept, keep);
        System.arraycopy(kept, kept.length - (keep - head), ends, head, keep - head);
        yield ends;
      }
    };
  }
}
