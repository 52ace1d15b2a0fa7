package io.lethe;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.StringJoiner;

/** Text as it crosses: UTF-8 without U+0000. */
final class Text {
  private Text() {}

  static byte[] utf8(String text, String name) {
    if (text == null) {
      return null;
    }
    if (text.indexOf('\0') >= 0) {
      throw new IllegalArgumentException(name + " has U+0000 at " + text.indexOf('\0'));
    }
    try {
      ByteBuffer bytes = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
      byte[] exact = new byte[bytes.remaining()];
      bytes.get(exact);
      return exact;
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException(name + " has half a surrogate pair", e);
    }
  }

  /** Texts as a JSON list. */
  static String jsonList(List<String> texts, String name) {
    StringJoiner list = new StringJoiner("\",\"", "[\"", "\"]").setEmptyValue("[]");
    for (String text : texts) {
      utf8(Check.present(text, "an element of " + name), name);
      StringBuilder escaped = new StringBuilder();
      for (char c : text.toCharArray()) {
        if (c < ' ') {
          escaped.append(String.format("\\u%04x", (int) c));
        } else {
          escaped.append(c == '"' || c == '\\' ? "\\" : "").append(c);
        }
      }
      list.add(escaped);
    }
    return list.toString();
  }

  static String of(byte[] utf8) {
    return utf8 == null ? null : new String(utf8, StandardCharsets.UTF_8);
  }
}
