package lethe

import (
	"runtime"

	"lethe/internal/native"
)

// Dataset is images, each with a label, or with boxes around any number of objects. It does not
// change.
//
// A dataset with boxes comes from [DatasetFromCOCO], [DatasetFromVOC] or [DatasetFromBoxes] and is
// for detectors only; tasks take it as they take the other kind. What is of one kind alone gives
// [ErrUnsupported] for the other.
type Dataset struct {
	handle
	size int
}

// newDataset takes a dataset that the library made.
func newDataset(object uintptr) *Dataset {
	d := &Dataset{size: int(native.Dataset_size(object))}
	d.own("Dataset", object, native.Dataset_free)
	runtime.SetFinalizer(d, func(d *Dataset) { d.close() })
	return d
}

// datasetFrom is the dataset that a call on another object hands over.
func datasetFrom(h *handle, f func(object uintptr, out *uintptr) native.Status) (*Dataset, error) {
	var object uintptr
	if err := h.call(func(from uintptr) native.Status { return f(from, &object) }); err != nil {
		return nil, err
	}
	return newDataset(object), nil
}

// DatasetFromFloats makes a dataset from arrays, which are copied: images as many values as shape
// says, finite, in the scale that "mean" and "std" of the transform expect (0..1 without them), and
// one label in 0..classCount-1 an image.
//
// The transform (empty: none) is JSON: {"resize":256, "center_crop":224, "pad":0, "channels":3,
// "mean":[..], "std":[..]}; steps run in this order, absent ones are skipped. Geometry steps need
// [DatasetFromBytes].
//
// [ErrInvalidArgument]: a wrong shape, a label out of range, NaN or infinity (the message names the
// sample).
func DatasetFromFloats(r *Runtime, images []float32, shape Shape, labels []int64, classCount int,
	transformJSON string) (*Dataset, error) {
	dims, transform, err := datasetArguments(len(images), shape, labels, transformJSON)
	if err != nil {
		return nil, err
	}
	return datasetFrom(r.ref(), func(object uintptr, out *uintptr) native.Status {
		return native.Dataset_from_floats(object, images, dims, labels, int64(classCount), transform, out)
	})
}

// DatasetFromBytes is [DatasetFromFloats] of values 0..255, which are scaled to 0..1 before mean
// and std; see also [ImagePixels].
func DatasetFromBytes(r *Runtime, images []byte, shape Shape, labels []int64, classCount int,
	transformJSON string) (*Dataset, error) {
	dims, transform, err := datasetArguments(len(images), shape, labels, transformJSON)
	if err != nil {
		return nil, err
	}
	return datasetFrom(r.ref(), func(object uintptr, out *uintptr) native.Status {
		return native.Dataset_from_bytes(object, images, dims, labels, int64(classCount), transform, out)
	})
}

func datasetArguments(count int, shape Shape, labels []int64, transformJSON string) (
	dims []int64, transform string, err error) {
	if dims, err = shape.dims(count); err != nil {
		return nil, "", err
	}
	if len(labels) != shape[0] {
		return nil, "", invalid("there are %d labels for %d images", len(labels), shape[0])
	}
	transform, err = optionalText("transformJSON", transformJSON)
	return dims, transform, err
}

// DatasetFromIDX reads an IDX pair (MNIST, Fashion-MNIST), plain or gzip-compressed. ClassCount 0:
// the largest label + 1. Transform as of [DatasetFromFloats]. [ErrNotFound], [ErrIO], [ErrCorrupt]
// (bad magic, truncated, counts differ), [ErrLimitExceeded].
func DatasetFromIDX(r *Runtime, imagesPath, labelsPath string, classCount int,
	transformJSON string) (*Dataset, error) {
	images, err := text("imagesPath", imagesPath)
	if err != nil {
		return nil, err
	}
	labels, err := text("labelsPath", labelsPath)
	if err != nil {
		return nil, err
	}
	transform, err := optionalText("transformJSON", transformJSON)
	if err != nil {
		return nil, err
	}
	return datasetFrom(r.ref(), func(object uintptr, out *uintptr) native.Status {
		return native.Dataset_from_idx(object, images, labels, int64(classCount), transform, out)
	})
}

