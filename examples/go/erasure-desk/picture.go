package main

import (
	"image"
	"image/color"
	"image/draw"
	"math"
)

// modelInput makes any picture what the model was trained on: its middle square, side x side
// pixels, grey or colour, each channel less its mean and over its deviation; row-major C,H,W.
func modelInput(picture image.Image, side, channels int, mean, std []float32) []float32 {
	square := shrink(middle(picture), side)
	plane := side * side
	input := make([]float32, channels*plane)
	for at := 0; at < plane; at++ {
		red, green, blue := square[3*at], square[3*at+1], square[3*at+2]
		values := []float32{red, green, blue}
		if channels == 1 {
			values = []float32{0.299*red + 0.587*green + 0.114*blue}
		}
		for c, value := range values {
			input[c*plane+at] = (value - mean[c]) / std[c]
		}
	}
	return input
}

// middle cuts the largest square out of a picture's middle; transparent parts lie over black.
func middle(picture image.Image) *image.RGBA {
	bounds := picture.Bounds()
	side := bounds.Dx()
	if bounds.Dy() < side {
		side = bounds.Dy()
	}
	from := bounds.Min.Add(image.Pt((bounds.Dx()-side)/2, (bounds.Dy()-side)/2))
	square := image.NewRGBA(image.Rect(0, 0, side, side))
	draw.Draw(square, square.Bounds(), image.NewUniform(color.Black), image.Point{}, draw.Src)
	draw.Draw(square, square.Bounds(), picture, from, draw.Over)
	return square
}

// shrink averages over the area of each new pixel, so that fine patterns become grey instead of
// stripes; red, green, blue in 0..1. A smaller picture grows by the same rule. The library's own
// resize, a transform of data sets, is torchvision's and blurs: a picture of the training set's that
// somebody enlarged would not come back as the model saw it.
func shrink(square *image.RGBA, side int) []float32 {
	size := square.Bounds().Dx()
	areas := areasOf(size, side)
	rows := make([]float32, size*side*3) // every old row, with new columns
	for y := 0; y < size; y++ {
		line := square.Pix[y*square.Stride:]
		for x, area := range areas {
			for i, share := range area.shares {
				for c := 0; c < 3; c++ {
					rows[(y*side+x)*3+c] += share * float32(line[4*(area.first+i)+c]) / 255
				}
			}
		}
	}
	result := make([]float32, side*side*3)
	for y, area := range areas {
		for i, share := range area.shares {
			for at := 0; at < side*3; at++ {
				result[y*side*3+at] += share * rows[(area.first+i)*side*3+at]
			}
		}
	}
	return result
}

// area is the old pixels that lie under a new one, and how much each counts; the shares sum to 1.
type area struct {
	first  int
	shares []float32
}

func areasOf(size, side int) []area {
	areas := make([]area, side)
	scale := float64(size) / float64(side)
	for i := range areas {
		from, to := float64(i)*scale, float64(i+1)*scale
		first, last := int(from), int(math.Ceil(to))
		if last > size { // rounding
			last = size
		}
		areas[i].first = first
		for p := first; p < last; p++ {
			part := math.Min(to, float64(p+1)) - math.Max(from, float64(p))
			areas[i].shares = append(areas[i].shares, float32(part/scale))
		}
	}
	return areas
}

// thumbnail is a picture as the model sees it, for people.
func thumbnail(picture image.Image, side, channels int) image.Image {
	square := shrink(middle(picture), side)
	result := image.NewRGBA(image.Rect(0, 0, side, side))
	for at := 0; at < side*side; at++ {
		pixel := color.RGBA{A: 255, R: level(square[3*at]), G: level(square[3*at+1]),
			B: level(square[3*at+2])}
		if channels == 1 {
			grey := color.GrayModel.Convert(pixel).(color.Gray).Y
			pixel.R, pixel.G, pixel.B = grey, grey, grey
		}
		result.SetRGBA(at%side, at/side, pixel)
	}
	return result
}

func level(value float32) uint8 { return uint8(math.Min(255, math.Round(float64(value)*255))) }
