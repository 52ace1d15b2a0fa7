package lethe

import "lethe/internal/native"

// DetectedObject is an object in an image: one that a detector found, or one that a dataset with
// boxes holds.
type DetectedObject struct {
	// Left: left edge of its box, in pixels of the image.
	Left float32
	// Top: upper edge.
	Top float32
	// Right: right edge.
	Right float32
	// Bottom: lower edge.
	Bottom float32
	// Score: how sure the detector is, 0..1; of a dataset's object 1, of a crowd 0.
	Score float32
	// Label: its class.
	Label int64
}

// objectsOf are the objects of rows of an image. Rows of the class -1 stand for none.
func objectsOf(rows []float32) []DetectedObject {
	const columns = 6
	objects := make([]DetectedObject, 0, len(rows)/columns)
	for ; len(rows) > 0; rows = rows[columns:] {
		if rows[5] >= 0 {
			objects = append(objects,
				DetectedObject{rows[0], rows[1], rows[2], rows[3], rows[4], int64(rows[5])})
		}
	}
	return objects
}

// Detect returns what a detector finds in images, a slice an image: its most (1..1000, 100 is
// COCO's) best objects, best first. One place can be found as several classes, nothing is dropped
// for overlapping.
//
// Images are N,3,H,W of values 0..255, of any size; see also [ImagePixels]. It runs on the state of
// the model at the time of the call. [ErrInvalidArgument]: another number of channels, most out of
// range. [ErrUnsupported]: the model is an image classifier.
func (m *Model) Detect(images []byte, shape Shape, most, threads int) ([][]DetectedObject, error) {
	dims, err := shape.dims(len(images))
	if err != nil {
		return nil, err
	}
	return m.detections(nil, shape[0], most, threads,
		func(model uintptr, _ []uintptr, most, workers int32, out *uintptr) native.Status {
			return native.Model_detect(model, images, dims, most, workers, out)
		})
}

// DetectDataset returns what a detector finds in every image of a dataset with boxes, in its order,
// in each image's own pixels. Otherwise as [Model.Detect]. [ErrUnsupported]: the dataset has no
// boxes.
func (m *Model) DetectDataset(data *Dataset, most, threads int) ([][]DetectedObject, error) {
	images := 0
	if data != nil {
		images = data.Size()
	}
	return m.detections([]*handle{data.ref()}, images, most, threads,
		func(model uintptr, sets []uintptr, most, workers int32, out *uintptr) native.Status {
			return native.Model_detect_dataset(model, sets[0], most, workers, out)
		})
}

func (m *Model) detections(others []*handle, images, most, threads int,
	f func(model uintptr, others []uintptr, most, workers int32, out *uintptr) native.Status) (
	[][]DetectedObject, error) {
	limit, err := int32Of("most", most)
	if err != nil {
		return nil, err
	}
	workers, err := int32Of("threads", threads)
	if err != nil {
		return nil, err
	}
	var buffer uintptr
	err = m.callWith(others, func(model uintptr, others []uintptr) native.Status {
		return f(model, others, limit, workers, &buffer)
	})
	if err != nil {
		return nil, err
	}
	rows := floatsOf(buffer)
	found := make([][]DetectedObject, images)
	for i := range found {
		size := len(rows) / images
		found[i] = objectsOf(rows[i*size : (i+1)*size])
	}
	return found, nil
}
