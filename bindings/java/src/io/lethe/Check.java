package io.lethe;

import java.nio.ByteBuffer;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Objects;

/** What Java can judge of an argument before native code sees it. */
final class Check {
  private Check() {}

  static <T> T present(T value, String name) {
    return Objects.requireNonNull(value, () -> name + " is null");
  }

  static void that(boolean fits, String message) {
    if (!fits) {
      throw new IllegalArgumentException(message);
    }
  }

  static <T extends Enum<T>> T known(T value, T unknown, String name) {
    that(present(value, name) != unknown, name + " is UNKNOWN, which is for reading only");
    return value;
  }

  /** A copy of `bytes`, which must have this length. */
  static byte[] bytes(byte[] bytes, int length, String name) {
    that(present(bytes, name).length == length,
        name + " has " + bytes.length + " bytes instead of " + length);
    return bytes.clone();
  }

  static long[] filled(long[] values, String name) {
    that(present(values, name).length > 0, name + " is empty");
    return values;
  }

  static byte[] filled(byte[] bytes, String name) {
    that(present(bytes, name).length > 0, name + " is empty");
    return bytes;
  }

  /** What the native side reads: a direct buffer from its first element on, or an array. */
  static Object filled(ByteBuffer bytes, String name) {
    that(present(bytes, name).hasRemaining(), name + " is empty");
    if (bytes.isDirect()) {
      return bytes.slice();
    }
    byte[] copy = new byte[bytes.remaining()];
    bytes.duplicate().get(copy);
    return copy;
  }

  /** For `taker`, who takes images of bytes alone. */
  static Images ofBytes(Images images, String taker) {
    that(!present(images, "images").isFloat, "images are floats; " + taker + " takes bytes");
    return images;
  }

  static String path(Path path, String name) {
    that(present(path, name).getFileSystem() == FileSystems.getDefault(),
        name + " is not of the default file system: " + path);
    return path.toString();
  }

  /** Milliseconds, rounded up; a negative duration is over. */
  static long millis(Duration timeout) {
    present(timeout, "timeout");
    if (timeout.isNegative()) {
      return 0;
    }
    // Half of the range, so that sums with a clock do not overflow.
    boolean huge = timeout.getSeconds() > Long.MAX_VALUE / 2_000_000_000;
    return huge ? Long.MAX_VALUE / 2_000_000 : timeout.plusNanos(999_999).toMillis();
  }
}