// DatasetFromImageFolder reads a folder with one sub-folder a class, numbered in lexicographic
// order: .jpg, .jpeg, .png, .ppm, .pgm. All images must have one size and channel count after the
// transform. [ErrNotFound]: no folder, no class, no image. [ErrCorrupt]: an image that cannot be
// decoded; the message names it.
func DatasetFromImageFolder(r *Runtime, path, transformJSON string) (*Dataset, error) {
	folder, err := text("path", path)
	if err != nil {
		return nil, err
	}
	transform, err := optionalText("transformJSON", transformJSON)
	if err != nil {
		return nil, err
	}
	return datasetFrom(r.ref(), func(object uintptr, out *uintptr) native.Status {
		return native.Dataset_from_image_folder(object, folder, transform, out)
	})
}

// DatasetFromCOCO reads COCO instances: one JSON file with "images", "annotations" and
// "categories", and the folder of its images. A category's class is its place by ascending id, 0 to
// 79 of COCO's own files: for models that are trained on such a dataset; checkpoints from elsewhere
// are often numbered by the ids, see [DatasetFromCOCOIDs]. Images are decoded when they are looked
// at. Boxes are cut at the image's border; those without an area are left out and counted
// ("left_out" of [Dataset.InfoJSON]). Crowds are neither learnt nor counted, as COCO does.
//
// [ErrNotFound]: the file, the folder, an image. [ErrCorrupt]: not JSON, an id that nothing has or
// two have, a box outside its image, of negative size or not finite; the message names the record.
// [ErrLimitExceeded].
func DatasetFromCOCO(r *Runtime, annotationsPath, imageFolder string) (*Dataset, error) {
	annotations, err := text("annotationsPath", annotationsPath)
	if err != nil {
		return nil, err
	}
	images, err := text("imageFolder", imageFolder)
	if err != nil {
		return nil, err
	}
	return datasetFrom(r.ref(), func(object uintptr, out *uintptr) native.Status {
		return native.Dataset_from_coco(object, annotations, images, out)
	})
}

// DatasetFromCOCOIDs reads COCO instances as [DatasetFromCOCO] does, but a category's class is its
// id. For models whose outputs are numbered as COCO numbers its categories, 91 of them in the
// public checkpoints. The classes are 0 to the highest id of the file; numbers that it leaves out
// are classes without objects, called "unused 12", and no figure counts them.
// [ErrInvalidArgument]: an id below 0 or above 9999; the message names it.
func DatasetFromCOCOIDs(r *Runtime, annotationsPath, imageFolder string) (*Dataset, error) {
	annotations, err := text("annotationsPath", annotationsPath)
	if err != nil {
		return nil, err
	}
	images, err := text("imageFolder", imageFolder)
	if err != nil {
		return nil, err
	}
	return datasetFrom(r.ref(), func(object uintptr, out *uintptr) native.Status {
		return native.Dataset_from_coco_ids(object, annotations, images, out)
	})
}

// DatasetFromVOC reads Pascal VOC: a folder of XML files, one an image, and the folder of the images
// (may be the same). ClassNames are the classes in their order; none: all names found, in
// lexicographic order. Difficult objects are treated as crowds. Otherwise as [DatasetFromCOCO].
// [ErrInvalidArgument]: a name that classNames lacks. [ErrUnsupported]: a document type.
func DatasetFromVOC(r *Runtime, annotationsFolder, imageFolder string,
	classNames []string) (*Dataset, error) {
	annotations, err := text("annotationsFolder", annotationsFolder)
	if err != nil {
		return nil, err
	}
	images, err := text("imageFolder", imageFolder)
	if err != nil {
		return nil, err
	}
	names, err := jsonList("classNames", classNames)
	if err != nil {
		return nil, err
	}
	return datasetFrom(r.ref(), func(object uintptr, out *uintptr) native.Status {
		return native.Dataset_from_voc(object, annotations, images, names, out)
	})
}

// DatasetFromBoxes makes a dataset with boxes from arrays, which are copied: images N,3,H,W of
// values 0..255 (see also [ImagePixels]), and of each object left, top, right, bottom in pixels
// (inside the image and with an area), a label in 0..classCount-1, and the image that it is in,
// 0..N-1. [ErrInvalidArgument]: a wrong shape, a value out of range; the message names it.
func DatasetFromBoxes(r *Runtime, images []byte, shape Shape, boxes [][4]float32,
	labels, imageOf []int64, classCount int) (*Dataset, error) {
	dims, err := shape.dims(len(images))
	if err != nil {
		return nil, err
	}
	if len(labels) != len(boxes) || len(imageOf) != len(boxes) {
		return nil, invalid("there are %d boxes, %d labels and %d values of imageOf", len(boxes),
			len(labels), len(imageOf))
	}
	corners := make([]float32, 0, 4*len(boxes))
	for _, box := range boxes {
		corners = append(corners, box[:]...)
	}
	return datasetFrom(r.ref(), func(object uintptr, out *uintptr) native.Status {
		return native.Dataset_from_boxes(object, images, dims, corners, labels, imageOf,
			int64(classCount), out)
	})
}

