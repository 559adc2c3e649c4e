package io.shadowbatch.spark;

import static io.shadowbatch.spark.JobOption.Type.DECIMAL;
import static io.shadowbatch.spark.JobOption.Type.PAIRS;
import static io.shadowbatch.spark.JobOption.Type.SIZE;
import static io.shadowbatch.spark.JobOption.Type.SIZE_OR_AUTO;
import static io.shadowbatch.spark.JobOption.Type.SWITCH;
import static io.shadowbatch.spark.JobOption.Type.TEXT;
import static io.shadowbatch.spark.JobOption.Type.TEXTS;
import static io.shadowbatch.spark.JobOption.Type.WHOLE;
import static io.shadowbatch.spark.JobOption.choice;
import static io.shadowbatch.spark.JobOption.of;

import java.util.List;

/**
 * The table of all options, from which the command line, the Spark properties, the configuration
 * file and the README's table are made.
 */
public final class JobOptions {

  static final JobOption MODEL =
      of(
          "model",
          "engine",
          TEXT,
          null,
          "GGUF file or safetensors folder, local or any Hadoop path");
  static final JobOption BACKEND =
      choice(
          "backend",
          "engine",
          "cpu|reference|cuda",
          "cpu",
          "kernels; cuda: on the GPU that Spark gives the task, with a local master on device 0");
  static final JobOption THREADS =
      of("threads", "engine", WHOLE, "0", "cores of an executor's engine; 0: the executor's cores");
  static final JobOption DEVICE_MEMORY =
      of(
          "device-memory",
          "engine",
          SIZE,
          "1g",
          "keys and values that an executor's kernels read at full speed; on the CPU a budget");
  static final JobOption HOST_MEMORY =
      of(
          "host-memory",
          "engine",
          SIZE_OR_AUTO,
          "auto",
          "what prompts read in part keep behind --device-memory; auto: what suits it; 0: none");
  static final JobOption HOST_FOLDER =
      of(
          "host-folder",
          "engine",
          TEXT,
          null,
          "executors' folder where --host-memory lies in files; else it is plain memory");
  static final JobOption KV_CODEC =
      choice(
          "kv-codec",
          "engine",
          "auto|int8|fp16",
          "auto",
          "how keys and values are stored; auto: fp16 if keys have biases and on cuda, else int8");
  static final JobOption KV_MODE =
      choice(
          "kv-mode",
          "engine",
          "auto|dense|shadow",
          "dense",
          "dense: exact; shadow: long prompts are read in part; auto: those where it pays");
  static final JobOption SHADOW_BUDGET =
      of("shadow-budget", "engine", WHOLE, "512", "prompt tokens that each step picks to read");
  static final JobOption SHADOW_OUTLIERS =
      of(
          "shadow-outliers",
          "engine",
          WHOLE,
          "16",
          "chunks besides, those that their mean stands for worst");
  static final JobOption SHADOW_CHUNK =
      choice(
          "shadow-chunk",
          "engine",
          "auto|4|8|16",
          "auto",
          "tokens that are picked together; auto: 4 if keys have biases, else 8");
  static final JobOption SHADOW_KEYS =
      choice(
          "shadow-keys",
          "engine",
          "exact|lowrank_int8|lowrank_fp16",
          "exact",
          "lowrank: the device holds factors of keys, for prompts of 2,080 tokens and more");
  static final JobOption SHADOW_RANK =
      of("shadow-rank", "engine", WHOLE, "64", "rank of those factors, a multiple of 16");
  static final JobOption SHADOW_ATTEND =
      choice(
          "shadow-attend",
          "engine",
          "private|union",
          "private",
          "union: a step's prompts with one beginning read each other's picks too");
  static final JobOption SHADOW_LEAST =
      of("shadow-least", "engine", WHOLE, "1024", "prompts of fewer tokens are read exactly");
  static final JobOption MAX_MODEL_LEN =
      of("max-model-len", "engine", WHOLE, "0", "tokens of prompt and completion; 0: the model's");
  static final JobOption BATCH_TOKENS =
      of(
          "batch-tokens",
          "engine",
          WHOLE,
          "0",
          "most tokens of one step; 0: measured on the machine");

