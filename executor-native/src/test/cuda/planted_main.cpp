// Runs one kernel of planted.cu and prints the sum of what it left; 1 if that is no number. Other
// bugs end the process. Without a name: each in a process of its own, where every bug must show in
// the way named, and the clean ones in none. The folder of the programs is the argument.
#include "check.h"

#include <unistd.h>

namespace {

struct PlantedParams {
  float* x;
  int n, padding;
};

int runOne(const char* kernel) {
  constexpr int N = 64, PIECES = 8;
  // Ends where the address sanitizer looks.
  bool small = std::strstr(kernel, "bounds") != nullptr;
  size_t count = small ? N : N * PIECES;
  float* x = (float*)std::aligned_alloc(16, count * sizeof(float));
  for (size_t i = 0; i < count; i++) x[i] = (float)(i * i % 37);
  size_t shared = std::strstr(kernel, "past") ? N * sizeof(float) : 2 * N * sizeof(float);
  unsigned blocks = std::strstr(kernel, "block") ? 2 : 1;
  check::launch(kernel, blocks, N, shared, PlantedParams{x, N, 0});
  double sum = 0;
  for (int i = 0; i < N; i++) sum += x[i] * (i + 1);
  std::printf("%.9g\n", sum);
  std::free(x);
  return sum != sum;
}

// What a process printed, and "died" if it did not end well.
std::string outcome(const std::string& command) {
  FILE* f = popen((command + " 2>/dev/null").c_str(), "r");
  char text[256] = "";
  std::string printed = std::fgets(text, sizeof text, f) ? text : "";
  return pclose(f) == 0 ? printed : "died";
}

struct Bug {
  const char* kernel;
  const char* program;  // whose kind of build shows it
  const char* settings;
};

const char* const LATE = "SBEMU_ORDER=fwd SBEMU_CPASYNC=late";
const char* const EARLY = "SBEMU_ORDER=fwd SBEMU_CPASYNC=early";

const Bug DIE[] = {
    {"bug_no_barrier", "tsan", EARLY},
    {"bug_no_barrier", "tsan", "SBEMU_ORDER=rev SBEMU_CPASYNC=early"},
    {"bug_no_second_barrier", "tsan", EARLY},
    {"bug_no_second_barrier", "tsan", "SBEMU_ORDER=rand:1 SBEMU_CPASYNC=early"},
    {"bug_static_no_barrier", "tsan", EARLY},
    {"bug_shuffle_as_barrier", "tsan", EARLY},
    {"bug_buffer_reused", "tsan", EARLY},
    {"bug_out_of_bounds", "asan", LATE},
    {"bug_misaligned", "asan", LATE},
    {"bug_past_shared", "asan", LATE},
    {"bug_past_shared", "plain", LATE},
    {"bug_misaligned_copy", "plain", LATE},
    {"bug_misaligned_matrix", "plain", LATE},
    {"bug_divergent_barrier", "plain", LATE},
    {"bug_lane_outside_mask", "plain", LATE},
    {"bug_exited_lane", "plain", LATE},
    {"bug_unwritten_shared", "plain", LATE},
    {"bug_missing_wait", "plain", LATE},
};

// Results that two runs do not share.
const char* const DIFFER[][3] = {
    {"bug_block_order", "SBEMU_ORDER=fwd", "SBEMU_ORDER=rev"},
    {"bug_buffer_reused", LATE, EARLY},
};

int failures = 0;

void expect(bool ok, const char* what, const char* program, const char* settings) {
  failures += !ok;
  std::printf("%s %s %s %s\n", ok ? "ok  " : "FAIL", what, program, settings);
}

std::string command(
    const std::string& folder, const char* program, const char* settings, const char* kernel) {
  std::string before = std::string(program) == "tsan" ? "setarch -R " : "";
  return std::string(settings) + " TSAN_OPTIONS=halt_on_error=1 " + before + folder + "/planted_" +
      program + " " + kernel;
}

int runAll(const std::string& folder) {
  auto there = [&](const char* program) {
    bool found = access((folder + "/planted_" + program).c_str(), X_OK) == 0;
    if (!found) std::printf("skipped: planted_%s was not built\n", program);
    return found;
  };
  bool tsan = there("tsan"), asan = there("asan");
  auto run = [&](const char* p) { return !std::strcmp(p, "tsan") ? tsan : p[0] == 'p' || asan; };
  for (const char* kernel : {"clean_mirror", "clean_pipeline"}) {
    std::string first = outcome(command(folder, "plain", LATE, kernel));
    for (const char* program : {"plain", "asan", "tsan"}) {
      for (const char* order : {"fwd", "rev", "rand:1"}) {
        for (const char* copies : {"late", "early"}) {
          std::string s = std::string("SBEMU_ORDER=") + order + " SBEMU_CPASYNC=" + copies;
          if (!run(program)) continue;
          std::string got = outcome(command(folder, program, s.c_str(), kernel));
          expect(got != "died" && got == first, kernel, program, s.c_str());
        }
      }
    }
  }
  for (const Bug& bug : DIE) {
    if (!run(bug.program)) continue;
    bool died = outcome(command(folder, bug.program, bug.settings, bug.kernel)) == "died";
    expect(died, bug.kernel, bug.program, bug.settings);
  }
  for (const auto& d : DIFFER) {
    std::string one = outcome(command(folder, "plain", d[1], d[0]));
    std::string other = outcome(command(folder, "plain", d[2], d[0]));
    expect(one != other, d[0], "plain: two runs differ", d[2]);
  }
  std::printf("%d failures\n", failures);
  return failures > 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  return sbemu::find(argv[1]) ? runOne(argv[1]) : runAll(argv[1]);
}
