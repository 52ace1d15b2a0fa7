package io.lethe;

/** A failure of the library. The message is one sentence that names the value and the remedy. */
public final class LetheException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** The number of the status. */
  private final int code;

  /**
   * A failure.
   *
   * @param status its code
   * @param message its sentence
   */
  public LetheException(Status status, String message) {
    this(status, message, null);
  }

  LetheException(Status status, String message, Throwable cause) {
    super(message, cause);
    code = status.code();
  }

  /** Made by native code inside the call that failed. */
  LetheException(int code, byte[] utf8) {
    super(Text.of(utf8));
    this.code = code;
  }

  /**
   * What kind of failure it is.
   *
   * @return the status, {@link Status#UNKNOWN} for a code of a newer library
   */
  public Status status() {
    return Status.of(code);
  }

  /**
   * The number of the status, also of one that this package does not know.
   *
   * @return the number in lethe.h
   */
  public int code() {
    return code;
  }

  /**
   * Class, status and message.
   *
   * @return for example {@code io.lethe.LetheException: NOT_FOUND: there is no file "x"}
   */
  @Override
  public String toString() {
    return getClass().getName() + ": " + status() + ": " + getMessage();
  }
}
