package io.shadowbatch.eval;

import io.shadowbatch.eval.EvalCase.Ask;
import io.shadowbatch.eval.EvalCase.Continuation;
import io.shadowbatch.tokens.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;

/** Makes the cases of a suite: the same for the same suite, seed and tokenizer. */
final class Cases {
  private static final int DEPTHS = 10;
  private static final String NEEDLE_INTRO =
      "A pass key is hidden in the text below. Find it and remember it.\n\n";
  private static final String NEEDLE = "\n\nThe pass key is %s. Remember it: %1$s is the pass key.";
  private static final String NEEDLE_QUESTION = "\n\nWhat is the pass key?";
  private static final String NEEDLE_ANSWER = "The pass key is";
  private static final String JSON_INTRO =
      "Fields of a JSON object are hidden in the text below. Find and remember all of them.\n\n";
  private static final String JSON_ANSWER = "{\"order\": \"";
  private static final List<String> JSON_NAMES =
      List.of("order", "city", "phone", "color", "price", "animal", "weight", "month");
  private static final List<List<String>> JSON_WORDS =
      List.of(
          List.of("Lisbon", "Oslo", "Cairo", "Lima", "Vienna", "Tokyo", "Boston", "Madrid"),
          List.of("red", "blue", "green", "black", "white", "yellow", "purple", "brown"),
          List.of("horse", "tiger", "eagle", "whale", "rabbit", "snake", "camel", "wolf"),
          List.of("January", "March", "April", "May", "June", "July", "August", "October"));
  private static final List<String> QUESTIONS =
      List.of(
          "Who is the most important person in this text?",
          "Sum up the text in one sentence.",
          "Where does the scene take place?",
          "Which feelings are described?",
          "Name two persons of the text.",
          "What does the family want?",
          "Is the tone serious or ironic?",
          "What is said about money?",
          "What is said about marriage?",
          "Which person is the youngest?",
          "How does the text begin?",
          "How does the text end?",
          "Give the text a title.",
          "Which words describe the weather or the landscape?",
          "What will happen next?",
          "Who speaks the most?");

  private final Suite suite;
  private final ChatFrame frame;
  private final NaturalText text;
  private final Random random;

  private Cases(Suite suite, ChatFrame frame, NaturalText text, long seed) {
    this.suite = suite;
    this.frame = frame;
    this.text = text;
    this.random = new Random(seed ^ suite.name().hashCode());
  }

  /** All cases of a suite. */
  static List<EvalCase> of(Suite suite, ChatFrame frame, NaturalText text, long seed) {
    Cases c = new Cases(suite, frame, text, seed);
    List<EvalCase> cases =
        switch (suite.kind()) {
          case NEEDLE4K -> c.needles();
          case NAT2K, NAT4K -> c.prose();
          case GROUP4K -> c.questions(null);
          case TURNS4K -> c.questions(frame.next());
          case GEN1K -> c.drawn();
          case JSON4K -> c.extractions();
        };
    return List.copyOf(cases);
  }

  private List<int[]> passages(int tokens) {
    checkRoom(tokens);
    return text.passages(frame.tokenizer(), suite.cases(), tokens, random);
  }

  private int[] shortened(int[] passage, int by) {
    checkRoom(passage.length - by);
    return Arrays.copyOf(passage, passage.length - by);
  }

  /** Of the tokens of a prompt, some must be left for prose. */
  private void checkRoom(int tokens) {
    if (tokens > 0) return;
    throw new IllegalArgumentException(
        "%s of %d tokens: at least %d are needed; give --tokens a larger number"
            .formatted(suite.name(), suite.tokens(), suite.tokens() + 1 - tokens));
  }

  private List<EvalCase> prose() {
    checkRoom(suite.tokens() - suite.rows());
    List<EvalCase> cases = new ArrayList<>();
    int prompt = suite.tokens() - suite.rows();
    int[] begin = frame.tokenizer().encodeWithModelSpecials("");
    for (int[] own : passages(suite.tokens() - begin.length)) {
      int[] all = joined(begin, own);
      int[] known = Arrays.copyOfRange(all, prompt, all.length);
      int[] tokens = Arrays.copyOf(all, prompt);
      cases.add(alone(new Ask(tokens, suite.rows(), Continuation.KNOWN, known, null, null)));
    }
    return cases;
  }

  private List<EvalCase> drawn() {
    List<EvalCase> cases = new ArrayList<>();
    int[] begin = frame.tokenizer().encodeWithModelSpecials("");
    for (int[] own : passages(suite.tokens() - begin.length)) {
      Ask ask = new Ask(joined(begin, own), suite.rows(), Continuation.DRAWN, null, null, null);
      cases.add(alone(ask));
    }
    return cases;
  }

