package io.shadowbatch.spark;

import io.shadowbatch.engine.CanaryMetrics;
import io.shadowbatch.kv.KvTraffic;
import io.shadowbatch.kv.ShadowSpec;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What a run says of prompts that were read in part; nothing if none was. */
final class KvReport {

  private KvReport() {}

  /**
   * As plain values, {@code canary} and {@code traffic}.
   *
   * @param prefix of both names
   * @param fellBack whether later prompts were read exactly because the canary passed a limit
   */
  static Map<String, Object> described(String prefix, EngineClock done, boolean fellBack) {
    Map<String, Object> map = new LinkedHashMap<>();
    if (done.traffic().sealed() == 0 && !fellBack) return map;
    map.put(prefix + "canary", canary(done.canary(), fellBack));
    map.put(prefix + "traffic", traffic(done.traffic()));
    return map;
  }

  private static Map<String, Object> canary(CanaryMetrics c, boolean fellBack) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("rows", c.rows());
    map.put("positions", c.positions());
    map.put("kl_mean", c.klMean());
    map.put("kl_limit", CanaryMetrics.KL_MOST);
    map.put("agreement", c.agreement());
    map.put("agreement_limit", CanaryMetrics.AGREEMENT_LEAST);
    map.put("fell_back", fellBack);
    return map;
  }

  private static Map<String, Object> traffic(KvTraffic t) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("prompts", t.sealed());
    map.put("decoded_rows", t.rows());
    map.put("tokens_read", t.tokensRead());
    map.put("tokens_held", t.tokensHeld());
    map.put("read_share", ratio(t.tokensRead(), t.tokensHeld()));
    map.put("host_bytes", t.hostBytes());
    map.put("host_bytes_per_row", ratio(t.hostBytes(), t.rows()));
    map.put("group_overlap", ratio(t.groupShared(), t.groupPicks()));
    double captured = t.massRows() == 0 ? 0 : t.massCaptured() / t.massRows();
    map.put("captured_mass", Math.round(1e4 * captured) / 1e4);
    map.put("hits", t.hits());
    map.put("misses", t.misses());
    map.put("build_seconds", Math.round(1000 * t.buildSeconds()) / 1000.0);
    return map;
  }

  private static double ratio(long part, long whole) {
    return whole == 0 ? 0 : Math.round(1e4 * part / whole) / 1e4;
  }

  /** The canary's line for people; what came of its limits is on the same line. */
  static String canaryText(CanaryMetrics c, boolean fellBack) {
    return String.format(
        Locale.ROOT,
        "%,d answers compared over %,d tokens: KL %.4f (at most %s), same token %.1f %% (at least"
            + " %.0f)%s",
        c.rows(),
        c.positions(),
        c.klMean(),
        CanaryMetrics.KL_MOST,
        100 * c.agreement(),
        100 * CanaryMetrics.AGREEMENT_LEAST,
        fellBack ? "; past a limit, later prompts were read exactly" : "");
  }

  /** {@code kv_notes}: what answers depend on besides their prompts; empty if on nothing. */
  static Map<String, Object> notes(KvOptions kv, boolean fellBack) {
    List<String> notes = new ArrayList<>();
    if (kv.mode() == KvOptions.Mode.AUTO) {
      notes.add(
          "auto chose by the groups of each partition and by measured costs: with other partitions"
              + " or machines it may read other prompts in part; meta.kv_mode names each choice");
    }
    if (kv.shadow() != null && kv.shadow().attend() == ShadowSpec.Attend.UNION) {
      notes.add("--shadow-attend union: answers depend on what else was computed with them");
    }
    if (fellBack) {
      notes.add(
          "the canary passed a limit: which prompts were still read in part depends on the order in"
              + " which they were computed");
    }
    return notes.isEmpty() ? Map.of() : Map.of("kv_notes", notes);
  }
}
