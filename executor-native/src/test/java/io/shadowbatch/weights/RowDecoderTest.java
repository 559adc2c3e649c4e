package io.shadowbatch.weights;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Decoded rows are the values that the format's formulas give. */
class RowDecoderTest {
  private static final long SEED = 7;
  private static final int COLUMNS = 2048;

  /** Random blocks, with finite halves where the type has them. */
  private static byte[] randomRow(QuantType type, Random random) {
    byte[] data = new byte[(int) type.rowBytes(COLUMNS)];
    random.nextBytes(data);
    for (int at = 0; at < data.length; at += type.blockBytes()) {
      for (int offset : halves(type)) finite(data, at + offset);
    }
    return data;
  }

  private static int[] halves(QuantType type) {
    return switch (type) {
      case F16, Q4_0, Q5_0, Q8_0 -> new int[] {0};
      case Q4_1, Q5_1, Q4_K, Q5_K -> new int[] {0, 2};
      case Q6_K -> new int[] {208};
      default -> new int[0];
    };
  }

  private static void finite(byte[] data, int at) {
    if ((data[at + 1] & 0x7c) == 0x7c) data[at + 1] &= (byte) 0xbf;
  }

  @ParameterizedTest
  @EnumSource(
      value = QuantType.class,
      names = {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K"})
  void groupFormIsExact(QuantType type) {
    Random random = new Random(SEED);
    GroupRow row = new GroupRow(COLUMNS);
    float[] floats = new float[COLUMNS];
    for (int round = 0; round < 50; round++) {
      byte[] data = randomRow(type, random);
      RowDecoder.groups(type, data, 0, row);
      RowDecoder.floats(type, data, 0, COLUMNS, new GroupRow(COLUMNS), floats, 0);
      for (int i = 0; i < COLUMNS; i++) {
        float value = Math.fma((float) (row.q()[i] & 0xff), row.scale()[i / 32], row.min()[i / 32]);
        // 0 == -0 here: the sign of zero is no value of a weight.
        boolean same = value == BlockCodec.element(type, data, i) && floats[i] == value;
        assertThat(same).as("%s round %d element %d seed %d", type, round, i, SEED).isTrue();
      }
    }
  }

  /** All pairs of a scale and an integer, for the type with the most bits. */
  @Test
  void everyHalfTimesEveryByteIsExact() {
    byte[] block = new byte[34];
    GroupRow row = new GroupRow(32);
    for (int half = 0; half < 0x10000; half++) {
      if ((half & 0x7c00) == 0x7c00) continue;
      block[0] = (byte) half;
      block[1] = (byte) (half >> 8);
      for (int from = -128; from < 128; from += 32) {
        for (int i = 0; i < 32; i++) block[2 + i] = (byte) (from + i);
        RowDecoder.groups(QuantType.Q8_0, block, 0, row);
        float d = LittleEndian.ofHalf((short) half);
        for (int i = 0; i < 32; i++) {
          float value = Math.fma((float) (row.q()[i] & 0xff), row.scale()[0], row.min()[0]);
          if (value != d * (from + i)) {
            assertThat(value).as("half %04x byte %d", half, from + i).isEqualTo(d * (from + i));
          }
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = QuantType.class,
      names = {"F16", "BF16", "Q6_K"})
  void floatsOfRoundedTypesAreExactAndGroupsWithinHalfAStep(QuantType type) {
    Random random = new Random(SEED);
    float[] floats = new float[COLUMNS];
    GroupRow row = new GroupRow(COLUMNS);
    byte[] data = randomRow(type, random);
    if (type == QuantType.BF16) {
      for (int i = 1; i < data.length; i += 2) data[i] &= (byte) 0xbf;
    }
    RowDecoder.floats(type, data, 0, COLUMNS, null, floats, 0);
    for (int i = 0; i < COLUMNS; i++) {
      assertThat(floats[i]).as("element %d", i).isEqualTo(BlockCodec.element(type, data, i));
    }
    RowDecoder.groups(type, data, 0, row);
    checkNearest(floats, row);
  }

  private static void checkNearest(float[] values, GroupRow row) {
    for (int i = 0; i < values.length; i++) {
      double step = row.scale()[i / 32];
      double value = (row.q()[i] & 0xff) * step + row.min()[i / 32];
      double room = step * 0.5001 + Math.abs(values[i]) * 1e-6 + Float.MIN_VALUE;
      assertThat(Math.abs(value - values[i])).as("element %d", i).isLessThanOrEqualTo(room);
    }
  }

  @Test
  void constantZeroTinyAndHugeGroupsAreKept() {
    float[][] groups = {
      {0, 0}, {1.5f, 1.5f}, {-2, -2}, {0, Float.MIN_VALUE}, {-3e38f, 3e38f}, {1, 1 + 0x1p-23f}
    };
    for (float[] ends : groups) {
      float[] values = new float[32];
      for (int i = 0; i < 32; i++) values[i] = ends[i % 2];
      byte[] data = BlockCodec.quantise(QuantType.F32, values);
      GroupRow row = new GroupRow(32);
      RowDecoder.groups(QuantType.F32, data, 0, row);
      assertThat(RowDecoder.finite(row)).isTrue();
      if (ends[0] == ends[1]) assertThat(row.min()[0]).isEqualTo(ends[0]);
      if (ends[0] == ends[1]) assertThat(row.scale()[0]).isZero();
      checkNearest(values, row);
    }
  }

  @Test
  void weightsThatAreNoNumbersAreSeen() {
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
      for (int at = 0; at < 32; at++) {
        float[] values = new float[32];
        values[at] = bad;
        GroupRow row = new GroupRow(32);
        RowDecoder.groups(QuantType.F32, BlockCodec.quantise(QuantType.F32, values), 0, row);
        assertThat(RowDecoder.finite(row)).as("%s at %d", bad, at).isFalse();
        assertThat(RowDecoder.finite(values, 0, 32)).isFalse();
      }
    }
  }

  @Test
  void everyHalfIsConverted() {
    for (int half = 0; half < 0x10000; half++) {
      byte[] data = {(byte) half, (byte) (half >> 8)};
      float expected = BlockCodec.element(QuantType.F16, data, 0);
      boolean same = Float.compare(LittleEndian.f16(data, 0), expected) == 0;
      assertThat(same).as("half %04x", half).isTrue();
    }
  }
}
