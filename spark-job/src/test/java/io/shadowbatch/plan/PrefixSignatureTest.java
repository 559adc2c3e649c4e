package io.shadowbatch.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class PrefixSignatureTest {

  /** Goal: prompts that share whole blocks share exactly those entries. */
  @Test
  void equalPrefixesHaveEqualLeadingEntries() {
    Random random = new Random(1);
    for (int round = 0; round < 500; round++) {
      byte[] a = bytes(random, random.nextInt(20_000));
      int shared = random.nextInt(a.length + 1);
      byte[] b = Arrays.copyOf(a, shared + 1 + random.nextInt(2_000));
      random.nextBytes(Arrays.copyOfRange(b, shared, b.length));
      if (shared < a.length) b[shared] = (byte) (a[shared] + 1);
      int expected = 0;
      while (expected < PrefixSignature.BLOCKS_MAX
          && PrefixSignature.bytesOf(expected + 1) <= shared) expected++;
      int blocks = PrefixSignature.sharedBlocks(PrefixSignature.of(a), PrefixSignature.of(b));
      assertThat(blocks).as("round %d, shared %d", round, shared).isEqualTo(expected);
    }
  }

  /** Goal: in sorted order, the prompts below each node of the block tree are neighbours. */
  @Test
  void sortingWalksTheTreeDepthFirst() {
    Random random = new Random(2);
    List<byte[]> signatures = new ArrayList<>();
    byte[][] roots = {bytes(random, 700), bytes(random, 3_000), bytes(random, 40)};
    for (int i = 0; i < 600; i++) {
      byte[] root = roots[random.nextInt(roots.length)];
      byte[] middle = new byte[] {(byte) random.nextInt(5)};
      byte[] prompt = concat(root, repeat(middle, 600), bytes(random, random.nextInt(900)));
      signatures.add(PrefixSignature.of(prompt));
    }
    signatures.sort(Arrays::compareUnsigned);
    for (int depth = 1; depth <= 14; depth++) {
      Set<String> closed = new HashSet<>();
      String open = "";
      for (byte[] signature : signatures) {
        String node =
            PrefixSignature.blocks(signature) < depth
                ? ""
                : depth + PrefixSignature.nameOf(signature, depth);
        if (!node.equals(open)) {
          assertThat(closed.add(open) || open.isEmpty()).isTrue();
          assertThat(closed).as("depth %d", depth).doesNotContain(node.isEmpty() ? "-" : node);
          open = node;
        }
      }
    }
  }

  /** Goal: a prompt of any length gives a bounded signature that only its own bytes decide. */
  @Test
  void lengthIsBoundedAndEmptyWorks() {
    assertThat(PrefixSignature.of(new byte[0])).hasSize(16);
    assertThat(PrefixSignature.of(new byte[255])).hasSize(16);
    assertThat(PrefixSignature.of(new byte[256])).hasSize(24);
    byte[] large = new byte[10_000_000];
    byte[] signature = PrefixSignature.of(large);
    assertThat(signature).hasSize(64 * 8 + 16).isEqualTo(PrefixSignature.of(large.clone()));
    large[9_999_999] = 1;
    byte[] other = PrefixSignature.of(large);
    assertThat(PrefixSignature.sharedBlocks(signature, other)).isEqualTo(64);
    assertThat(other).isNotEqualTo(signature);
    assertThat(PrefixSignature.bytesOf(64)).isBetween(500_000L, 1_100_000L);
  }

  /** Goal: below a root, the blocks are those of what follows it; the rest stays as it is. */
  @Test
  void signaturesBelowARootBeginBehindIt() {
    Random random = new Random(3);
    byte[] root = bytes(random, 700_001);
    byte[] own = bytes(random, 3_000);
    byte[] prompt = concat(root, own);
    byte[] hash = PrefixSignature.sha256(prompt);
    byte[] below = PrefixSignature.of(prompt, hash, root.length);
    assertThat(below).isEqualTo(PrefixSignature.of(own, hash)).hasSize(11 * 8 + 16);
    assertThat(PrefixSignature.of(prompt, hash, 0)).isEqualTo(PrefixSignature.of(prompt));
    assertThat(PrefixSignature.of(prompt, hash, prompt.length)).hasSize(16);
    assertThatThrownBy(() -> PrefixSignature.of(own, hash, 3_001))
        .hasMessage("the root must be 0 to 3000 bytes of the prompt, got 3001");
  }

  /** Goal: entries keep their values, for group names are compared across runs. */
  @Test
  void entriesKeepTheirValues() {
    byte[] prompt = bytes(new Random(4), 20_000);
    byte[] signature = PrefixSignature.of(prompt);
    assertThat(PrefixSignature.blocks(signature)).isEqualTo(42);
    assertThat(PrefixSignature.nameOf(signature, 1)).isEqualTo("9d9cacafdeed9414");
    assertThat(PrefixSignature.nameOf(signature, 42)).isEqualTo("92d1705226f6c410");
  }

  private static byte[] bytes(Random random, int length) {
    byte[] bytes = new byte[length];
    random.nextBytes(bytes);
    return bytes;
  }

  private static byte[] repeat(byte[] unit, int times) {
    return concat(Collections.nCopies(times, unit).toArray(new byte[0][]));
  }

  private static byte[] concat(byte[]... parts) {
    byte[] out = new byte[Arrays.stream(parts).mapToInt(p -> p.length).sum()];
    int at = 0;
    for (byte[] part : parts) {
      System.arraycopy(part, 0, out, at, part.length);
      at += part.length;
    }
    return out;
  }
}