  private List<EvalCase> needles() {
    int[] head = joined(frame.head(), frame.encode(NEEDLE_INTRO));
    int[] tail = joined(frame.encode(NEEDLE_QUESTION), frame.tail(), frame.encode(NEEDLE_ANSWER));
    List<int[]> needles = new ArrayList<>();
    List<String> keys = new ArrayList<>();
    for (int i = 0; i < suite.cases(); i++) {
      keys.add(String.valueOf(10_000 + random.nextInt(90_000)));
      needles.add(frame.encode(NEEDLE.formatted(keys.get(i))));
    }
    List<EvalCase> cases = new ArrayList<>();
    List<int[]> fillers = passages(suite.tokens() - head.length - tail.length);
    for (int i = 0; i < suite.cases(); i++) {
      int[] needle = needles.get(i);
      int[] filler = shortened(fillers.get(i), needle.length);
      // 7 and 10 have no common factor: a few cases lie at different depths, all at each equally.
      double depth = (i * 7 % DEPTHS + 0.5) / DEPTHS;
      int[] prompt = joined(head, spread(filler, List.of(needle), List.of(depth)), tail);
      cases.add(own(prompt, new AnswerKey.Number(keys.get(i))));
    }
    return cases;
  }

  private List<EvalCase> extractions() {
    int[] head = joined(frame.head(), frame.encode(JSON_INTRO));
    String question =
        "\n\nWrite the JSON object with the fields " + String.join(", ", JSON_NAMES) + ".";
    int[] tail = joined(frame.encode(question), frame.tail(), frame.encode(JSON_ANSWER));
    List<EvalCase> cases = new ArrayList<>();
    List<Double> depths =
        IntStream.range(0, JSON_NAMES.size()).mapToObj(i -> (i + 0.5) / JSON_NAMES.size()).toList();
    for (int[] passage : passages(suite.tokens() - head.length - tail.length)) {
      Map<String, String> fields = fields();
      List<int[]> notes = new ArrayList<>();
      int noteTokens = 0;
      for (var field : fields.entrySet()) {
        String note = "\n\nThe JSON field \"%s\" is: \"%s\".";
        notes.add(frame.encode(note.formatted(field.getKey(), field.getValue())));
        noteTokens += notes.get(notes.size() - 1).length;
      }
      int[] filler = shortened(passage, noteTokens);
      cases.add(
          own(
              joined(head, spread(filler, notes, depths), tail),
              new AnswerKey.Fields(JSON_ANSWER, fields)));
    }
    return cases;
  }

  /** Words and numbers in turn, in the order of the names. */
  private Map<String, String> fields() {
    Map<String, String> fields = new LinkedHashMap<>();
    for (int i = 0; i < JSON_NAMES.size(); i++) {
      List<String> words = JSON_WORDS.get(i / 2);
      String value =
          i % 2 == 1
              ? words.get(random.nextInt(words.size()))
              : String.valueOf(100 + random.nextInt(900));
      fields.put(JSON_NAMES.get(i), value);
    }
    return fields;
  }

  /**
   * Questions about a text of their own.
   *
   * @param next what stands between an answer and the question behind it; null if each question is
   *     a request of its own
   */
  private List<EvalCase> questions(int[] next) {
    List<EvalCase> cases = new ArrayList<>();
    for (int[] passage : passages(suite.tokens() - frame.head().length)) {
      List<Ask> asks = new ArrayList<>();
      for (int i = 0; i < suite.asks(); i++) {
        String mark = next == null || i == 0 ? "\n\n" : "";
        String question = mark + QUESTIONS.get((i + cases.size()) % QUESTIONS.size());
        int[] tokens = joined(frame.encode(question), frame.tail());
        asks.add(new Ask(tokens, suite.rows(), Continuation.LIKELY, null, null, next));
      }
      cases.add(new EvalCase(joined(frame.head(), passage), List.copyOf(asks)));
    }
    return cases;
  }

  private EvalCase own(int[] prompt, AnswerKey key) {
    return alone(new Ask(prompt, suite.rows(), Continuation.OWN, null, key, null));
  }

  private static EvalCase alone(Ask ask) {
    return new EvalCase(new int[0], List.of(ask));
  }

  /** The notes in the filler, each behind the last sentence that ends before its depth. */
  private int[] spread(int[] filler, List<int[]> notes, List<Double> depths) {
    int[] all = {};
    int from = 0;
    for (int i = 0; i < notes.size(); i++) {
      int to = Math.max(from, sentenceEnd(filler, (int) (depths.get(i) * filler.length)));
      all = joined(all, Arrays.copyOfRange(filler, from, to), notes.get(i));
      from = to;
    }
    return joined(all, Arrays.copyOfRange(filler, from, filler.length));
  }

  private int sentenceEnd(int[] tokens, int before) {
    Tokenizer tokenizer = frame.tokenizer();
    for (int i = before; i > 0; i--) {
      if (tokenizer.decode(tokens, i - 1, i).strip().endsWith(".")) return i;
    }
    return before;
  }

  static int[] joined(int[]... parts) {
    return Arrays.stream(parts).flatMapToInt(IntStream::of).toArray();
  }
}
