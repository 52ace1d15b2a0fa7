using System;

namespace Lethe
{
    /// <summary>A matrix of float32 results, a row for each image. It does not change.</summary>
    public sealed class Scores
    {
        readonly float[] values;

        internal Scores(float[] values, long rows)
        {
            this.values = values;
            Rows = (int)rows;
            Columns = rows == 0 ? 0 : values.Length / Rows;
        }

        /// <summary>Number of images.</summary>
        public int Rows { get; }

        /// <summary>Number of classes, or dimensions of an embedding.</summary>
        public int Columns { get; }

        /// <summary>One value.</summary>
        /// <param name="row">0..<see cref="Rows"/>-1.</param>
        /// <param name="column">0..<see cref="Columns"/>-1.</param>
        /// <exception cref="ArgumentOutOfRangeException">Outside.</exception>
        public float this[int row, int column]
        {
            get
            {
                if ((uint)column >= (uint)Columns)
                {
                    throw new ArgumentOutOfRangeException(nameof(column));
                }
                return values[Start(row) + column];
            }
        }

        /// <summary>A row.</summary>
        /// <param name="row">0..<see cref="Rows"/>-1.</param>
        /// <returns>A new array of <see cref="Columns"/> values.</returns>
        /// <exception cref="ArgumentOutOfRangeException">Outside.</exception>
        public float[] Row(int row)
        {
            var copy = new float[Columns];
            Array.Copy(values, Start(row), copy, 0, Columns);
            return copy;
        }

        /// <summary>The column of a row's largest value: the class that the model sees.</summary>
        /// <param name="row">0..<see cref="Rows"/>-1.</param>
        /// <returns>The first of them; 0..<see cref="Columns"/>-1.</returns>
        /// <exception cref="ArgumentOutOfRangeException">Outside.</exception>
        public int ArgMax(int row)
        {
            int start = Start(row), best = 0;
            for (int i = 1; i < Columns; ++i)
            {
                if (values[start + i] > values[start + best]) best = i;
            }
            return best;
        }

        /// <summary>All values, row-major.</summary>
        /// <returns>A new array of <see cref="Rows"/> times <see cref="Columns"/> values.</returns>
        public float[] ToArray()
        {
            return (float[])values.Clone();
        }

#if NETSTANDARD2_1_OR_GREATER || NETCOREAPP
        /// <summary>All values, row-major, without a copy.</summary>
        /// <returns>A view of them.</returns>
        public ReadOnlySpan<float> AsSpan()
        {
            return values;
        }
#endif

        int Start(int row)
        {
            if ((uint)row >= (uint)Rows) throw new ArgumentOutOfRangeException(nameof(row));
            return row * Columns;
        }
    }
}
