using System;
using System.Collections.Generic;

namespace Lethe
{
    /// <summary>An object in an image: one that a detector found, or one that a dataset with boxes
    /// holds. Its box is in pixels of the image.</summary>
    public readonly struct DetectedObject
    {
        const int columns = 6;

        /// <summary>An object.</summary>
        /// <param name="left">Left edge of its box.</param>
        /// <param name="top">Upper edge.</param>
        /// <param name="right">Right edge.</param>
        /// <param name="bottom">Lower edge.</param>
        /// <param name="score">How sure of it one is, 0..1.</param>
        /// <param name="label">Its class.</param>
        public DetectedObject(float left, float top, float right, float bottom, float score,
            long label)
        {
            Left = left;
            Top = top;
            Right = right;
            Bottom = bottom;
            Score = score;
            Label = label;
        }

        /// <summary>Left edge of the box.</summary>
        public float Left { get; }

        /// <summary>Upper edge of the box.</summary>
        public float Top { get; }

        /// <summary>Right edge of the box.</summary>
        public float Right { get; }

        /// <summary>Lower edge of the box.</summary>
        public float Bottom { get; }

        /// <summary>How sure the detector is, 0..1; of a dataset's object 1, of a crowd
        /// 0.</summary>
        public float Score { get; }

        /// <summary>Its class.</summary>
        public long Label { get; }

        /* Those of one image. Rows of the class -1 stand for none. */
        internal static IReadOnlyList<DetectedObject> ListOf(float[] rows)
        {
            return ListOf(rows, 0, rows.Length);
        }

        /* Those of each of `images` images, which have equally many rows. */
        internal static IReadOnlyList<IReadOnlyList<DetectedObject>> ListsOf(float[] rows,
            long images)
        {
            int size = images == 0 ? 0 : (int)(rows.Length / images);
            return Check.ListOf((int)images, i => ListOf(rows, i * size, size));
        }

        static IReadOnlyList<DetectedObject> ListOf(float[] rows, int begin, int size)
        {
            var list = new List<DetectedObject>();
            for (int i = begin; i < begin + size; i += columns)
            {
                if (rows[i + 5] < 0) continue;
                list.Add(new DetectedObject(rows[i], rows[i + 1], rows[i + 2], rows[i + 3],
                    rows[i + 4], (long)rows[i + 5]));
            }
            return list.AsReadOnly();
        }
    }
}
