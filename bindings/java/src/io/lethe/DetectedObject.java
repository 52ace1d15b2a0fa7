package io.lethe;

import java.util.ArrayList;
import java.util.List;

/**
 * An object in an image: one that a detector found, or one that a dataset with boxes holds. Its box
 * is in pixels of the image.
 *
 * @param left left edge of the box
 * @param top upper edge
 * @param right right edge
 * @param bottom lower edge
 * @param score how sure the detector is, 0..1; of a dataset's object 1, of a crowd 0
 * @param label its class
 */
public record DetectedObject(
    float left, float top, float right, float bottom, float score, long label) {
  private static final int COLUMNS = 6;

  /** Those of one image. Rows of the class -1 stand for none. */
  static List<DetectedObject> listOf(float[] rows) {
    return listOf(rows, 0, rows.length);
  }

  /** Those of each of `images` images, which have equally many rows. */
  static List<List<DetectedObject>> listsOf(float[] rows, long images) {
    List<List<DetectedObject>> lists = new ArrayList<>();
    int size = images == 0 ? 0 : (int) (rows.length / images);
    for (int i = 0; i < images; ++i) {
      lists.add(listOf(rows, i * size, (i + 1) * size));
    }
    return List.copyOf(lists);
  }

  private static List<DetectedObject> listOf(float[] rows, int begin, int end) {
    List<DetectedObject> list = new ArrayList<>();
    for (int i = begin; i < end; i += COLUMNS) {
      if (rows[i + 5] >= 0) {
        list.add(new DetectedObject(
            rows[i], rows[i + 1], rows[i + 2], rows[i + 3], rows[i + 4], (long) rows[i + 5]));
      }
    }
    return List.copyOf(list);
  }
}
