package io.shadowbatch.model;

import io.shadowbatch.weights.WeightFile;
import java.io.IOException;

/** An open model file with what it was understood to be. Closing it closes the file. */
record ModelSource(WeightFile file, ModelHeader header, WeightPlan plan) implements AutoCloseable {
  @Override
  public void close() throws IOException {
    file.close();
  }
}
