package main

import (
	"bytes"
	"mime/multipart"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func (s *service) form(path string, values url.Values, headers ...string) answer {
	s.t.Helper()
	return s.ask("POST", path, []byte(values.Encode()), append([]string{"Content-Type",
		"application/x-www-form-urlencoded"}, headers...)...)
}

// TestPage uses the page as a browser without JavaScript does.
func TestPage(t *testing.T) {
	s := start(t, t.TempDir())
	page := s.get("/").is(t, 200)
	policy := page.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("the policy is %q", policy)
	}
	has(t, page, `<html lang="en">`, "Nothing waits.", "No erasure has ended yet.",
		`value="Ankle boot"`)
	id := regexp.MustCompile(`name="request_id" value="(desk-[0-9a-f]{16})"`).FindSubmatch(page.body)
	if id == nil {
		t.Fatal("the form has no request id")
	}
	values := url.Values{"class": {"Trouser", "Pullover"}, "note": {`<b>"bold"</b>`},
		"priority": {"0"}, "request_id": {string(id[1])}}
	for i := 0; i < 2; i++ { // twice sent, once asked
		got := s.form("/erasures", values, "Origin", s.url).is(t, 303)
		if got.Header.Get("Location") != "/" {
			t.Errorf("leads to %q", got.Header.Get("Location"))
		}
	}
	s.form("/erasures", values, "Origin", "http://elsewhere.example").is(t, 403)
	s.form("/erasures", values, "Sec-Fetch-Site", "cross-site").is(t, 403)
	v := s.untilState(string(id[1]), "succeeded")
	page = s.get("/").is(t, 200)
	has(t, page, "Trouser, Pullover", "&lt;b&gt;&#34;bold&#34;&lt;/b&gt;", "succeeded",
		v.Receipt.Digest[:12], `href="/v1/erasures/`+v.ID+`/receipt"`, `<rect class="gone"`,
		"Accuracy of each class", percent(v.Figures.AccF.After), percent(v.Figures.AccR.Before))
	if count := bytes.Count(page.body, []byte(">forgotten</small>")); count != 2 {
		t.Errorf("%d classes are shown as forgotten", count)
	}

	none := s.form("/erasures", url.Values{"priority": {"0"}, "note": {"stays"}}).is(t, 422)
	has(t, none, "choose at least one class", `value="stays"`)
	values = url.Values{"class": {"Trouser"}, "priority": {"0"}, "request_id": {"x"}}
	has(t, s.form("/erasures", values).is(t, 422), "forgotten already")
	s.form("/erasures/"+v.ID+"/cancel", nil).is(t, 303) // too late, and no error

	picture, _ := garment(t, 2)
	has(t, s.picture(asPNG(t, picture)).is(t, 200), "data:image/png;base64,", "<figcaption>")
	has(t, s.picture([]byte("hello")).is(t, 422), "the body is no picture")
	for path, kind := range map[string]string{"/page.css": "text/css",
		"/page.js": "text/javascript"} {
		if got := s.get(path).is(t, 200).Header.Get("Content-Type"); !strings.HasPrefix(got, kind) {
			t.Errorf("%s is %s", path, got)
		}
	}
}

func has(t *testing.T, a answer, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !bytes.Contains(a.body, []byte(part)) {
			t.Errorf("the page lacks %q", part)
		}
	}
}

// picture sends the page's second form.
func (s *service) picture(file []byte) answer {
	s.t.Helper()
	body := bytes.Buffer{}
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("picture", "garment.png")
	if err != nil {
		s.t.Fatal(err)
	}
	part.Write(file)
	form.Close()
	return s.ask("POST", "/try", body.Bytes(), "Content-Type", form.FormDataContentType())
}
