package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"lethe"
)

// problem is a failure as RFC 7807 says it: the library's code and its sentence.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string { return p.Detail }

func newProblem(status int, code, format string, values ...any) *problem {
	return &problem{http.StatusText(status), status, code, fmt.Sprintf(format, values...)}
}

// statusOf is how HTTP says a code of the library. The codes that are left are not the client's
// doing: 500.
var statusOf = map[lethe.Status]int{
	lethe.StatusInvalidArgument: http.StatusUnprocessableEntity,
	lethe.StatusNotFound:        http.StatusNotFound,
	lethe.StatusExists:          http.StatusConflict,
	lethe.StatusLimitExceeded:   http.StatusRequestEntityTooLarge,
	lethe.StatusState:           http.StatusServiceUnavailable, // closing
	lethe.StatusBusy:            http.StatusServiceUnavailable,
	lethe.StatusIO:              http.StatusServiceUnavailable,
	lethe.StatusOutOfMemory:     http.StatusServiceUnavailable,
}

// problemOf makes a problem of any error.
func problemOf(err error) *problem {
	var known *problem
	if errors.As(err, &known) {
		return known
	}
	var failure *lethe.Error
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &failure):
		status := statusOf[failure.Status]
		if status == 0 {
			status = http.StatusInternalServerError
		}
		return newProblem(status, failure.Status.String(), "%s", failure.Message)
	case errors.As(err, &tooLarge):
		return newProblem(http.StatusRequestEntityTooLarge, "LIMIT_EXCEEDED",
			"the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, lethe.ErrClosed):
		return newProblem(http.StatusServiceUnavailable, "STATE", "the service is stopping")
	}
	return newProblem(http.StatusInternalServerError, "INTERNAL", "%v", err)
}

// writeProblem answers with a failure.
func writeProblem(w http.ResponseWriter, err error) {
	p := problemOf(err)
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	writeAs(w, p.Status, "application/problem+json", p)
}

func writeJSON(w http.ResponseWriter, status int, value any) error {
	return writeAs(w, status, "application/json", value)
}

// writeAs forms the text first: a value that cannot be formed must not become half an answer.
func writeAs(w http.ResponseWriter, status int, kind string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
	return nil
}
