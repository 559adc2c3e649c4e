package io.shadowbatch.eval;

import io.shadowbatch.eval.AnswerKey.Marks;
import io.shadowbatch.kv.KvTraffic;
import io.shadowbatch.kv.KvUsage;

/** What one policy's runs through the cases of a suite add up to. */
final class Tally {
  final Likeness likeness = new Likeness();
  Marks marks = Marks.NONE;
  int denseRight; // answers that the dense run has right
  int bothRight; // of these, answers that this policy has right too
  int cases;
  long prefillNanos;
  long sealNanos;
  long decodeNanos;
  long promptTokens; // computed
  long rows; // behind prompts
  long deviceBytes; // of each case the most, added up
  long hostBytes;
  KvTraffic traffic = KvTraffic.NONE; // of rows behind prompts
  private long caseDevice;
  private long caseHost;

  /** What the store holds at the end of a request. */
  void held(KvUsage usage) {
    caseDevice = Math.max(caseDevice, usage.deviceBytes());
    caseHost = Math.max(caseHost, usage.hostBytes());
  }

  void endCase() {
    deviceBytes += caseDevice;
    hostBytes += caseHost;
    caseDevice = 0;
    caseHost = 0;
    cases++;
  }

  /** Bytes of keys and values of a case in all tiers, the mean of the cases. */
  double bytesPerCase() {
    return (double) (deviceBytes + hostBytes) / cases;
  }
}