// Close frees the dataset. Jobs that use it keep what they need. It returns nil.
func (d *Dataset) Close() error {
	d.close()
	return nil
}

// Size returns the number of samples, also after Close.
func (d *Dataset) Size() int { return d.size }

// Select returns a part of the dataset; pixels are shared, not copied. Values are class ids or
// positions as what says; none are allowed with DropClasses (nothing dropped). FewShot > 0 then
// keeps that many random samples of each class, by seed. [ErrNotFound]: a class that the dataset
// does not know.
//
// With boxes: images with an object of these (of other) classes, and of their objects only those;
// fewShot times the number of classes images in all.
func (d *Dataset) Select(what Selection, values []int64, fewShot int,
	seed int64) (*Dataset, error) {
	if len(values) == 0 && what != DropClasses {
		return nil, invalid("values is empty")
	}
	return datasetFrom(&d.handle, func(object uintptr, out *uintptr) native.Status {
		return native.Dataset_select(object, int32(what), values, int64(fewShot), seed, out)
	})
}

// Split returns two disjoint parts; the second has fraction (0..1) of each class (with boxes: of all
// images), rounded. Equal seeds give equal parts.
func (d *Dataset) Split(fraction float64, seed int64) (first, second *Dataset, err error) {
	var one, other uintptr
	err = d.call(func(object uintptr) native.Status {
		return native.Dataset_split(object, fraction, seed, &one, &other)
	})
	if err != nil {
		return nil, nil, err
	}
	return newDataset(one), newDataset(other), nil
}

// Sample returns a sample as the model will see it, row-major C,H,W, and its label. [ErrNotFound]:
// outside 0..Size-1. [ErrUnsupported]: the dataset has boxes, see [Dataset.Image].
func (d *Dataset) Sample(index int) (image []float32, label int64, err error) {
	var buffer uintptr
	err = d.call(func(object uintptr) native.Status {
		return native.Dataset_sample(object, int64(index), &buffer, &label)
	})
	if err != nil {
		return nil, 0, err
	}
	return floatsOf(buffer), label, nil
}

// Image returns an image of a dataset with boxes as its source has it: values 0..255, row-major
// 1,3,H,W, as [Model.Detect] takes it. [ErrNotFound]: outside 0..Size-1. [ErrUnsupported]: the
// dataset has no boxes. [ErrIO], [ErrCorrupt]: the file.
func (d *Dataset) Image(index int) ([]byte, Shape, error) {
	var buffer uintptr
	var height, width int64
	err := d.call(func(object uintptr) native.Status {
		return native.Dataset_image(object, int64(index), &buffer, &height, &width)
	})
	if err != nil {
		return nil, Shape{}, err
	}
	return bytesOf(buffer), Shape{1, 3, int(height), int(width)}, nil
}

// Objects returns the objects in an image of a dataset with boxes. [ErrNotFound]: outside
// 0..Size-1. [ErrUnsupported]: the dataset has no boxes.
func (d *Dataset) Objects(index int) ([]DetectedObject, error) {
	var buffer uintptr
	err := d.call(func(object uintptr) native.Status {
		return native.Dataset_objects(object, int64(index), &buffer)
	})
	if err != nil {
		return nil, err
	}
	return objectsOf(floatsOf(buffer)), nil
}

// DropObjects returns the same images without share (0..1) of their objects, drawn by seed:
// annotations that were never made. Crowds stay. [ErrUnsupported]: the dataset has no boxes.
func (d *Dataset) DropObjects(share float64, seed int64) (*Dataset, error) {
	return datasetFrom(&d.handle, func(object uintptr, out *uintptr) native.Status {
		return native.Dataset_drop_objects(object, share, seed, out)
	})
}

// InfoJSON tells size, classes, names, samples per class, image shape, transform, content digest.
// With boxes: size, class_count, categories (id, name), objects per class, left_out, content
// digest.
func (d *Dataset) InfoJSON() (string, error) { return d.textFrom(native.Dataset_info_json) }

// ref is nil of nil: sets may be left out.
func (d *Dataset) ref() *handle {
	if d == nil {
		return nil
	}
	return &d.handle
}
