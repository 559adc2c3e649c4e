package io.shadowbatch.spark;

import static org.apache.spark.sql.functions.col;

import io.shadowbatch.spark.JobConfig.Prompts;
import io.shadowbatch.spark.JobException.Exit;
import io.shadowbatch.spark.PromptReader.Source;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.BinaryType;
import org.apache.spark.sql.types.BooleanType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * The input as a table with known columns: finds which column means what, checks types and says
 * what is wrong by name. Reads no row.
 *
 * @param rows the columns to keep, then those that {@link PromptReader} reads
 * @param reader how to read them
 * @param kept the fields that pass through
 * @param fields in which order fields are written; null if there are none
 */
record PromptTable(
    Dataset<Row> rows, PromptReader reader, List<StructField> kept, FieldPlan fields) {

  static final String PREFIX = "_shadowbatch_";

  static PromptTable open(SparkSession spark, JobConfig config) {
    PromptTable prompts = table(spark, config);
    if (config.limit() == 0) return prompts;
    int limit = (int) Math.min(config.limit(), Integer.MAX_VALUE);
    return new PromptTable(prompts.rows.limit(limit), prompts.reader, prompts.kept, prompts.fields);
  }

  /** The same with the fields in another order. */
  PromptTable with(FieldPlan ordered) {
    return new PromptTable(rows, reader.with(ordered.fields()), kept, ordered);
  }

  private static PromptTable table(SparkSession spark, JobConfig config) {
    JobConfig.Input input = config.input();
    Dataset<Row> table;
    try {
      if (input.format().equals(OpenAiTable.FORMAT)) return OpenAiTable.open(spark, config);
      var source = spark.read().format(input.format()).options(input.options());
      table = input.path() == null ? source.load() : source.load(input.path());
    } catch (Exception e) { // Spark throws checked exceptions without saying so
      boolean stopped = spark.sparkContext().isStopped();
      throw new JobException(
          stopped ? Exit.UNEXPECTED : Exit.INPUT,
          "--input %s as %s: %s".formatted(input.path(), input.format(), Failures.firstLine(e)),
          e);
    }
    return new Columns(table.schema(), config.prompts()).select(table);
  }

  /** Finds the columns of one schema. */
  private static final class Columns {
    private final StructType schema;
    private final Prompts wanted;
    private final Set<String> used = new HashSet<>();
    private final List<Column> selected = new ArrayList<>();

    Columns(StructType schema, Prompts wanted) {
      this.schema = schema;
      this.wanted = wanted;
    }

    PromptTable select(Dataset<Row> table) {
      String id = named(wanted.idCol(), "--id-col", "request_id", "custom_id", "id");
      if (id != null) add(PromptReader.ID, col(quoted(id)).cast(DataTypes.StringType), id);
      PromptTemplate template = template();
      PromptFields fields = wanted.fields() == null ? null : fields();
      Source source = source(template);
      String system = named(wanted.systemPromptCol(), "--system-prompt-col");
      if (source == Source.PROMPT && (system != null || wanted.systemPrompt() != null)) {
        throw new JobException(
            Exit.USAGE,
            "--system-prompt: raw prompts have no system message; use --messages-col or"
                + " --prompt-template");
      }
      if (system != null) add(PromptReader.SYSTEM, text(system, "--system-prompt-col"), system);
      String params = named(wanted.paramsCol(), "--params-col", "sampling_params");
      if (params != null) add(PromptReader.PARAMS, params(params), params);
      List<StructField> kept = kept();
      List<Column> all = new ArrayList<>();
      for (StructField field : kept) all.add(col(quoted(field.name())));
      all.addAll(selected);
      PromptReader reader =
          new PromptReader(source, template, fields, wanted.systemPrompt(), kept.size());
      FieldPlan plan = fields == null ? null : new FieldPlan(fields, null);
      return new PromptTable(table.select(all.toArray(new Column[0])), reader, kept, plan);
    }

    private PromptTemplate template() {
      if (wanted.fields() != null) return PromptTemplate.withFields(wanted.template());
      return wanted.template() == null ? null : PromptTemplate.parse(wanted.template());
    }

    private PromptFields fields() {
      String same = find(PromptTemplate.FIELDS);
      if (same != null && PromptTemplate.mentionsFields(wanted.template())) {
        throw new JobException(
            Exit.INPUT,
            "--prompt-template: {fields} is the place of --prompt-fields, but the input has a"
                + " column %s; rename the column, or end the template where the fields go"
                    .formatted(same));
      }
      List<String> names = new ArrayList<>();
      for (String given : wanted.fields()) {
        String name = named(given, "--prompt-fields");
        selected.add(value(name).as(PromptFields.column(names.size())));
        names.add(name);
      }
      return PromptFields.given(names);
    }

    private Source source(PromptTemplate template) {
      if (template != null) {
        if (wanted.promptCol() != null || wanted.messagesCol() != null) {
          throw oneSource("--prompt-template and a column are both given");
        }
        for (int i = 0; i < template.columns().size(); i++) {
          if (wanted.fields() != null && template.columns().get(i).equals(PromptTemplate.FIELDS)) {
            continue;
          }
          String column = named(template.columns().get(i), "--prompt-template");
          Column value = col(quoted(column)).cast(DataTypes.StringType).cast(DataTypes.BinaryType);
          selected.add(value.as(PromptReader.TEMPLATE + i));
        }
        return Source.TEMPLATE;
      }
      if (wanted.promptCol() != null && wanted.messagesCol() != null) {
        throw oneSource("--prompt-col and --messages-col are both given");
      }
      String messages = wanted.messagesCol();
      String prompt = wanted.promptCol();
      if (messages == null && prompt == null) {
        messages = find("messages");
        prompt = find("prompt");
        if (messages != null && prompt != null) {
          throw oneSource("the input has a column messages and a column prompt");
        }
        if (messages == null && prompt == null) {
          throw oneSource("the input has neither a column messages nor prompt; it has " + names());
        }
      }
      if (messages != null) {
        String name = named(messages, "--messages-col");
        add(PromptReader.MESSAGES, messages(name), name);
        return Source.MESSAGES;
      }
      String name = named(prompt, "--prompt-col");
      add(PromptReader.PROMPT, text(name, "--prompt-col"), name);
      return Source.PROMPT;
    }

    private void add(String as, Column column, String name) {
      used.add(lower(name));
      selected.add(column.as(as));
    }

    private Column text(String name, String option) {
      DataType type = type(name);
      if (type instanceof StringType || type instanceof BinaryType) {
        return col(quoted(name)).cast(DataTypes.BinaryType);
      }
      throw wrongType(name, "STRING or BINARY", "cast it, or name another with " + option);
    }

    private Column value(String name) {
      DataType type = type(name);
      if (type instanceof NumericType || type instanceof BooleanType) return col(quoted(name));
      if (type instanceof ArrayType || type instanceof MapType || type instanceof StructType) {
        throw wrongType(name, "text, a number, a truth value or a time", "cast it, as by to_json");
      }
      Column text =
          type instanceof BinaryType ? col(quoted(name)) : col(quoted(name)).cast("string");
      return text.cast(DataTypes.BinaryType);
    }

    private Column messages(String name) {
      DataType type = type(name);
      if (type instanceof StringType || type instanceof BinaryType) {
        return col(quoted(name)).cast(DataTypes.BinaryType);
      }
      boolean structs =
          type instanceof ArrayType array
              && array.elementType() instanceof StructType message
              && Arrays.asList(message.fieldNames()).containsAll(List.of("role", "content"));
      if (structs) return col(quoted(name)).cast(binary(type));
      throw wrongType(
          name,
          "ARRAY<STRUCT<role, content>> or a JSON string",
          "cast it, or name another with --messages-col");
    }

    private Column params(String name) {
      DataType type = type(name);
      boolean fits =
          type instanceof StructType
              || type instanceof StringType
              || (type instanceof MapType map && map.keyType() instanceof StringType);
      if (fits) return col(quoted(name));
      throw wrongType(
          name,
          "STRUCT, MAP<STRING, ..> or a JSON string",
          "cast it, or name another with --params-col");
    }

    private List<StructField> kept() {
      Set<String> names = new LinkedHashSet<>();
      if (wanted.keepCols() == null) {
        for (StructField field : schema.fields()) {
          if (!used.contains(lower(field.name()))) names.add(field.name());
        }
      } else {
        for (String name : wanted.keepCols()) names.add(named(name, "--keep-cols"));
      }
      List<StructField> fields = new ArrayList<>();
      for (String name : names) {
        if (CompletionTable.NAMES.contains(lower(name)) || lower(name).startsWith(PREFIX)) {
          throw new JobException(
              Exit.INPUT,
              "column %s: the output has a column of that name; rename it, or choose what to copy"
                      .formatted(name)
                  + " with --keep-cols");
        }
        StructField field = field(name);
        fields.add(DataTypes.createStructField(field.name(), field.dataType(), true));
      }
      return fields;
    }

    private String named(String given, String option, String... usual) {
      if (given == null) {
        return Arrays.stream(usual).map(this::find).filter(n -> n != null).findFirst().orElse(null);
      }
      String found = find(given);
      if (found != null) return found;
      throw new JobException(
          Exit.INPUT, "%s %s: no such column; the input has %s".formatted(option, given, names()));
    }

    private String find(String name) {
      StructField field = field(name);
      return field == null ? null : field.name();
    }

    private StructField field(String name) {
      for (StructField f : schema.fields()) if (f.name().equalsIgnoreCase(name)) return f;
      return null;
    }

    private DataType type(String name) {
      return field(name).dataType();
    }

    private String names() {
      return schema.fieldNames().length == 0
          ? "no columns"
          : String.join(", ", schema.fieldNames());
    }

    private JobException wrongType(String name, String expected, String cure) {
      return new JobException(
          Exit.INPUT,
          "column %s: expected %s, got %s; %s"
              .formatted(name, expected, type(name).catalogString(), cure));
    }

    private static JobException oneSource(String what) {
      return new JobException(
          Exit.INPUT,
          what + "; give exactly one of --messages-col, --prompt-col, --prompt-template");
    }
  }

  /** The same type with every string as bytes, so that malformed ones can be seen. */
  private static DataType binary(DataType type) {
    if (type instanceof StringType) return DataTypes.BinaryType;
    if (type instanceof ArrayType a) {
      return DataTypes.createArrayType(binary(a.elementType()), a.containsNull());
    }
    if (type instanceof StructType s) {
      List<StructField> fields = new ArrayList<>();
      for (StructField f : s.fields()) {
        fields.add(DataTypes.createStructField(f.name(), binary(f.dataType()), f.nullable()));
      }
      return DataTypes.createStructType(fields);
    }
    return type;
  }

  private static String quoted(String name) {
    return "`" + name.replace("`", "``") + "`";
  }

  private static String lower(String name) {
    return name.toLowerCase(Locale.ROOT);
  }
}