  static final JobOption INPUT =
      of("input", "input", TEXT, null, "path of the prompts, or what the format loads");
  static final JobOption INPUT_FORMAT =
      of(
          "input-format",
          "input",
          TEXT,
          "parquet",
          "any Spark source: parquet, json, csv, ..; or openai-batch");
  static final JobOption INPUT_OPTION =
      of("input-option", "input", PAIRS, null, "option of that source, such as header=true");
  static final JobOption ID_COL =
      of("id-col", "input", TEXT, null, "user's key; else request_id, custom_id or id if present");
  static final JobOption PROMPT_COL =
      of("prompt-col", "input", TEXT, null, "raw prompt text; else prompt if present");
  static final JobOption MESSAGES_COL =
      of("messages-col", "input", TEXT, null, "chat messages; else messages if present");
  static final JobOption PROMPT_TEMPLATE =
      of(
          "prompt-template",
          "input",
          TEXT,
          null,
          "user message over columns, as in \"Sum up {body}\"");
  static final JobOption PROMPT_FIELDS =
      of(
          "prompt-fields",
          "input",
          TEXT,
          null,
          "columns as a JSON object at {fields} of the template or after it, comma-separated");
  static final JobOption FIELD_ORDER =
      choice(
          "field-order",
          "input",
          "given|auto",
          "given",
          "auto: the order of --prompt-fields that lets prompts share most");
  static final JobOption SYSTEM_PROMPT =
      of("system-prompt", "input", TEXT, null, "system message of messages and of the template");
  static final JobOption SYSTEM_PROMPT_COL =
      of("system-prompt-col", "input", TEXT, null, "column with the row's system message");
  static final JobOption PARAMS_COL =
      of("params-col", "input", TEXT, null, "row's parameters; else sampling_params if present");
  static final JobOption UNKNOWN_PARAMS =
      choice("unknown-params", "input", "error|warn|ignore", "error", "unknown row parameters");
  static final JobOption KEEP_COLS =
      of("keep-cols", "input", TEXT, null, "columns to copy, comma-separated; else all not used");
  static final JobOption LIMIT = of("limit", "input", WHOLE, "0", "only that many rows; 0: all");
  static final JobOption ON_LONG_PROMPT =
      choice(
          "on-long-prompt",
          "input",
          "error|truncate_left|truncate_right|truncate_middle",
          "error",
          "prompts longer than the context");
  static final JobOption TEMPLATE_DATE =
      of("template-date", "input", TEXT, null, "clock of chat templates, ISO 8601; else the start");

  static final JobOption OUTPUT = of("output", "output", TEXT, null, "folder of the completions");
  static final JobOption OUTPUT_FORMAT =
      choice(
          "output-format",
          "output",
          "parquet|openai-batch",
          "parquet",
          "openai-batch: OpenAI batch answers too, as JSON lines in _openai of the output");
  static final JobOption ON_EXISTING =
      choice(
          "on-existing",
          "output",
          "resume|fail|overwrite",
          "resume",
          "output exists; resume: compute what it lacks; overwrite only deletes a job's output");
  static final JobOption REUSE =
      of("reuse", "output", TEXTS, null, "output of another job whose equal answers are copied");
  static final JobOption CHUNK_ROWS =
      of("chunk-rows", "output", WHOLE, "1024", "most rows that a task computes between commits");
  static final JobOption CHUNK_MINUTES =
      of("chunk-minutes", "output", DECIMAL, "5", "minutes after which it commits fewer");
  static final JobOption MAX_ERROR_RATE =
      of("max-error-rate", "output", DECIMAL, "0.05", "share of error rows above which exit is 5");
  static final JobOption MAX_ERRORS =
      of("max-errors", "run", WHOLE, "0", "error rows above which the run stops; 0: no bound");
  static final JobOption DEADLINE =
      of(
          "deadline",
          "run",
          TEXT,
          null,
          "stop then, resumable: 90m, 2h, 1h30m, or a time as 2026-01-31T09:00Z");
  static final JobOption TOKEN_BUDGET =
      of(
          "token-budget",
          "run",
          WHOLE,
          "0",
          "stop after about so many prompt and new tokens computed, resumable; 0: no bound");
  static final JobOption COST_BUDGET =
      of("cost-budget", "run", DECIMAL, "0", "stop at that cost, resumable; 0: no bound");
  static final JobOption PRICE_PER_HOUR =
      of("price-per-hour", "run", DECIMAL, "0", "of one executor, for --cost-budget");
  static final JobOption LOG_FORMAT =
      choice("log-format", "output", "text|json", "text", "json: also one line on standard output");

  static final JobOption PARTITIONS =
      of("partitions", "plan", WHOLE, "0", "tasks of the inference; 0: from rows and slots");
  static final JobOption PREFIX_PLAN =
      choice("prefix-plan", "plan", "on|off", "on", "bring prompts that begin alike together");
  static final JobOption PLANNER =
      choice(
          "planner",
          "plan",
          "range|global",
          "range",
          "cuts of partitions: from a sample, or exact by one more sort without prompts");
  static final JobOption DEDUP =
      choice(
          "dedup", "plan", "auto|off", "auto", "compute equal requests once and copy the answer");

