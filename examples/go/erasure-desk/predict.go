package main

import (
	"bytes"
	"context"
	"image"
	_ "image/jpeg" // what a picture may be
	_ "image/png"
	"io"
	"mime"
	"net/http"
	"time"

	"lethe"
)

const (
	largestPicture = 8 << 20  // bytes of the file
	mostPixels     = 16 << 20 // a small file can hold a picture that fills the memory
	longestQueue   = 5 * time.Second
)

// prediction is the answer of POST /v1/predict.
type prediction struct {
	Class  int       `json:"class"`
	Name   string    `json:"name"`
	Scores []float32 `json:"scores"` // the head's, one a class
}

// postPredict is POST /v1/predict: a PNG or a JPEG.
func (d *desk) postPredict(w http.ResponseWriter, r *http.Request, _ string) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "image/png" && kind != "image/jpeg" {
		return newProblem(415, "UNSUPPORTED", "the body's type is %q, not image/png or image/jpeg",
			r.Header.Get("Content-Type"))
	}
	file, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestPicture))
	if err != nil {
		return unreadable(err)
	}
	answer, err := d.predict(r.Context(), file, kind)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

// unreadable is a body that did not arrive, but for one that is too large.
func unreadable(err error) error {
	if problemOf(err).Status == http.StatusRequestEntityTooLarge {
		return err
	}
	return newProblem(400, "INVALID_ARGUMENT", "the body could not be read: %v", err)
}

// predict decodes a file, which must be what its type says (any, if empty), and asks the model.
// Training never makes it wait; other pictures do, when all places are taken.
func (d *desk) predict(ctx context.Context, file []byte, kind string) (prediction, error) {
	start := time.Now()
	if err := d.takePlace(ctx); err != nil {
		return prediction{}, err
	}
	defer func() { <-d.working }()
	picture, err := decode(file, kind)
	if err != nil {
		return prediction{}, err
	}
	spec := d.about.Spec
	input := modelInput(picture, spec.Side, spec.Channels, d.options.mean, d.options.std)
	scores, err := d.model.Predict(input, lethe.Shape{1, spec.Channels, spec.Side, spec.Side}, 1)
	if err != nil {
		return prediction{}, err
	}
	d.metrics.predicted(time.Since(start))
	class := scores.ArgMax(0)
	return prediction{class, d.options.names[class], scores.Row(0)}, nil
}

func (d *desk) takePlace(ctx context.Context) error {
	limit := time.NewTimer(longestQueue)
	defer limit.Stop()
	select {
	case d.working <- struct{}{}:
		return nil
	case <-limit.C:
		return newProblem(503, "BUSY", "too many pictures wait; ask again later")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// decode reads a picture after a look at its size.
func decode(file []byte, kind string) (image.Image, error) {
	header, format, err := image.DecodeConfig(bytes.NewReader(file))
	switch {
	case err != nil:
		return nil, newProblem(422, "CORRUPT", "the body is no picture: %v", err)
	case kind != "" && kind != "image/"+format:
		return nil, newProblem(422, "INVALID_ARGUMENT", "the body is image/%s, not %s", format, kind)
	case header.Width <= 0 || header.Height <= 0:
		return nil, newProblem(422, "INVALID_ARGUMENT", "the picture is empty")
	case header.Width > mostPixels/header.Height:
		return nil, newProblem(413, "LIMIT_EXCEEDED", "the picture has %d x %d pixels; %d are allowed",
			header.Width, header.Height, mostPixels)
	}
	picture, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, newProblem(422, "CORRUPT", "the picture cannot be decoded: %v", err)
	}
	return picture, nil
}
