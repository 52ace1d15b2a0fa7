package lethe

import (
	"image"
	"image/color"
)

// ImagePixels returns a decoded image as [DatasetFromBytes] and [Model.Detect] take it: values
// 0..255, row-major 1,C,H,W, in 1 channel (grey) or 3 (red, green, blue; detectors), transparent
// parts over black. With [Model.PredictDataset] an image that image.Decode read goes through the
// transform that the model was trained with.
func ImagePixels(img image.Image, channels int) ([]byte, Shape, error) {
	if img == nil || img.Bounds().Empty() {
		return nil, Shape{}, invalid("the image is empty")
	}
	if channels != 1 && channels != 3 {
		return nil, Shape{}, invalid("channels is %d; 1 and 3 are possible", channels)
	}
	bounds := img.Bounds()
	shape := Shape{1, channels, bounds.Dy(), bounds.Dx()}
	plane := shape[2] * shape[3]
	pixels := make([]byte, channels*plane)
	at := 0
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			if channels == 1 {
				pixels[at] = color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y
			} else {
				red, green, blue, _ := img.At(x, y).RGBA()
				pixels[at] = byte(red >> 8)
				pixels[plane+at] = byte(green >> 8)
				pixels[2*plane+at] = byte(blue >> 8)
			}
			at++
		}
	}
	return pixels, shape, nil
}
