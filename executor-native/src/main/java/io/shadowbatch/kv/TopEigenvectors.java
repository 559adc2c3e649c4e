package io.shadowbatch.kv;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.decomposition.eig.SymmetricQRAlgorithmDecomposition_DDRM;
import org.ejml.dense.row.decomposition.hessenberg.TridiagonalDecompositionHouseholder_DDRM;

/**
 * The eigenvectors of the largest eigenvalues of a symmetric matrix, in double precision and plain
 * Java: the same bits on every machine. Householder to tridiagonal form, then QR (Golub and Van
 * Loan, Matrix Computations, 8.3), by EJML's single-threaded classes.
 */
final class TopEigenvectors {
  private TopEigenvectors() {}

  /**
   * @param matrix [width][width], row after row; its lower and upper triangles are equal
   * @return {@code count} rows of unit length, by falling eigenvalue; the component of largest
   *     magnitude is positive. Axes, in order, if the matrix holds a number that is not finite:
   *     such keys are lost in any store, and must not stop other requests.
   */
  static double[][] of(double[] matrix, int width, int count) {
    var decomposition =
        new SymmetricQRAlgorithmDecomposition_DDRM(
            new TridiagonalDecompositionHouseholder_DDRM(), true);
    double[][] rows = new double[count][width];
    boolean finite = Arrays.stream(matrix).allMatch(Double::isFinite);
    if (!finite || !decomposition.decompose(DMatrixRMaj.wrap(width, width, matrix.clone()))) {
      for (int i = 0; i < count; i++) rows[i][i] = 1;
      return rows;
    }
    double[] values =
        IntStream.range(0, width).mapToDouble(i -> decomposition.getEigenvalue(i).real).toArray();
    int[] order =
        IntStream.range(0, width)
            .boxed()
            .sorted(Comparator.<Integer>comparingDouble(i -> -values[i]).thenComparing(i -> i))
            .mapToInt(i -> i)
            .toArray();
    for (int i = 0; i < count; i++) {
      double[] vector = decomposition.getEigenVector(order[i]).data;
      double sign = Math.signum(vector[largest(vector)]);
      for (int j = 0; j < width; j++) rows[i][j] = sign * vector[j];
    }
    return rows;
  }

  private static int largest(double[] x) {
    int best = 0;
    for (int i = 1; i < x.length; i++) if (Math.abs(x[i]) > Math.abs(x[best])) best = i;
    return best;
  }
}
