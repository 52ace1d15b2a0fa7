package io.lethe;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/**
 * Images in the caller's memory, row-major N,C,H,W: float32, or bytes 0..255 for {@link Dataset}s
 * and detectors.
 *
 * <p>A direct buffer is read in place while a call runs, from its position to its limit of now; an
 * array is copied for each call. Either way the content counts when the call begins; do not change
 * it meanwhile. A buffer that is not direct is copied once, here.
 */
public final class Images {
  final Object data; // float[], byte[], or a direct buffer from its first to its last element
  final boolean isFloat;
  private final long[] shape;

  private Images(Object data, boolean isFloat, long elements, long[] shape) {
    Check.that(Check.present(shape, "shape").length == 4,
        "the shape has " + shape.length + " dimensions instead of 4: N,C,H,W");
    long product = 1;
    for (long size : shape) {
      Check.that(size > 0, "the shape has the size " + size + "; sizes are positive");
      Check.that(size <= Long.MAX_VALUE / product, "the shape is larger than any memory");
      product *= size;
    }
    Check.that(elements == product,
        "there are " + elements + " values, but the shape asks for " + product);
    this.data = data;
    this.isFloat = isFloat;
    this.shape = shape.clone();
  }

  /**
   * Images in an array of floats.
   *
   * @param pixels as many values as the shape says
   * @param shape N, C, H, W
   * @return a view of the array
   */
  public static Images of(float[] pixels, long... shape) {
    return new Images(pixels, true, Check.present(pixels, "pixels").length, shape);
  }

  /**
   * Images in a buffer of floats.
   *
   * @param pixels as many values remaining as the shape says; a direct buffer in native byte order
   * @param shape N, C, H, W
   * @return a view of a direct buffer, a copy of another
   */
  public static Images of(FloatBuffer pixels, long... shape) {
    Check.that(!Check.present(pixels, "pixels").isDirect()
            || pixels.order() == ByteOrder.nativeOrder(),
        "pixels are not in native byte order; make the buffer with order(ByteOrder.nativeOrder())");
    Object data = pixels.slice();
    if (!pixels.isDirect()) {
      float[] copy = new float[pixels.remaining()];
      pixels.duplicate().get(copy);
      data = copy;
    }
    return new Images(data, true, pixels.remaining(), shape);
  }

  /**
   * Images in an array of bytes, 0..255.
   *
   * @param pixels as many values as the shape says
   * @param shape N, C, H, W
   * @return a view of the array
   */
  public static Images of(byte[] pixels, long... shape) {
    return new Images(pixels, false, Check.present(pixels, "pixels").length, shape);
  }

  /**
   * Images in a buffer of bytes, 0..255.
   *
   * @param pixels as many values remaining as the shape says
   * @param shape N, C, H, W
   * @return a view of a direct buffer, a copy of another
   */
  public static Images of(ByteBuffer pixels, long... shape) {
    return new Images(Check.filled(pixels, "pixels"), false, pixels.remaining(), shape);
  }

  /**
   * Number of images.
   *
   * @return N
   */
  public long count() {
    return shape[0];
  }

  /**
   * The shape.
   *
   * @return N, C, H, W
   */
  public long[] shape() {
    return shape.clone();
  }
}
