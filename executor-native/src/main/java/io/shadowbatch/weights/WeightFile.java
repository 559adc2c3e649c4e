package io.shadowbatch.weights;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/**
 * Names to tensors and metadata of one model, whatever the files are. Does not know families: what
 * a tensor means is not its business.
 *
 * <p>Reading is safe from several threads at once.
 */
public interface WeightFile extends AutoCloseable {

  /** The file, or the folder, that was opened. */
  Path path();

  /** The files whose content makes the model, in a fixed order. */
  List<Path> sources();

  /** The hyperparameters and all else that the files say besides tensors. */
  Metadata metadata();

  /** All tensors, in file order. */
  List<TensorInfo> tensors();

  /** The tensor of this name, or null. */
  TensorInfo find(String name);

  /** The raw bytes of rows [first, first + count), to {@code out} from {@code at} on. */
  void readRows(TensorInfo tensor, long first, int count, byte[] out, int at) throws IOException;

  @Override
  void close() throws IOException;
}
