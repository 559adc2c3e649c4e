package io.shadowbatch.model;

import java.util.List;

/** How a model's rotary frequencies differ from the plain ones. Not the rotation itself. */
public sealed interface RopeScaling {

  /**
   * The frequency that replaces {@code frequency} for one pair of dimensions.
   *
   * @param frequency radians per position
   */
  double scale(int pair, double frequency);

  /** No scaling. */
  record None() implements RopeScaling {
    @Override
    public double scale(int pair, double frequency) {
      return frequency;
    }
  }

  /** Positions are divided by a factor (Chen et al. 2023, position interpolation). */
  record Linear(double factor) implements RopeScaling {
    @Override
    public double scale(int pair, double frequency) {
      return frequency / factor;
    }
  }

  /**
   * The scaling of Llama 3.1 (Meta's llama-models, {@code apply_scaling}; transformers, {@code
   * _compute_llama3_parameters}): with wavelength w = 2 pi / frequency and original context c,
   * frequencies with w &lt; c / high stay, those with w &gt; c / low are divided by the factor, and
   * between them s = (c / w - low) / (high - low) mixes: (1 - s) * f / factor + s * f.
   *
   * @param low {@code low_freq_factor}
   * @param high {@code high_freq_factor}, above {@code low}
   * @param originalContext positions the model was first trained for
   */
  record Llama3(double factor, double low, double high, int originalContext)
      implements RopeScaling {
    @Override
    public double scale(int pair, double frequency) {
      double turns = originalContext * frequency / (2 * Math.PI);
      if (turns > high) return frequency;
      if (turns < low) return frequency / factor;
      double s = (turns - low) / (high - low);
      return (1 - s) * frequency / factor + s * frequency;
    }
  }

  /** Each frequency is divided by its own number: GGUF's tensor {@code rope_freqs.weight}. */
  record Divisors(List<Float> divisors) implements RopeScaling {
    public Divisors {
      divisors = List.copyOf(divisors);
    }

    @Override
    public double scale(int pair, double frequency) {
      return frequency / divisors.get(pair);
    }
  }
}
