package io.lethe;

import java.util.Arrays;
import java.util.Objects;

/** A table of floats, a row an image: class scores or embeddings. Immutable. */
public final class Scores {
  private final int rows;
  private final int columns;
  private final float[] values;

  Scores(long rows, float[] values) {
    this.rows = (int) rows; // no more than there are values
    this.columns = values.length == 0 ? 0 : values.length / this.rows;
    this.values = values;
  }

  /**
   * Number of images.
   *
   * @return rows
   */
  public int rows() {
    return rows;
  }

  /**
   * Number of classes, or size of an embedding.
   *
   * @return columns
   */
  public int columns() {
    return columns;
  }

  /**
   * One value.
   *
   * @param row 0..rows-1
   * @param column 0..columns-1
   * @return the value there
   * @throws IndexOutOfBoundsException outside
   */
  public float at(int row, int column) {
    return values[place(row) + Objects.checkIndex(column, columns)];
  }

  /**
   * One row.
   *
   * @param row 0..rows-1
   * @return a copy
   * @throws IndexOutOfBoundsException outside
   */
  public float[] row(int row) {
    return Arrays.copyOfRange(values, place(row), place(row) + columns);
  }

  /**
   * The column of a row's largest value, the first of equal ones: the best class.
   *
   * @param row 0..rows-1
   * @return its column
   * @throws IndexOutOfBoundsException outside
   */
  public int argMax(int row) {
    int start = place(row);
    int best = 0;
    for (int i = 1; i < columns; ++i) {
      if (values[start + i] > values[start + best]) {
        best = i;
      }
    }
    return best;
  }

  /**
   * All values, row after row.
   *
   * @return a copy
   */
  public float[] toArray() {
    return values.clone();
  }

  private int place(int row) {
    return Objects.checkIndex(row, rows) * columns;
  }

  /**
   * Equal sizes and equal bits.
   *
   * @param other anything
   * @return whether it is the same table
   */
  @Override
  public boolean equals(Object other) {
    return other instanceof Scores o && rows == o.rows && Arrays.equals(values, o.values);
  }

  @Override
  public int hashCode() {
    return 31 * rows + Arrays.hashCode(values);
  }

  @Override
  public String toString() {
    return "Scores[" + rows + " x " + columns + "]";
  }
}
