package io.shadowbatch.kernels;

import io.shadowbatch.tensor.Tensor;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** The definition of landmarks and of the choice of chunks, in plain Java. */
final class ReferenceChunks {
  private ReferenceChunks() {}

  static void summarise(LandmarkLayout layout, Tensor[] keys, Tensor[] landmarks) {
    for (int page = 0; page < keys.length; page++) {
      for (int layer = 0; layer < layout.kv().layers(); layer++) {
        for (int head = 0; head < layout.kv().kvHeads(); head++) {
          ReferenceTile tile = new ReferenceTile(layout.kv(), keys[page], layer, head);
          int offset = (int) layout.blockOffset(layer, head);
          ByteBuffer out =
              ReferenceKernels.nativeSlice(landmarks[page], offset, layout.blockBytes());
          for (int c = 0; c < layout.chunks(); c++) summarise(layout, tile, c, out);
        }
      }
    }
  }

  private static void summarise(LandmarkLayout layout, ReferenceTile tile, int c, ByteBuffer out) {
    int chunk = layout.chunkTokens();
    int d = layout.kv().headDim();
    float[] mean = new float[d];
    float[] token = new float[chunk];
    for (int i = 0; i < d; i++) {
      for (int t = 0; t < chunk; t++) token[t] = tile.storedKey(c * chunk + t, i);
      mean[i] = ReferenceMath.sumTree(token) * (1f / chunk);
      // Not Math.max and min: what is not a number becomes the least.
      float finite = mean[i] > -65504f ? mean[i] : -65504f;
      finite = finite < 65504f ? finite : 65504f;
      out.putShort(2 * (i * layout.chunks() + c), ReferenceMath.toHalf(finite));
    }
    float least = 1;
    for (int t = 0; t < chunk; t++) {
      float dot = 0;
      float keySquares = 0;
      float meanSquares = 0;
      for (int i = 0; i < d; i++) {
        float key = tile.storedKey(c * chunk + t, i);
        dot = Math.fma(mean[i], key, dot);
        keySquares = Math.fma(key, key, keySquares);
        meanSquares = Math.fma(mean[i], mean[i], meanSquares);
      }
      float lengths = (float) Math.sqrt(keySquares) * (float) Math.sqrt(meanSquares);
      float cos = dot / (lengths > 1e-30f ? lengths : 1e-30f);
      if (!(cos >= least)) least = cos >= -1 ? cos : -1;
    }
    out.putFloat(2 * d * layout.chunks() + 4 * c, least);
  }

  static void select(
      AttentionShape shape,
      int layer,
      Tensor q,
      TokenBatch batch,
      ChunkView view,
      RopeTable rope,
      ChunkPicks picks) {
    int d = shape.layout().headDim();
    int group = shape.headsPerGroup();
    float[] queries = new float[shape.queryHeads() * d];
    float[] cos = new float[rope.cos().columns()];
    float[] sin = new float[cos.length];
    for (int s = 0; s < batch.slices().size(); s++) {
      Slice slice = batch.slices().get(s);
      ChunkView.Chunks chunks = view.slices().get(s);
      if (chunks == null) continue;
      for (int row = slice.firstRow(); row < slice.endRow(); row++) {
        q.readRow(row, queries);
        rope.cos().readRow(batch.positions()[row], cos);
        rope.sin().readRow(batch.positions()[row], sin);
        for (int h = 0; h < shape.queryHeads(); h++) query(shape, queries, h * d, cos, sin);
        for (int h = 0; h < shape.layout().kvHeads(); h++) {
          boolean[] picked = exact(view.layout(), chunks, layer, h);
          boolean[] candidate = new boolean[picked.length];
          for (int c = 0; c < picked.length; c++) candidate[c] = !picked[c];
          float[] best = new float[picked.length];
          Arrays.fill(best, Float.NEGATIVE_INFINITY);
          for (int j = 0; j < group; j++) {
            float[] z = scores(view.layout(), chunks, layer, h, queries, (h * group + j) * d);
            float lse = group == 1 ? 0 : logSumExp(z, candidate);
            for (int c = 0; c < z.length; c++) {
              float score = z[c] - lse;
              if (score > best[c]) best[c] = score;
            }
          }
          take(chunks.budgetChunks(), candidate, best, picked);
          write(picked, picks, row * shape.layout().kvHeads() + h);
        }
      }
    }
  }

  /** Roped, rotated as the keys are, and scaled. */
  private static void query(AttentionShape shape, float[] x, int from, float[] cos, float[] sin) {
    KvLayout layout = shape.layout();
    ReferenceMath.rope(x, from, cos, sin);
    if (layout.codec() == KvCodec.INT8) {
      ReferenceMath.rotate(x, from, layout.headDim(), layout.rotationWidth());
    }
    for (int i = from; i < from + layout.headDim(); i++) x[i] *= shape.scale();
  }

  private static boolean[] exact(
      LandmarkLayout layout, ChunkView.Chunks chunks, int layer, int head) {
    boolean[] exact = new boolean[chunks.landmarks().length * layout.chunks()];
    int row = layer * layout.kv().kvHeads() + head;
    int count = chunks.exact().i32(row, 0);
    for (int i = 0; i < count; i++) exact[chunks.exact().i32(row, 1 + i)] = true;
    return exact;
  }

  /** The products of one query with all landmarks; what is not a number becomes -infinity. */
  private static float[] scores(
      LandmarkLayout layout, ChunkView.Chunks chunks, int layer, int head, float[] q, int from) {
    int perPage = layout.chunks();
    float[] z = new float[chunks.landmarks().length * perPage];
    for (int c = 0; c < z.length; c++) {
      int offset = (int) layout.blockOffset(layer, head);
      Tensor page = chunks.landmarks()[c / perPage];
      ByteBuffer block = ReferenceKernels.nativeSlice(page, offset, layout.blockBytes());
      float sum = 0;
      for (int i = 0; i < layout.kv().headDim(); i++) {
        float x = ReferenceMath.fromHalf(block.getShort(2 * (i * perPage + c % perPage)));
        sum = Math.fma(x, q[from + i], sum);
      }
      z[c] = Float.isNaN(sum) ? Float.NEGATIVE_INFINITY : sum;
    }
    return z;
  }

  /** log of the sum of exponentials over the candidates, in 16 lanes by chunk. */
  private static float logSumExp(float[] z, boolean[] candidate) {
    float max = -1e30f;
    for (int c = 0; c < z.length; c++) if (candidate[c] && z[c] > max) max = z[c];
    float[] lanes = new float[16];
    for (int c = 0; c < z.length; c++) {
      lanes[c % 16] += candidate[c] ? ReferenceMath.exp(z[c] - max) : 0f;
    }
    return max + ReferenceMath.log(ReferenceMath.sumTree(lanes));
  }

  /** Picks the {@code budget} best candidates, of equals the lowest. */
  private static void take(int budget, boolean[] candidate, float[] score, boolean[] picked) {
    for (int n = 0; n < budget; n++) {
      int best = -1;
      for (int c = 0; c < score.length; c++) {
        boolean free = candidate[c] && !picked[c];
        if (free && (best < 0 || score[c] > score[best])) best = c;
      }
      if (best < 0) return;
      picked[best] = true;
    }
  }

  private static void write(boolean[] picked, ChunkPicks picks, int row) {
    int count = 0;
    for (int c = 0; c < picked.length; c++) if (picked[c]) picks.ids().setI32(row, ++count, c);
    picks.ids().setI32(row, 0, count);
  }
}
