package io.lethe;

/** Receives log lines, one after another, on a daemon thread of their runtime. */
@FunctionalInterface
public interface LogListener {
  /**
   * Takes a line: no newline, no image content, no home paths. What it throws goes to the thread's
   * uncaught exception handler, and the log goes on.
   *
   * @param level its weight
   * @param component the part of the library that speaks
   * @param message the line
   */
  void log(LogLevel level, String component, String message);
}
