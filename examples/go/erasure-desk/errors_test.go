package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
)

// TestRefusals has a line for each way to ask wrongly.
func TestRefusals(t *testing.T) {
	s := start(t, t.TempDir())
	const (
		post, erasures, jsonType = "POST", "/v1/erasures", "application/json"
		invalid                  = "INVALID_ARGUMENT"
	)
	long := strings.Repeat("x", 129)
	for _, c := range []struct {
		what, method, path, contentType, id, body string
		status                                    int
		code                                      string
	}{
		{"no JSON", post, erasures, jsonType, "a", `{"classes":[1]`, 400, invalid},
		{"two objects", post, erasures, jsonType, "a", `{"classes":[1]}{}`, 400, invalid},
		{"a list", post, erasures, jsonType, "a", `[1]`, 400, invalid},
		{"unknown field", post, erasures, jsonType, "a", `{"klasses":[1]}`, 400, invalid},
		{"half a class", post, erasures, jsonType, "a", `{"classes":[1.5]}`, 400, invalid},
		{"null class", post, erasures, jsonType, "a", `{"classes":[null]}`, 400, invalid},
		{"huge priority", post, erasures, jsonType, "a", `{"classes":[1],"priority":1e99}`, 400,
			invalid},
		{"no id", post, erasures, jsonType, "", `{"classes":[1]}`, 400, invalid},
		{"two ids", post, erasures, jsonType, "a", `{"classes":[1],"request_id":"b"}`, 400,
			invalid},
		{"another type", post, erasures, "text/plain", "a", `{"classes":[1]}`, 415, "UNSUPPORTED"},
		{"large body", post, erasures, jsonType, "a",
			`{"note":"` + strings.Repeat("x", largestRequest) + `"}`, 413, "LIMIT_EXCEEDED"},
		{"no classes", post, erasures, jsonType, "a", `{}`, 422, invalid},
		{"a class twice", post, erasures, jsonType, "a", `{"classes":[1,"Trouser"]}`, 422,
			invalid},
		{"all classes", post, erasures, jsonType, "a", `{"classes":[0,1,2,3,4,5,6,7,8,9]}`, 422,
			invalid},
		{"long id", post, erasures, jsonType, long, `{"classes":[1]}`, 422, invalid},
		{"NUL in the id", post, erasures, jsonType, "", `{"classes":[1],"request_id":"a\u0000"}`,
			422, invalid},
		{"dots as id", post, erasures, jsonType, "..", `{"classes":[1]}`, 422, invalid},
		{"long note", post, erasures, jsonType, "a",
			`{"classes":[1],"note":"` + strings.Repeat("ü", longestNote+1) + `"}`, 422, invalid},
		{"priority", post, erasures, jsonType, "a", `{"classes":[1],"priority":1001}`, 422,
			invalid},
		{"unknown number", post, erasures, jsonType, "a", `{"classes":[10]}`, 404, "NOT_FOUND"},
		{"negative number", post, erasures, jsonType, "a", `{"classes":[-1]}`, 404, "NOT_FOUND"},
		{"unknown name", post, erasures, jsonType, "a", `{"classes":["Hat"]}`, 404, "NOT_FOUND"},
		{"empty name", post, erasures, jsonType, "a", `{"classes":[""]}`, 404, "NOT_FOUND"},

		{"unknown erasure", "GET", "/v1/erasures/nobody", "", "", "", 404, "NOT_FOUND"},
		{"cancel it", "DELETE", "/v1/erasures/nobody", "", "", "", 404, "NOT_FOUND"},
		{"its receipt", "GET", "/v1/erasures/nobody/receipt", "", "", "", 404, "NOT_FOUND"},
		{"limit", "GET", "/v1/erasures?limit=0", "", "", "", 400, invalid},
		{"unknown path", "GET", "/v2", "", "", "", 404, "NOT_FOUND"},
		{"an empty id", "GET", "/v1/erasures/", "", "", "", 404, "NOT_FOUND"},
		{"method", "PUT", "/v1/erasures", jsonType, "", `{}`, 405, "UNSUPPORTED"},
		{"no picture type", "POST", "/v1/predict", "image/gif", "", "GIF89a", 415, "UNSUPPORTED"},
		{"no picture", "POST", "/v1/predict", "image/png", "", "hello", 422, "CORRUPT"},
		{"no bytes", "POST", "/v1/predict", "image/png", "", "", 422, "CORRUPT"},
		{"large picture", "POST", "/v1/predict", "image/png", "", strings.Repeat("x", largestPicture+1),
			413, "LIMIT_EXCEEDED"},
	} {
		headers := []string{"Content-Type", c.contentType}
		if c.id != "" {
			headers = append(headers, "Idempotency-Key", c.id)
		}
		got := s.ask(c.method, c.path, []byte(c.body), headers...)
		var p problem
		if err := json.Unmarshal(got.body, &p); err != nil || got.StatusCode != c.status ||
			p.Status != c.status || p.Code != c.code || len(p.Detail) < 10 || p.Title == "" ||
			got.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", c.what, got.StatusCode, got.body)
		}
	}
	var list struct{ Erasures []view }
	s.get("/v1/erasures").is(t, 200).into(t, &list)
	if len(list.Erasures) != 0 {
		t.Errorf("a refusal was accepted: %+v", list)
	}
	if allow := s.ask("PUT", "/v1/erasures", nil).Header.Get("Allow"); allow != "POST, GET" {
		t.Errorf("Allow is %q", allow)
	}
}

// TestFlags has wrong settings end the start with a sentence.
func TestFlags(t *testing.T) {
	for _, wrong := range [][]string{{"-threads", "0"}, {"-held-out", "1"}, {"-unknown"}, {"word"},
		{"-checkpoint", "0s"}, {"-mean", "x"}} {
		said := bytes.Buffer{}
		if _, err := parseOptions(wrong, &said); err == nil || said.Len() == 0 {
			t.Errorf("%v is taken, or refused without a word", wrong)
		}
	}
	o, err := parseOptions([]string{"-mean", "0.1, 0.2,0.3", "-names", "a,b"},
		io.Discard)
	if err != nil || len(o.mean) != 3 || o.mean[1] != 0.2 || len(o.names) != 2 {
		t.Errorf("%+v, %v", o, err)
	}
}
