package main

import (
	"fmt"
	"io"
	stdlog "log"
	"strconv"
	"strings"
	"sync"
	"time"

	"lethe"
)

// logger writes a line an event: time, level, sentence, then key=value pairs.
type logger struct {
	mutex sync.Mutex
	out   io.Writer
}

func newLogger(out io.Writer) *logger { return &logger{out: out} }

func (l *logger) info(sentence string, pairs ...any) { l.write("info", sentence, pairs) }
func (l *logger) warn(sentence string, pairs ...any) { l.write("warning", sentence, pairs) }
func (l *logger) fail(sentence string, pairs ...any) { l.write("error", sentence, pairs) }

func (l *logger) write(level, sentence string, pairs []any) {
	line := strings.Builder{}
	fmt.Fprintf(&line, "time=%s level=%s msg=%s", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		level, word(sentence))
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(&line, " %v=%s", pairs[i], word(pairs[i+1]))
	}
	line.WriteByte('\n')
	l.mutex.Lock()
	defer l.mutex.Unlock()
	io.WriteString(l.out, line.String())
}

// word quotes what would otherwise not be one word, so that no value can forge a line.
func word(value any) string {
	text := fmt.Sprint(value)
	plain := text != "" && strings.IndexFunc(text, func(r rune) bool {
		return r <= ' ' || r == '"' || r == '=' || !strconv.IsPrint(r)
	}) < 0
	if plain {
		return text
	}
	return strconv.Quote(text)
}

// library passes the library's own lines on.
func (l *logger) library(level lethe.LogLevel, component, message string) {
	l.write(level.String(), message, []any{"component", component})
}

// standard is for net/http, which knows only the standard library's logger.
func (l *logger) standard() *stdlog.Logger { return stdlog.New(httpLines{l}, "", 0) }

type httpLines struct{ log *logger }

func (h httpLines) Write(line []byte) (int, error) {
	h.log.warn(strings.TrimSpace(string(line)), "component", "http")
	return len(line), nil
}
