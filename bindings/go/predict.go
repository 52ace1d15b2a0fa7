package lethe

import "lethe/internal/native"

// Shape is the size of a batch of images: N, C, H, W.
type Shape [4]int

// dims checks that count values fill the shape.
func (s Shape) dims(count int) ([]int64, error) {
	dims := make([]int64, len(s))
	product := 1
	for i, size := range s {
		if size <= 0 {
			return nil, invalid("shape %v has a size of %d", [4]int(s), size)
		}
		if product > count/size {
			product = count + 1 // more than there are; the exact number might not fit an int
		} else {
			product *= size
		}
		dims[i] = int64(size)
	}
	if product != count {
		return nil, invalid("there are %d values, not as many as shape %v says", count, [4]int(s))
	}
	return dims, nil
}

// Scores is a table of float32 results, one row an image. It does not change.
type Scores struct {
	columns int
	values  []float32
}

// Rows returns the number of images.
func (s *Scores) Rows() int {
	if s.columns == 0 {
		return 0
	}
	return len(s.values) / s.columns
}

// Columns returns the number of values of an image: classes of predictions, dimensions of
// embeddings.
func (s *Scores) Columns() int { return s.columns }

// At returns a value; it panics outside the table, as indexing does.
func (s *Scores) At(row, column int) float32 { return s.Row(row)[column] }

// Row returns an image's values; not to be changed.
func (s *Scores) Row(row int) []float32 {
	end := (row + 1) * s.columns
	return s.values[row*s.columns : end : end]
}

// Values returns the whole table, row by row; not to be changed.
func (s *Scores) Values() []float32 { return s.values }

// ArgMax returns the column of a row's largest value, the first of equal ones: an image's class.
func (s *Scores) ArgMax(row int) int {
	best := 0
	for column, value := range s.Row(row) {
		if value > s.At(row, best) {
			best = column
		}
	}
	return best
}

// Predict returns class scores of images: one row an image, one column a class (cosine heads: scale
// times cosine, no margin).
//
// Images are as many values as shape says, normalised as the model was trained, finite. It runs on
// the state of the model at the time of the call. [ErrInvalidArgument]: another shape than the
// model's, NaN. [ErrUnsupported]: the model is a detector.
func (m *Model) Predict(images []float32, shape Shape, threads int) (*Scores, error) {
	return m.scores(images, shape, threads, native.Model_predict)
}

// Embed returns embeddings of images, the head's input: one row an image. Otherwise as
// [Model.Predict].
func (m *Model) Embed(images []float32, shape Shape, threads int) (*Scores, error) {
	return m.scores(images, shape, threads, native.Model_embed)
}

func (m *Model) scores(images []float32, shape Shape, threads int,
	f func(uintptr, []float32, []int64, int32, *uintptr) native.Status) (*Scores, error) {
	dims, err := shape.dims(len(images))
	if err != nil {
		return nil, err
	}
	workers, err := int32Of("threads", threads)
	if err != nil {
		return nil, err
	}
	var buffer uintptr
	err = m.call(func(model uintptr) native.Status { return f(model, images, dims, workers, &buffer) })
	if err != nil {
		return nil, err
	}
	return scoresOf(buffer, shape[0]), nil
}

func scoresOf(buffer uintptr, rows int) *Scores {
	values := floatsOf(buffer)
	if rows == 0 {
		return &Scores{}
	}
	return &Scores{len(values) / rows, values}
}

// PredictDataset returns class scores of every sample of a dataset, in its order.
func (m *Model) PredictDataset(data *Dataset, threads int) (*Scores, error) {
	workers, err := int32Of("threads", threads)
	if err != nil {
		return nil, err
	}
	var buffer uintptr
	err = m.callWith([]*handle{data.ref()}, func(model uintptr, sets []uintptr) native.Status {
		return native.Model_predict_dataset(model, sets[0], workers, &buffer)
	})
	if err != nil {
		return nil, err
	}
	return scoresOf(buffer, data.Size()), nil
}

// Evaluate measures the accuracy over a dataset. Metrics: acc (all), acc_f, acc_r, acc_o,
// acc_class.N for each class with samples, samples, seconds; of a detector ap and ap50 for acc, the
// COCO AP in percent. Options may be nil.
func (m *Model) Evaluate(data *Dataset, options *EvaluateOptions) (*Report, error) {
	if options == nil {
		options = &EvaluateOptions{}
	}
	o := *options
	var object uintptr
	err := m.callWith([]*handle{data.ref()}, func(model uintptr, sets []uintptr) native.Status {
		return native.Model_evaluate(model, sets[0], o.Threads, o.Batch, truth(o.Margin),
			truth(o.Base), truth(o.ForgetClasses == nil), o.ForgetClasses,
			truth(o.PastClasses == nil), o.PastClasses, &object)
	})
	if err != nil {
		return nil, err
	}
	return newReport(object), nil
}
