package io.shadowbatch.tokens.template;

/**
 * Bounds of one rendering; passing any of them is a {@link TemplateException}.
 *
 * @param steps evaluated nodes, plus one for every 16 characters or list items produced
 * @param chars longest string or output, in UTF-16 units
 * @param items longest list
 * @param depth deepest nesting of expressions, blocks, macro calls and values
 */
record TemplateLimits(long steps, int chars, int items, int depth) {
  static final TemplateLimits DEFAULT = new TemplateLimits(4_000_000L, 16 << 20, 1_000_000, 300);

  /** Longest {@code range}, as in Jinja's own sandbox. */
  static final int RANGE_MAX = 100_000;
}
