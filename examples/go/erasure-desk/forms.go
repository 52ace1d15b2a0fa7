package main

import (
	"bytes"
	"html/template"
	"image/png"
	"io"
	"math"
	"net/http"
	"net/url"
	"sort"
	"strconv"
)

// sameOrigin refuses forms that another site's page sends from this browser. The JSON interface
// needs no such check: browsers send its content types elsewhere only when they are allowed to.
func sameOrigin(r *http.Request) error {
	site := r.Header.Get("Sec-Fetch-Site")
	origin, err := url.Parse(r.Header.Get("Origin"))
	if site == "cross-site" || site == "same-site" || err != nil ||
		(r.Header.Get("Origin") != "" && r.Header.Get("Origin") != "null" && origin.Host != r.Host) {
		return newProblem(403, "UNSUPPORTED", "the form comes from another site")
	}
	return nil
}

// postErasureForm is the page's form. It leads back to the page, so that a reload sends nothing.
func (d *desk) postErasureForm(w http.ResponseWriter, r *http.Request, _ string) error {
	if err := sameOrigin(r); err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, largestRequest)
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	chosen := map[int64]bool{}
	refs := []classRef{}
	for _, name := range r.PostForm["class"] {
		name := name
		refs = append(refs, classRef{name: &name})
	}
	id, note := r.PostForm.Get("request_id"), r.PostForm.Get("note")
	err := func() error {
		classes, err := d.classesOf(refs)
		if err != nil {
			return err
		}
		for _, class := range classes {
			chosen[class] = true
		}
		if len(classes) == 0 {
			return newProblem(422, "INVALID_ARGUMENT", "choose at least one class")
		}
		priority, err := strconv.ParseInt(r.PostForm.Get("priority"), 10, 32)
		if err != nil {
			return newProblem(422, "INVALID_ARGUMENT", "the priority is not a number")
		}
		if id, err = requestID(id, ""); err != nil {
			return err
		}
		_, _, err = d.accept(request{id, classes, note, int32(priority)})
		return err
	}()
	if err != nil {
		return d.writePage(w, problemOf(err).Status, func(p *page) {
			p.ErasureError, p.Note, p.Chosen = problemOf(err).Detail, note, chosen
		})
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// postCancelForm is the button beside an erasure.
func (d *desk) postCancelForm(w http.ResponseWriter, r *http.Request, id string) error {
	if err := sameOrigin(r); err != nil {
		return err
	}
	e, err := d.erasures.find(id)
	if err != nil {
		return err
	}
	// One that ended while the page was looked at needs no answer but the page.
	if err := d.erasures.cancel(e); err != nil && problemOf(err).Status != http.StatusConflict {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// pictureAnswer is what the page shows of a prediction.
type pictureAnswer struct {
	Name    string
	Seen    template.URL // the picture as the model sees it
	Classes []scored     // the likeliest first
}

type scored struct {
	Name string
	Part figure // percent
}

// postPictureForm answers the form that tries a picture.
func (d *desk) postPictureForm(w http.ResponseWriter, r *http.Request, _ string) error {
	if err := sameOrigin(r); err != nil {
		return err
	}
	answer, err := d.tryPicture(w, r)
	if err != nil {
		return d.writePage(w, problemOf(err).Status, func(p *page) {
			p.PictureError = problemOf(err).Detail
		})
	}
	return d.writePage(w, http.StatusOK, func(p *page) { p.Picture = answer })
}

func (d *desk) tryPicture(w http.ResponseWriter, r *http.Request) (*pictureAnswer, error) {
	r.Body = http.MaxBytesReader(w, r.Body, largestPicture+64<<10)
	if err := r.ParseMultipartForm(largestPicture); err != nil {
		return nil, unreadable(err)
	}
	part, _, err := r.FormFile("picture")
	if err != nil {
		return nil, newProblem(422, "INVALID_ARGUMENT", "choose a picture, a PNG or a JPEG")
	}
	defer part.Close()
	file, err := io.ReadAll(part)
	if err != nil {
		return nil, unreadable(err)
	}
	found, err := d.predict(r.Context(), file, "")
	if err != nil {
		return nil, err
	}
	picture, err := decode(file, "")
	if err != nil {
		return nil, err
	}
	seen := bytes.Buffer{}
	spec := d.about.Spec
	if err := png.Encode(&seen, thumbnail(picture, spec.Side, spec.Channels)); err != nil {
		return nil, err
	}
	answer := &pictureAnswer{Name: found.Name, Seen: dataURL(seen.Bytes())}
	for class, part := range softmax(found.Scores) {
		answer.Classes = append(answer.Classes, scored{d.options.names[class], figure(100 * part)})
	}
	sort.SliceStable(answer.Classes, func(i, j int) bool {
		return answer.Classes[i].Part > answer.Classes[j].Part
	})
	if len(answer.Classes) > 3 {
		answer.Classes = answer.Classes[:3]
	}
	return answer, nil
}

// softmax makes parts of 1 out of scores.
func softmax(scores []float32) []float64 {
	largest, sum := math.Inf(-1), 0.0
	for _, score := range scores {
		largest = math.Max(largest, float64(score))
	}
	parts := make([]float64, len(scores))
	for i, score := range scores {
		parts[i] = math.Exp(float64(score) - largest)
		sum += parts[i]
	}
	for i := range parts {
		parts[i] /= sum
	}
	return parts
}
