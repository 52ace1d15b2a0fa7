using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Lethe
{
    /* Text crosses as UTF-8 that ends with NUL, whatever the platform's encoding is. */
    internal static class Text
    {
        static readonly UTF8Encoding utf8 = new UTF8Encoding(false, true);

        internal static byte[] Required(string value, string name)
        {
            return Optional(value ?? throw new ArgumentNullException(name), name);
        }

        internal static byte[] Optional(string value, string name)
        {
            if (value == null) return null;
            if (value.IndexOf('\0') >= 0)
            {
                throw new ArgumentException("the text contains a NUL", name);
            }
            try
            {
                var bytes = new byte[utf8.GetByteCount(value) + 1];
                utf8.GetBytes(value, 0, value.Length, bytes, 0);
                return bytes;
            }
            catch (EncoderFallbackException)
            {
                throw new ArgumentException("the text contains half of a surrogate pair", name);
            }
        }

        /* Texts as a JSON list. */
        internal static string JsonList(IReadOnlyList<string> texts, string name)
        {
            var json = new StringBuilder("[");
            foreach (string text in texts)
            {
                Required(text, name);
                json.Append(json.Length == 1 ? "\"" : ",\"");
                foreach (char c in text)
                {
                    if (c < ' ')
                    {
                        json.Append("\\u").Append(((int)c).ToString("x4",
                            CultureInfo.InvariantCulture));
                        continue;
                    }
                    if (c == '"' || c == '\\') json.Append('\\');
                    json.Append(c);
                }
                json.Append('"');
            }
            return json.Append(']').ToString();
        }

        internal static unsafe string Of(IntPtr text)
        {
            if (text == IntPtr.Zero) return null;
            var bytes = (byte*)text;
            int size = 0;
            while (bytes[size] != 0) ++size;
            return size == 0 ? "" : Encoding.UTF8.GetString(bytes, size);
        }

        /* What `read` returns is lent by `owner`: it is copied before anybody can free that. */
        internal static string Lent<T>(T owner, Func<T, IntPtr> read) where T : Handle
        {
            using (owner.Hold()) return Of(read(owner));
        }
    }
}
