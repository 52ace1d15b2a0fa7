package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"lethe"
)

const (
	largestRequest = 64 << 10
	longestNote    = 1000
)

// classRef is a class in a request: its number or its name.
type classRef struct {
	number int64
	name   *string
}

func (c *classRef) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		return json.Unmarshal(text, &c.name)
	}
	if string(text) == "null" {
		return errors.New("a class is null")
	}
	return json.Unmarshal(text, &c.number)
}

// postErasure is POST /v1/erasures.
func (d *desk) postErasure(w http.ResponseWriter, r *http.Request, _ string) error {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return newProblem(415, "UNSUPPORTED", "the body's type is %q, not application/json",
			r.Header.Get("Content-Type"))
	}
	var body struct {
		RequestID string     `json:"request_id"`
		Classes   []classRef `json:"classes"`
		Note      string     `json:"note"`
		Priority  int32      `json:"priority"`
	}
	if err := readJSON(http.MaxBytesReader(w, r.Body, largestRequest), &body); err != nil {
		return err
	}
	id, err := requestID(r.Header.Get("Idempotency-Key"), body.RequestID)
	if err != nil {
		return err
	}
	classes, err := d.classesOf(body.Classes)
	if err != nil {
		return err
	}
	e, fresh, err := d.accept(request{id, classes, body.Note, body.Priority})
	if err != nil {
		return err
	}
	v := d.view(e)
	w.Header().Set("Location", v.Self)
	if fresh {
		return writeJSON(w, http.StatusAccepted, v)
	}
	return writeJSON(w, http.StatusOK, v)
}

// readJSON reads one object and nothing after it; unknown fields are mistakes.
func readJSON(body io.Reader, into any) error {
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		if _, err = decoder.Token(); err == io.EOF {
			return nil
		}
		err = errors.New("something follows the object")
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return newProblem(400, "INVALID_ARGUMENT", "the body is not the JSON object expected: %v", err)
}

// requestID is the header, whose quotes some clients send, or the field.
func requestID(header, field string) (string, error) {
	if len(header) >= 2 && header[0] == '"' && header[len(header)-1] == '"' {
		header = header[1 : len(header)-1]
	}
	switch {
	case header == "" && field == "":
		return "", newProblem(400, "INVALID_ARGUMENT",
			"the header Idempotency-Key or the field request_id must name the request")
	case header != "" && field != "" && header != field:
		return "", newProblem(400, "INVALID_ARGUMENT",
			"Idempotency-Key %q and request_id %q differ", header, field)
	case header != "":
		return header, nil
	}
	return field, nil
}

// classesOf makes numbers of names. Numbers are left to the library, which knows the model.
func (d *desk) classesOf(refs []classRef) ([]int64, error) {
	classes := []int64{}
	for _, ref := range refs {
		if ref.name == nil {
			classes = append(classes, ref.number)
			continue
		}
		found := false
		for class, name := range d.options.names {
			if strings.EqualFold(name, *ref.name) {
				classes, found = append(classes, int64(class)), true
				break
			}
		}
		if !found {
			return nil, newProblem(404, "NOT_FOUND", "there is no class %q; there are %s", *ref.name,
				strings.Join(d.options.names, ", "))
		}
	}
	return sorted(classes), nil
}

// accept is where a request of any kind becomes an erasure.
func (d *desk) accept(asked request) (*erasure, bool, error) {
	switch {
	case d.draining.Load():
		return nil, false, newProblem(503, "STATE", "the service is stopping; ask again later")
	case asked.ID == "." || asked.ID == "..":
		return nil, false, newProblem(422, "INVALID_ARGUMENT",
			"the request id %q would lead elsewhere in a path", asked.ID)
	case utf8.RuneCountInString(asked.Note) > longestNote:
		return nil, false, newProblem(422, "INVALID_ARGUMENT",
			"the note is longer than %d characters", longestNote)
	}
	e, fresh, err := d.erasures.accept(asked, lethe.ForgetRequest{RequestID: asked.ID,
		Classes: asked.Classes, Config: &d.config, ForgetSet: d.train, ValidationSet: d.heldOut,
		Options: &lethe.TaskOptions{Priority: asked.Priority}})
	if err == nil && fresh {
		d.log.info("erasure accepted", "id", asked.ID, "classes", asked.Classes)
	}
	return e, fresh, err
}

// getErasures is GET /v1/erasures?limit=N&before=NUMBER: the newest first.
func (d *desk) getErasures(w http.ResponseWriter, r *http.Request, _ string) error {
	limit, err := numberIn(r, "limit", 100, 1, 1000)
	if err != nil {
		return err
	}
	before, err := numberIn(r, "before", 1<<62, 1, 1<<62)
	if err != nil {
		return err
	}
	answer := struct {
		Erasures []view `json:"erasures"`
		Next     *int64 `json:"next"` // for before; null at the end
	}{Erasures: []view{}}
	all := d.erasures.list()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].job.ID() >= before {
			continue
		}
		if int64(len(answer.Erasures)) == limit {
			answer.Next = &answer.Erasures[limit-1].Number
			break
		}
		answer.Erasures = append(answer.Erasures, d.view(all[i]))
	}
	return writeJSON(w, http.StatusOK, answer)
}

func numberIn(r *http.Request, name string, absent, least, most int64) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return absent, nil
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value < least || value > most {
		return 0, newProblem(400, "INVALID_ARGUMENT", "%s is %q, not a number from %d to %d", name,
			text, least, most)
	}
	return value, nil
}

// getErasure is GET /v1/erasures/{id}.
func (d *desk) getErasure(w http.ResponseWriter, r *http.Request, id string) error {
	e, err := d.erasures.find(id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, d.view(e))
}

// deleteErasure is DELETE /v1/erasures/{id}: a queued one ends, a running one after its step.
func (d *desk) deleteErasure(w http.ResponseWriter, r *http.Request, id string) error {
	e, err := d.erasures.find(id)
	if err != nil {
		return err
	}
	if err := d.erasures.cancel(e); err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, d.view(e))
}

// getReceipt is GET /v1/erasures/{id}/receipt.
func (d *desk) getReceipt(w http.ResponseWriter, r *http.Request, id string) error {
	if _, err := d.erasures.find(id); err != nil {
		return err
	}
	line, err := d.engine.Receipt(id)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = io.WriteString(w, line+"\n")
	return err
}

// getReceipts is GET /v1/receipts: all lines, as lethe.VerifyReceipts and the tool `lethe` read
// them.
func (d *desk) getReceipts(w http.ResponseWriter, r *http.Request, _ string) error {
	lines, err := d.engine.Receipts()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	_, err = io.WriteString(w, lines)
	return err
}

// getPublicKey is GET /v1/public-key.
func (d *desk) getPublicKey(w http.ResponseWriter, r *http.Request, _ string) error {
	key, err := d.engine.PublicKey()
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK,
		map[string]string{"algorithm": "Ed25519", "key": hex.EncodeToString(key)})
}
