package io.shadowbatch.spark;

/** Ends the job with an exit code and a message for the user. */
public final class JobException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** Exit codes of the job. */
  public enum Exit {
    OK(0),
    UNEXPECTED(1),
    USAGE(2),
    INPUT(3),
    MODEL(4),
    ERROR_BUDGET(5),
    STOPPED(6),
    OUTPUT(7),
    RESOURCES(8),
    GATE(9);

    private final int code;

    Exit(int code) {
      this.code = code;
    }

    /** What the shell sees. */
    public int code() {
      return code;
    }
  }

  private final Exit exit;

  public JobException(Exit exit, String message) {
    super(message);
    this.exit = exit;
  }

  public JobException(Exit exit, String message, Throwable cause) {
    super(message, cause);
    this.exit = exit;
  }

  /** How the process ends. */
  public Exit exit() {
    return exit;
  }
}
