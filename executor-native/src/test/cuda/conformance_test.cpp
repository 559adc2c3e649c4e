// The wrappers of device.h on the emulator.
#include "check.h"
#include "conformance_cases.h"

TEST(wrappers_do_what_the_ptx_manual_says) {
  for (const auto& c : conformance::cases()) {
    conformance::Bytes in = c.in, out(c.expected.size(), 0xFF);
    // Copies need addresses of 16 bytes, which new gives.
    conformance::Params p{in.data(), out.data()};
    check::launch(c.kernel, 1, (unsigned)c.threads, (size_t)c.sharedBytes, p);
    long at = conformance::difference(c, out);
    EXPECT(at < 0, "%s: first difference at byte %ld", c.name.c_str(), at);
  }
}
