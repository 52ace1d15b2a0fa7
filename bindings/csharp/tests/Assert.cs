using System;
using System.Collections;
using System.Linq;

namespace Lethe.Tests
{
    sealed class AssertionException : Exception
    {
        internal AssertionException(string message) : base(message) { }
    }

    static class Assert
    {
        internal static void True(bool condition, string what)
        {
            if (!condition) throw new AssertionException(what);
        }

        internal static void Equal<T>(T expected, T found)
        {
            bool same = expected is IEnumerable list && !(expected is string)
                ? list.Cast<object>().SequenceEqual(((IEnumerable)found).Cast<object>())
                : Equals(expected, found);
            True(same, "expected " + Show(expected) + ", found " + Show(found));
        }

        internal static void Contains(string text, params string[] parts)
        {
            foreach (string part in parts)
            {
                True(text != null && text.Contains(part), "\"" + text + "\" does not contain \""
                    + part + "\"");
            }
        }

        internal static T Throws<T>(Action action) where T : Exception
        {
            try
            {
                action();
            }
            catch (T e)
            {
                return e;
            }
            catch (Exception e)
            {
                throw new AssertionException("expected " + typeof(T).Name + ", found " + e);
            }
            throw new AssertionException("expected " + typeof(T).Name + ", found nothing");
        }

        /* Fails with this status and one sentence that contains `part`. */
        internal static LetheException Fails(Status status, string part, Action action)
        {
            var e = Throws<LetheException>(action);
            Equal(status, e.Status);
            True(e.Message.Length > 0 && !e.Message.Contains("\n"), "one sentence: \"" + e.Message
                + "\"");
            Contains(e.Message, part);
            return e;
        }

        static string Show(object value)
        {
            return value is IEnumerable list && !(value is string)
                ? "[" + string.Join(",", list.Cast<object>().Take(20)) + "]" : "\"" + value + "\"";
        }
    }
}
