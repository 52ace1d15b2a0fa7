package io.lethe;

/**
 * What a check found. A check that ran and found something is an answer, not an exception.
 *
 * @param status {@link Status#OK}, or the code of the first thing that is wrong
 * @param message the sentence that belongs to it, "" when all is well
 * @param json the findings as JSON
 */
public record Findings(Status status, String message, String json) {

  /**
   * Whether all is well.
   *
   * @return true for {@link Status#OK}
   */
  public boolean isOk() {
    return status == Status.OK;
  }

  /**
   * These findings, if all is well.
   *
   * @return this
   * @throws LetheException with status and message otherwise
   */
  public Findings orThrow() {
    if (!isOk()) {
      throw new LetheException(status, message);
    }
    return this;
  }

  static Findings of(Buffers.Call check) {
    long[] cell = new long[1];
    Status status = Status.OK;
    String message = "";
    try {
      check.into(cell);
    } catch (LetheException e) {
      if (cell[0] == 0) {
        throw e; // the check did not run
      }
      status = e.status();
      message = e.getMessage();
    }
    return new Findings(status, message, Buffers.takeText(cell[0]));
  }
}
