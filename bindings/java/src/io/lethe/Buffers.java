package io.lethe;

import java.nio.charset.StandardCharsets;

/** Results that the library hands over in its own memory: copied and freed. */
final class Buffers {
  private Buffers() {}

  /** A native call that fills a cell. */
  @FunctionalInterface
  interface Call {
    void into(long[] cell);
  }

  /** The one result of a call. */
  static long handle(Call call) {
    long[] cell = new long[1];
    call.into(cell);
    return cell[0];
  }

  static String text(Call call) {
    return takeText(handle(call));
  }

  static byte[] bytes(Call call) {
    return takeBytes(handle(call));
  }

  static float[] floats(Call call) {
    return takeFloats(handle(call));
  }

  static String takeText(long buffer) {
    return new String(takeBytes(buffer), StandardCharsets.UTF_8);
  }

  static byte[] takeBytes(long buffer) {
    try {
      byte[] bytes = new byte[length(Native.buffer_size(buffer))];
      Native.buffer_copy(buffer, bytes);
      return bytes;
    } finally {
      Native.buffer_free(buffer);
    }
  }

  static float[] takeFloats(long buffer) {
    try {
      float[] values = new float[length(Native.buffer_size(buffer) / Float.BYTES)];
      Native.buffer_copy_floats(buffer, values);
      return values;
    } finally {
      Native.buffer_free(buffer);
    }
  }

  private static int length(long count) {
    if (count > Integer.MAX_VALUE - 8) {
      throw new LetheException(Status.LIMIT_EXCEEDED,
          "a result has " + count + " elements, more than a Java array holds");
    }
    return (int) count;
  }
}