  static final JobOption MAX_TOKENS =
      of("max-tokens", "sampling", WHOLE, "128", "most tokens of a completion");
  static final JobOption MIN_TOKENS =
      of("min-tokens", "sampling", WHOLE, "0", "no end before that many");
  static final JobOption TEMPERATURE =
      of("temperature", "sampling", DECIMAL, "0", "0: the most likely token");
  static final JobOption TOP_P =
      of("top-p", "sampling", DECIMAL, "1", "smallest set that reaches this probability");
  static final JobOption TOP_K = of("top-k", "sampling", WHOLE, "0", "most likely tokens; 0: all");
  static final JobOption MIN_P =
      of("min-p", "sampling", DECIMAL, "0", "least probability relative to the most likely");
  static final JobOption N = of("n", "sampling", WHOLE, "1", "completions for each row");
  static final JobOption SEED =
      of("seed", "sampling", WHOLE, "0", "job's seed, mixed with each row's request key");
  static final JobOption STOP = of("stop", "sampling", TEXTS, null, "text that ends a completion");
  static final JobOption STOP_TOKEN_IDS =
      of("stop-token-ids", "sampling", TEXT, null, "token ids that end it, comma-separated");
  static final JobOption PRESENCE_PENALTY =
      of("presence-penalty", "sampling", DECIMAL, "0", "for tokens generated before");
  static final JobOption FREQUENCY_PENALTY =
      of("frequency-penalty", "sampling", DECIMAL, "0", "for each time that one was generated");
  static final JobOption REPETITION_PENALTY =
      of("repetition-penalty", "sampling", DECIMAL, "1", "divides logits of tokens seen; 1: none");
  static final JobOption LOGPROBS =
      of(
          "logprobs",
          "sampling",
          WHOLE,
          "-1",
          "alternatives a step reports; -1: no log-probabilities");
  static final JobOption IGNORE_EOS =
      of("ignore-eos", "sampling", SWITCH, "false", "go on after the model's end token");

  /** All options, in the order in which they are shown. */
  public static final List<JobOption> ALL =
      List.of(
          MODEL,
          INPUT,
          OUTPUT,
          INPUT_FORMAT,
          INPUT_OPTION,
          ID_COL,
          PROMPT_COL,
          MESSAGES_COL,
          PROMPT_TEMPLATE,
          PROMPT_FIELDS,
          FIELD_ORDER,
          SYSTEM_PROMPT,
          SYSTEM_PROMPT_COL,
          PARAMS_COL,
          UNKNOWN_PARAMS,
          KEEP_COLS,
          LIMIT,
          ON_LONG_PROMPT,
          TEMPLATE_DATE,
          MAX_TOKENS,
          MIN_TOKENS,
          TEMPERATURE,
          TOP_P,
          TOP_K,
          MIN_P,
          N,
          SEED,
          STOP,
          STOP_TOKEN_IDS,
          PRESENCE_PENALTY,
          FREQUENCY_PENALTY,
          REPETITION_PENALTY,
          LOGPROBS,
          IGNORE_EOS,
          PARTITIONS,
          PREFIX_PLAN,
          PLANNER,
          DEDUP,
          OUTPUT_FORMAT,
          ON_EXISTING,
          REUSE,
          CHUNK_ROWS,
          CHUNK_MINUTES,
          MAX_ERROR_RATE,
          MAX_ERRORS,
          DEADLINE,
          TOKEN_BUDGET,
          COST_BUDGET,
          PRICE_PER_HOUR,
          LOG_FORMAT,
          BACKEND,
          THREADS,
          DEVICE_MEMORY,
          HOST_MEMORY,
          HOST_FOLDER,
          KV_CODEC,
          KV_MODE,
          SHADOW_BUDGET,
          SHADOW_OUTLIERS,
          SHADOW_CHUNK,
          SHADOW_KEYS,
          SHADOW_RANK,
          SHADOW_ATTEND,
          SHADOW_LEAST,
          MAX_MODEL_LEN,
          BATCH_TOKENS);

  private JobOptions() {}

  /** The option of that name, or null. */
  public static JobOption named(String name) {
    return ALL.stream().filter(o -> o.name().equals(name)).findFirst().orElse(null);
  }

  /** The option of that Spark property, or null. */
  static JobOption keyed(String key) {
    return ALL.stream().filter(o -> o.key().equals(key)).findFirst().orElse(null);
  }

  /** The README's table of options. */
  public static String markdown() {
    StringBuilder out = new StringBuilder("| option | values | default | meaning |\n");
    out.append("|---|---|---|---|\n");
    for (JobOption o : ALL) {
      String initial = o.initial() == null ? "" : "`" + o.initial() + "`";
      String values = o.values().replace("|", "\\|");
      out.append("| `--%s` | %s | %s | %s |%n".formatted(o.name(), values, initial, o.text()));
    }
    return out.toString();
  }
}
