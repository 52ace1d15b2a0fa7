using System;
using System.Collections.Generic;

namespace Lethe
{
    /* Arguments that native code must not see. */
    internal static class Check
    {
        internal static T NotNull<T>(T value, string name) where T : class
        {
            return value ?? throw new ArgumentNullException(name);
        }

        internal static T[] NotEmpty<T>(T[] values, string name)
        {
            if (NotNull(values, name).Length > 0) return values;
            throw new ArgumentException("the array is empty", name);
        }

        /* Null, or 32 bytes. */
        internal static byte[] Key(byte[] key, string name)
        {
            if (key != null && key.Length != 32)
            {
                throw new ArgumentException("it has " + key.Length + " bytes instead of 32", name);
            }
            return key;
        }

        internal static long Elements(long[] shape, string name)
        {
            long count = 1;
            foreach (long extent in NotNull(shape, name))
            {
                if (extent < 0)
                {
                    throw new ArgumentException("the shape has a negative extent", name);
                }
                try
                {
                    count = checked(count * extent);
                }
                catch (OverflowException)
                {
                    throw new ArgumentException("the shape has too many elements", name);
                }
            }
            return count;
        }

        internal static void Fits(long length, string name, long[] shape, string shapeName)
        {
            long count = Elements(shape, shapeName);
            if (length == 0) throw new ArgumentException("the array is empty", name);
            if (length != count)
            {
                throw new ArgumentException("the array has " + length + " elements, the shape ["
                    + string.Join(",", shape) + "] " + count, name);
            }
        }

        internal static void Labels(long[] labels, long[] shape)
        {
            long samples = shape.Length == 0 ? 0 : shape[0];
            if (NotNull(labels, nameof(labels)).Length != samples)
            {
                throw new ArgumentException("there are " + labels.Length + " labels for " + samples
                    + " samples", nameof(labels));
            }
        }

        /* As many elements as `count` objects have, `each` an object. */
        internal static void ForEach(long length, long each, long count, string name)
        {
            if (length != each * count)
            {
                throw new ArgumentException("the array has " + length + " elements, " + count
                    + " labels ask for " + each * count, name);
            }
        }

        /* Of lethe.h: since 1970, 0 is none. */
        internal static long Milliseconds(DateTimeOffset? time)
        {
            return time?.ToUnixTimeMilliseconds() ?? 0;
        }

        internal static DateTimeOffset? Time(long milliseconds)
        {
            if (milliseconds == 0) return null;
            return DateTimeOffset.FromUnixTimeMilliseconds(milliseconds);
        }

        internal static IReadOnlyList<T> ListOf<T>(int count, Func<int, T> at)
        {
            var list = new T[count];
            for (int i = 0; i < count; ++i) list[i] = at(i);
            return Array.AsReadOnly(list);
        }
    }
}
