package io.shadowbatch.tokens;

/**
 * The tokens that the model's file says to put around a text.
 *
 * @param first id to begin with, or -1
 * @param last id to end with, or -1
 */
record ModelSpecials(int first, int last) {
  static ModelSpecials of(GgufVocabulary v) {
    return new ModelSpecials(v.addBos() ? v.bosId() : -1, v.addEos() ? v.eosId() : -1);
  }

  int[] around(int[] ids) {
    int before = first < 0 ? 0 : 1;
    int[] out = new int[before + ids.length + (last < 0 ? 0 : 1)];
    System.arraycopy(ids, 0, out, before, ids.length);
    if (before == 1) {
      out[0] = first;
    }
    if (last >= 0) {
      out[out.length - 1] = last;
    }
    return out;
  }
}
