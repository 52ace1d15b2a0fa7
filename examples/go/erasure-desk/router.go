package main

import (
	"net/http"
	"net/url"
	"strings"
)

// route answers one method on one pattern, in which {id} stands for a segment. The standard
// library's mux looks at the decoded path, where a request id with a slash would be two segments.
type route struct {
	method, pattern string
	answer          func(w http.ResponseWriter, r *http.Request, id string) error
}

// newHandler is all of the service.
func newHandler(d *desk) http.Handler {
	return &router{d, []route{
		{"GET", "/", d.getPage},
		{"GET", "/page.css", asset("page.css", "text/css; charset=utf-8")},
		{"GET", "/page.js", asset("page.js", "text/javascript; charset=utf-8")},
		{"POST", "/erasures", d.postErasureForm},
		{"POST", "/erasures/{id}/cancel", d.postCancelForm},
		{"POST", "/try", d.postPictureForm},

		{"POST", "/v1/erasures", d.postErasure},
		{"GET", "/v1/erasures", d.getErasures},
		{"GET", "/v1/erasures/{id}", d.getErasure},
		{"DELETE", "/v1/erasures/{id}", d.deleteErasure},
		{"GET", "/v1/erasures/{id}/receipt", d.getReceipt},
		{"GET", "/v1/receipts", d.getReceipts},
		{"GET", "/v1/public-key", d.getPublicKey},
		{"GET", "/v1/events", d.getEvents},
		{"POST", "/v1/predict", d.postPredict},

		{"GET", "/metrics", d.getMetrics},
		{"GET", "/healthz", d.getHealth},
		{"GET", "/readyz", d.getReady},
	}}
}

type router struct {
	desk   *desk
	routes []route
}

func (h *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &recorder{ResponseWriter: w}
	answer.Header().Set("X-Content-Type-Options", "nosniff")
	found, id, err := h.find(r, answer)
	pattern := "none"
	if err == nil {
		pattern = found.pattern
		err = found.answer(answer, r, id)
	}
	if err != nil && answer.status == 0 {
		writeProblem(answer, err)
	}
	if answer.status == 0 { // the client left before an answer
		answer.status = 499
	}
	h.desk.metrics.request(r.Method, pattern, answer.status)
	if answer.status >= 500 {
		h.desk.log.warn("request failed", "method", r.Method, "path", r.URL.EscapedPath(),
			"status", answer.status, "error", err)
	}
}

// find chooses the route and takes the id out of the path.
func (h *router) find(r *http.Request, w http.ResponseWriter) (found route, id string, err error) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http leaves the body out
	}
	var allowed []string
	for _, candidate := range h.routes {
		segment, matches := match(candidate.pattern, r.URL.EscapedPath())
		switch {
		case !matches:
		case candidate.method != method:
			allowed = append(allowed, candidate.method)
		default:
			id, err := url.PathUnescape(segment)
			if err != nil {
				return route{}, "", newProblem(400, "INVALID_ARGUMENT", "the path is not well formed")
			}
			return candidate, id, nil
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return route{}, "", newProblem(405, "UNSUPPORTED", "%s is not possible here, but %s",
			r.Method, strings.Join(allowed, ", "))
	}
	return route{}, "", newProblem(404, "NOT_FOUND", "there is nothing at %s", r.URL.EscapedPath())
}

// match compares segment by segment; it returns the one that {id} stands for.
func match(pattern, path string) (id string, matches bool) {
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return "", false
	}
	for i, segment := range want {
		switch {
		case segment == "{id}" && have[i] != "":
			id = have[i]
		case segment != have[i]:
			return "", false
		}
	}
	return id, true
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(data)
}

// Flush makes event streams possible.
func (r *recorder) Flush() {
	if flusher, ok := r.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
}

func (d *desk) getHealth(w http.ResponseWriter, r *http.Request, _ string) error {
	return writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
}

func (d *desk) getReady(w http.ResponseWriter, r *http.Request, _ string) error {
	if err := d.ready(); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}
