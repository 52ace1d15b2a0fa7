package main

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"lethe"
)

//go:embed page.html page.css page.js
var assets embed.FS

var pageTemplate = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"percent": percent, "number": number, "duration": duration, "join": strings.Join,
	"words": func(state string) string { return strings.ReplaceAll(state, "_", " ") },
	"short": func(digest string) string { return digest[:12] },
	"utc":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" },
	"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"bars":  bars, "grouped": grouped, "thousands": thousands,
}).ParseFS(assets, "page.html"))

// page is what the template shows.
type page struct {
	Version      string
	About        about
	Classes      []pageClass
	Forgotten    int
	Now          []view // running or committing
	Waiting      []view // the next to run first
	Ended        []view // newest first
	Older        int    // ended ones that are not shown
	Newest       *view  // the newest success: its figures are the model's
	Adapters     int
	Receipts     int
	RequestID    string // of the form: sending it twice asks once
	Note         string
	Chosen       map[int64]bool
	ErasureError string
	PictureError string
	Picture      *pictureAnswer
}

type pageClass struct {
	Number int64
	Name   string
	State  string // "", "forgotten", "asked"
}

const (
	mostRead  = 100 // ended ones that are looked at
	mostEnded = 20  // of them, those that are shown
)

// readPage collects the present state.
func (d *desk) readPage() (*page, error) {
	p := &page{Version: lethe.Version(), RequestID: newRequestID(), Chosen: map[int64]bool{}}
	var err error
	if p.About, err = d.aboutModel(); err != nil {
		return nil, err
	}
	if p.Adapters, err = d.model.AdapterCount(); err != nil {
		return nil, err
	}
	if p.Receipts, err = d.engine.ReceiptCount(); err != nil {
		return nil, err
	}
	state := map[int64]string{}
	list := d.recent(mostRead)
	for _, e := range list {
		p.add(d.view(e), state)
	}
	p.Older = len(d.erasures.list()) - len(list)
	for _, class := range p.About.Forgotten {
		state[class] = "forgotten"
	}
	p.Forgotten = len(p.About.Forgotten)
	for class, name := range d.options.names {
		p.Classes = append(p.Classes, pageClass{int64(class), name, state[int64(class)]})
	}
	sort.SliceStable(p.Waiting, func(i, j int) bool {
		return p.Waiting[i].Priority > p.Waiting[j].Priority
	})
	sort.SliceStable(p.Ended, func(i, j int) bool {
		return p.Ended[i].Ended.After(*p.Ended[j].Ended)
	})
	for i := range p.Ended {
		if p.Ended[i].State == "succeeded" && p.Ended[i].Figures != nil {
			p.Newest = &p.Ended[i]
			break
		}
	}
	if len(p.Ended) > mostEnded {
		p.Older += len(p.Ended) - mostEnded
		p.Ended = p.Ended[:mostEnded]
	}
	return p, nil
}

func (p *page) add(v view, state map[int64]string) {
	switch {
	case v.State == "running" || v.State == "committing":
		p.Now = append(p.Now, v)
	case v.Ended == nil:
		p.Waiting = append(p.Waiting, v)
	default:
		p.Ended = append(p.Ended, v)
		return
	}
	for _, class := range v.Classes {
		state[class] = "asked"
	}
}

// getPage is GET /.
func (d *desk) getPage(w http.ResponseWriter, r *http.Request, _ string) error {
	return d.writePage(w, http.StatusOK, nil)
}

// writePage shows the page after a form changed it, if one did.
func (d *desk) writePage(w http.ResponseWriter, status int, change func(*page)) error {
	p, err := d.readPage()
	if err != nil {
		return err
	}
	if change != nil {
		change(p)
	}
	text := bytes.Buffer{}
	if err := pageTemplate.Execute(&text, p); err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; "+
		"connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "+
		"frame-ancestors 'none'")
	w.WriteHeader(status)
	_, err = text.WriteTo(w)
	return err
}

// asset answers with an embedded file.
func asset(name, kind string) func(http.ResponseWriter, *http.Request, string) error {
	return func(w http.ResponseWriter, r *http.Request, _ string) error {
		text, err := assets.ReadFile(name)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache")
		_, err = w.Write(text)
		return err
	}
}

func newRequestID() string {
	random := make([]byte, 8)
	rand.Read(random)
	return "desk-" + hex.EncodeToString(random)
}

func percent(value figure) string {
	if !value.Known() {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", float64(value))
}

func number(value figure, digits int) string {
	if !value.Known() {
		return "–"
	}
	return fmt.Sprintf("%.*f", digits, float64(value))
}

// thousands is a large number for people: 456,394.
func thousands(value int64) string {
	text := strconv.FormatInt(value, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// duration is seconds for people: "1 min 5 s".
func duration(seconds figure) string {
	if !seconds.Known() {
		return "–"
	}
	whole := int(math.Round(float64(seconds)))
	switch {
	case whole < 60:
		return fmt.Sprintf("%d s", whole)
	case whole < 3600:
		return fmt.Sprintf("%d min %d s", whole/60, whole%60)
	}
	return fmt.Sprintf("%d h %d min", whole/3600, whole/60%60)
}

// grouped puts the classes that were forgotten first.
func grouped(classes []classFigure) []classFigure {
	rank := map[string]int{"forgotten": 0, "earlier": 1, "kept": 2}
	result := append([]classFigure{}, classes...)
	sort.SliceStable(result, func(i, j int) bool {
		return rank[result[i].Role] < rank[result[j].Role]
	})
	return result
}

// bars are a class's accuracies before and after; style attributes are not allowed on the page.
func bars(before, after figure, role string) template.HTML {
	kind := "gone"
	if role == "kept" {
		kind = "kept"
	}
	width := func(value figure) float64 {
		if !value.Known() {
			return 0
		}
		return math.Max(0.4, float64(value)) // a zero is a line, not nothing
	}
	return template.HTML(fmt.Sprintf(`<svg class="bars" viewBox="0 0 100 12" `+
		`preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="12"/>`+
		`<rect class="before" y="1" width="%.2f" height="4"/>`+
		`<rect class="%s" y="6" width="%.2f" height="5"/></svg>`,
		width(before), kind, width(after)))
}

// dataURL is a small picture inside the page.
func dataURL(png []byte) template.URL {
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png))
}
