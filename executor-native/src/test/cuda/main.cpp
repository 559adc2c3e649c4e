// Runs all tests, or those whose names contain the argument.
#include "check.h"

int main(int argc, char** argv) {
  int ran = 0;
  for (auto* t = check::tests(); t; t = t->next) {
    if (argc > 1 && !std::strstr(t->name, argv[1])) continue;
    int before = check::failures();
    t->run();
    ran++;
    std::printf("%s %s\n", check::failures() == before ? "ok  " : "FAIL", t->name);
  }
  std::printf("%d tests, %d failures\n", ran, check::failures());
  return ran == 0 || check::failures() > 0;
}
