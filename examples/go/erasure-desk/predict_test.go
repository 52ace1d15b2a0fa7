package main

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"os"
	"testing"

	"lethe"
)

// garment is test image number `index` and its label.
func garment(t *testing.T, index int) (*image.Gray, int) {
	t.Helper()
	pixels, err := firstBytes(images+"t10k-images-idx3-ubyte.gz", 16+(index+1)*28*28)
	if err != nil {
		t.Fatal(err)
	}
	labels, err := firstBytes(images+"t10k-labels-idx1-ubyte.gz", 8+index+1)
	if err != nil {
		t.Fatal(err)
	}
	picture := image.NewGray(image.Rect(0, 0, 28, 28))
	copy(picture.Pix, pixels[16+index*28*28:])
	return picture, int(labels[8+index])
}

// larger draws a picture in colour, each pixel as a block, with black bars at its sides.
func larger(picture *image.Gray, times int) *image.NRGBA {
	side, bar := 28*times, 7
	result := image.NewNRGBA(image.Rect(0, 0, side+2*bar, side))
	for y := 0; y < side; y++ {
		for x := 0; x < side+2*bar; x++ {
			value := color.NRGBA{A: 255}
			if x >= bar && x < side+bar {
				grey := picture.GrayAt((x-bar)/times, y/times).Y
				value = color.NRGBA{grey, grey, grey, 255}
			}
			result.SetNRGBA(x, y, value)
		}
	}
	return result
}

func asPNG(t *testing.T, picture image.Image) []byte {
	t.Helper()
	file := bytes.Buffer{}
	if err := png.Encode(&file, picture); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func asJPEG(t *testing.T, picture image.Image) []byte {
	t.Helper()
	file := bytes.Buffer{}
	if err := jpeg.Encode(&file, picture, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// TestPredict sends pictures of every kind and compares with the library's own answer.
func TestPredict(t *testing.T) {
	s := start(t, t.TempDir())
	model := baseModel(t)
	right := 0
	const count = 20
	for i := 0; i < count; i++ {
		picture, label := garment(t, i)
		input := make([]float32, 28*28)
		for at, value := range picture.Pix {
			input[at] = (float32(value)/255 - 0.2860) / 0.3530
		}
		want, err := model.Predict(input, lethe.Shape{1, 1, 28, 28}, 1)
		if err != nil {
			t.Fatal(err)
		}
		for kind, file := range map[string][]byte{
			"png": asPNG(t, picture), "PNG, large": asPNG(t, larger(picture, 5)),
			"jpeg": asJPEG(t, larger(picture, 8))} {
			got := s.predict(file, kind == "jpeg")
			near := 1e-3
			if kind == "jpeg" {
				near = 1.5
			}
			for class, score := range got.Scores {
				if math.Abs(float64(score-want.At(0, class))) > near {
					t.Errorf("image %d as %s: %v, not %v", i, kind, got.Scores, want.Row(0))
					break
				}
			}
			if kind != "jpeg" && (got.Class != want.ArgMax(0) || got.Name != defaultNames()[got.Class]) {
				t.Errorf("image %d as %s is %d (%s), not %d", i, kind, got.Class, got.Name, want.ArgMax(0))
			}
		}
		if want.ArgMax(0) == label {
			right++
		}
	}
	if right < count*3/4 {
		t.Errorf("only %d of %d right", right, count)
	}
	picture, _ := garment(t, 0)
	s.ask("POST", "/v1/predict", asJPEG(t, picture), "Content-Type", "image/png").is(t, 422)
	cutOff := asPNG(t, larger(picture, 3))
	s.ask("POST", "/v1/predict", cutOff[:len(cutOff)/2], "Content-Type", "image/png").is(t, 422)
	bomb := asPNG(t, image.NewGray(image.Rect(0, 0, 4100, 4100)))
	s.ask("POST", "/v1/predict", bomb, "Content-Type", "image/png").is(t, 413)
}

func baseModel(t *testing.T) *lethe.Model {
	t.Helper()
	spec, err := os.ReadFile(sources + "/examples/quickstart/model.json")
	if err != nil {
		t.Fatal(err)
	}
	runtime, err := lethe.NewRuntime(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.Close()
	model, err := lethe.NewModel(runtime, string(spec), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { model.Close() })
	weights := sources + "/examples/quickstart/fashion_vit.safetensors"
	if err := model.LoadWeights(weights, nil); err != nil {
		t.Fatal(err)
	}
	return model
}

func (s *service) predict(file []byte, isJPEG bool) (p prediction) {
	s.t.Helper()
	kind := "image/png"
	if isJPEG {
		kind = "image/jpeg; q=1"
	}
	s.ask("POST", "/v1/predict", file, "Content-Type", kind).is(s.t, 200).into(s.t, &p)
	return p
}

func defaultNames() []string {
	o, _ := parseOptions(nil, io.Discard)
	return o.names
}

// TestShrink averages areas; shares of pixels count as such.
func TestShrink(t *testing.T) {
	square := image.NewRGBA(image.Rect(0, 0, 3, 3))
	for y := 0; y < 3; y++ {
		for x := 0; x < 3; x++ {
			square.SetRGBA(x, y, color.RGBA{uint8(60 * x), uint8(60 * y), 200, 255})
		}
	}
	// New pixels are 1.5 old ones wide: (1*0 + 0.5*60) / 1.5 = 20, (0.5*60 + 1*120) / 1.5 = 100.
	want := []float64{20, 20, 200, 100, 20, 200, 20, 100, 200, 100, 100, 200}
	for i, value := range shrink(square, 2) {
		if math.Abs(float64(value)*255-want[i]) > 1e-3 {
			t.Errorf("value %d is %v, not %v", i, value*255, want[i])
		}
	}
	for _, side := range []int{1, 3, 5, 28} {
		for i, a := range areasOf(37, side) {
			sum := float32(0)
			for _, share := range a.shares {
				sum += share
			}
			if math.Abs(float64(sum-1)) > 1e-5 {
				t.Errorf("side %d: the shares of pixel %d sum to %v", side, i, sum)
			}
		}
	}
}

// TestModelInput makes grey and colour, over black where a picture is transparent.
func TestModelInput(t *testing.T) {
	picture := image.NewNRGBA(image.Rect(5, 5, 15, 9)) // wide, and not at the origin
	for y := 5; y < 9; y++ {
		for x := 8; x < 12; x++ {
			picture.SetNRGBA(x, y, color.NRGBA{200, 100, 50, 255})
		}
	}
	colour := modelInput(picture, 2, 3, []float32{0.1, 0.2, 0.3}, []float32{1, 2, 4})
	want := []float32{200./255 - 0.1, (100./255 - 0.2) / 2, (50./255 - 0.3) / 4}
	for i, value := range colour {
		if math.Abs(float64(value-want[i/4])) > 1e-5 {
			t.Errorf("value %d is %v, not %v", i, value, want[i/4])
		}
	}
	grey := modelInput(image.NewNRGBA(image.Rect(0, 0, 4, 4)), 2, 1, []float32{0.5}, []float32{0.5})
	if grey[0] != -1 {
		t.Errorf("transparent is %v, not black", grey[0])
	}
}
