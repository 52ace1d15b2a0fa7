package lethe_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lethe"
)

const (
	photoSide    = 64
	photoCount   = 6
	photoPixels  = 3 * photoSide * photoSide
	detectorSpec = `{"arch":"deformable_detr","classes":3,"backbone":"resnet18","backbone_width":8,` +
		`"feature_levels":2,"dim":32,"heads":2,"encoder_layers":1,"decoder_layers":1,"ffn_dim":32,` +
		`"points":2,"queries":10,"shorter_side":0,"dropout":0}`
)

// photoObjects are a square of the class i % 3 and, but for the last image, one of the next.
func photoObjects(i int) []lethe.DetectedObject {
	at := float32(i)
	objects := []lethe.DetectedObject{
		{Left: 4 + at, Top: 5, Right: 24 + at, Bottom: 25.5, Score: 1, Label: int64(i % 3)},
		{Left: 30, Top: 30 + at, Right: 60, Bottom: 50 + at, Score: 1, Label: int64((i + 1) % 3)},
	}
	if i+1 == photoCount {
		return objects[:1]
	}
	return objects
}

func photos() ([]byte, lethe.Shape) {
	images := bytes.Repeat([]byte{90}, photoCount*photoPixels)
	for i := 0; i < photoCount; i++ {
		for _, o := range photoObjects(i) {
			plane := images[(i*3+int(o.Label))*photoSide*photoSide:]
			for y := int(o.Top); y < int(o.Bottom); y++ {
				for x := int(o.Left); x < int(o.Right); x++ {
					plane[y*photoSide+x] = 255
				}
			}
		}
	}
	return images, lethe.Shape{photoCount, 3, photoSide, photoSide}
}

func newSquares(t testing.TB, r *lethe.Runtime) *lethe.Dataset {
	t.Helper()
	var boxes [][4]float32
	var labels, imageOf []int64
	for i := 0; i < photoCount; i++ {
		for _, o := range photoObjects(i) {
			boxes = append(boxes, [4]float32{o.Left, o.Top, o.Right, o.Bottom})
			labels, imageOf = append(labels, o.Label), append(imageOf, int64(i))
		}
	}
	images, shape := photos()
	d := must[*lethe.Dataset](t)(lethe.DatasetFromBoxes(r, images, shape, boxes, labels, imageOf, 3))
	t.Cleanup(func() { d.Close() })
	return d
}

func newDetector(t testing.TB) (*lethe.Runtime, *lethe.Model, *lethe.Dataset) {
	t.Helper()
	r := newRuntime(t)
	m := must[*lethe.Model](t)(lethe.NewModel(r, detectorSpec, ""))
	t.Cleanup(func() { m.Close() })
	return r, m, newSquares(t, r)
}

// saying wants an error of a kind whose sentence has a part.
func saying(t *testing.T, kind error, part string, err error) {
	t.Helper()
	fails(t, kind, err)
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("%v does not say %q", err, part)
	}
}

func objectCount(t *testing.T, data *lethe.Dataset) int {
	t.Helper()
	count := 0
	for i := 0; i < data.Size(); i++ {
		count += len(must[[]lethe.DetectedObject](t)(data.Objects(i)))
	}
	return count
}

func TestDatasetFromBoxes(t *testing.T) {
	r := newRuntime(t)
	data := newSquares(t, r)
	images, _ := photos()
	if data.Size() != photoCount {
		t.Errorf("%d images", data.Size())
	}
	for i := 0; i < photoCount; i++ {
		image, shape, err := data.Image(i)
		ok(t, err)
		if shape != (lethe.Shape{1, 3, photoSide, photoSide}) ||
			!bytes.Equal(image, images[i*photoPixels:(i+1)*photoPixels]) {
			t.Errorf("image %d is another one", i)
		}
		if objects := must[[]lethe.DetectedObject](t)(data.Objects(i)); !reflect.DeepEqual(
			objects, photoObjects(i)) {
			t.Errorf("image %d has %v", i, objects)
		}
	}
	if info := must[string](t)(data.InfoJSON()); !strings.Contains(info, `"class_count":3`) {
		t.Error(info)
	}
	_, _, err := data.Image(photoCount)
	saying(t, lethe.ErrNotFound, "6", err)
	_, err = data.Objects(-1)
	saying(t, lethe.ErrNotFound, "-1", err)

	of := func(box [4]float32, label, image int64) error {
		_, err := lethe.DatasetFromBoxes(r, make([]byte, 192), lethe.Shape{1, 3, 8, 8},
			[][4]float32{box}, []int64{label}, []int64{image}, 1)
		return err
	}
	saying(t, lethe.ErrInvalidArgument, "inside the image", of([4]float32{1, 1, 9, 2}, 0, 0))
	saying(t, lethe.ErrInvalidArgument, "image 7", of([4]float32{1, 1, 8, 2}, 0, 7))
	saying(t, lethe.ErrInvalidArgument, "label 1", of([4]float32{1, 1, 8, 2}, 1, 0))
	empty := must[*lethe.Dataset](t)(lethe.DatasetFromBoxes(r, make([]byte, 192),
		lethe.Shape{1, 3, 8, 8}, nil, nil, nil, 2))
	if count := objectCount(t, empty); count != 0 {
		t.Errorf("%d objects", count)
	}
}

func TestPartsOfDatasetsWithBoxes(t *testing.T) {
	data := newSquares(t, newRuntime(t))
	if count := objectCount(t, data); count != 11 {
		t.Errorf("%d objects", count)
	}
	kept := must[*lethe.Dataset](t)(data.Select(lethe.KeepClasses, []int64{1}, 0, 0))
	if kept.Size() >= photoCount || objectCount(t, kept) != kept.Size() {
		t.Errorf("%d objects in %d images", objectCount(t, kept), kept.Size())
	}
	half := must[*lethe.Dataset](t)(data.DropObjects(0.5, 7))
	again := must[*lethe.Dataset](t)(data.DropObjects(0.5, 7))
	if count := objectCount(t, half); count != 5 && count != 6 {
		t.Errorf("%d objects", count)
	}
	for i := 0; i < photoCount; i++ {
		if !reflect.DeepEqual(must[[]lethe.DetectedObject](t)(half.Objects(i)),
			must[[]lethe.DetectedObject](t)(again.Objects(i))) {
			t.Error("another half")
		}
	}
	none := must[*lethe.Dataset](t)(data.DropObjects(1, 7))
	if none.Size() != photoCount || objectCount(t, none) != 0 {
		t.Errorf("%d objects in %d images", objectCount(t, none), none.Size())
	}
	_, err := data.DropObjects(1.5, 0)
	saying(t, lethe.ErrInvalidArgument, "share", err)
}

func TestDatasetsFromFiles(t *testing.T) {
	r := newRuntime(t)
	folder := t.TempDir()
	photo, coco := filepath.Join(folder, "a.pgm"), filepath.Join(folder, "instances.json")
	ok(t, os.WriteFile(photo, []byte("P5 4 2 255\n12345678"), 0o600))
	ok(t, os.WriteFile(coco, []byte(`{"categories":[{"id":9,"name":"dog"},{"id":3,"name":"cat"}],`+
		`"images":[{"id":5,"file_name":"a.pgm","width":4,"height":2}],"annotations":[`+
		`{"id":1,"image_id":5,"category_id":9,"bbox":[1,0.5,2,1]},`+
		`{"id":2,"image_id":5,"category_id":3,"bbox":[0,0,4,2],"iscrowd":1}]}`), 0o600))
	data := must[*lethe.Dataset](t)(lethe.DatasetFromCOCO(r, coco, folder))
	want := []lethe.DetectedObject{{Left: 1, Top: 0.5, Right: 3, Bottom: 1.5, Score: 1, Label: 1},
		{Left: 0, Top: 0, Right: 4, Bottom: 2, Score: 0, Label: 0}}
	if objects := must[[]lethe.DetectedObject](t)(data.Objects(0)); !reflect.DeepEqual(objects, want) {
		t.Errorf("objects %v", objects)
	}
	image, shape, err := data.Image(0)
	ok(t, err)
	if shape != (lethe.Shape{1, 3, 2, 4}) || string(image) != strings.Repeat("12345678", 3) {
		t.Errorf("image %v of %q", shape, image)
	}
	ok(t, os.Remove(photo))
	_, _, err = data.Image(0)
	saying(t, lethe.ErrNotFound, "a.pgm", err)
	_, err = lethe.DatasetFromCOCO(r, coco, folder)
	saying(t, lethe.ErrNotFound, "a.pgm", err)
	_, err = lethe.DatasetFromCOCOIDs(r, coco, folder)
	saying(t, lethe.ErrNotFound, "a.pgm", err)

	const name = `a "big" \ dog`
	ok(t, os.WriteFile(photo, []byte("P5 4 2 255\n12345678"), 0o600))
	ok(t, os.WriteFile(filepath.Join(folder, "a.xml"), []byte("<annotation><filename>a.pgm</filename>"+
		"<size><width>4</width><height>2</height><depth>1</depth></size><object><name>"+name+
		"</name><bndbox><xmin>2</xmin><ymin>1</ymin><xmax>3</xmax><ymax>2</ymax></bndbox></object>"+
		"</annotation>"), 0o600))
	data = must[*lethe.Dataset](t)(lethe.DatasetFromCOCOIDs(r, coco, folder))
	want[0].Label, want[1].Label = 9, 3
	if objects := must[[]lethe.DetectedObject](t)(data.Objects(0)); !reflect.DeepEqual(objects, want) {
		t.Errorf("objects %v", objects)
	}
	data = must[*lethe.Dataset](t)(lethe.DatasetFromVOC(r, folder, folder, []string{"cat", name}))
	want = []lethe.DetectedObject{{Left: 1, Top: 0, Right: 3, Bottom: 2, Score: 1, Label: 1}}
	if objects := must[[]lethe.DetectedObject](t)(data.Objects(0)); !reflect.DeepEqual(objects, want) {
		t.Errorf("objects %v", objects)
	}
	data = must[*lethe.Dataset](t)(lethe.DatasetFromVOC(r, folder, folder, nil))
	if objects := must[[]lethe.DetectedObject](t)(data.Objects(0)); objects[0].Label != 0 {
		t.Errorf("objects %v", objects)
	}
	_, err = lethe.DatasetFromVOC(r, folder, folder, []string{"cat\n"})
	saying(t, lethe.ErrInvalidArgument, "dog", err)
}

func TestDetect(t *testing.T) {
	_, m, data := newDetector(t)
	images, shape := photos()
	found := must[[][]lethe.DetectedObject](t)(m.Detect(images, shape, 5, 1))
	if len(found) != photoCount {
		t.Fatalf("%d images", len(found))
	}
	for _, objects := range found {
		if len(objects) != 5 {
			t.Errorf("%d objects", len(objects))
		}
		for k, o := range objects {
			if o.Score < 0 || o.Score > 1 || k > 0 && o.Score > objects[k-1].Score || o.Label < 0 ||
				o.Label > 2 || o.Left > o.Right || o.Top > o.Bottom {
				t.Errorf("object %d is %+v", k, o)
			}
		}
	}
	again := must[[][]lethe.DetectedObject](t)(m.DetectDataset(data, 5, 1))
	if !reflect.DeepEqual(found, again) {
		t.Error("a dataset's images are not images")
	}
	image, shape, err := data.Image(2)
	ok(t, err)
	found = must[[][]lethe.DetectedObject](t)(m.Detect(image, shape, 100, 0))
	if len(found) != 1 || len(found[0]) != 30 { // ten queries of three classes: 70 rows hold nothing
		t.Errorf("found %v", found)
	}
	metrics := must[map[string]float64](t)(must[*lethe.Report](t)(
		m.Evaluate(data, &lethe.EvaluateOptions{Threads: 1})).Metrics())
	if _, has := metrics["ap50"]; !has || metrics["ap"] < 0 {
		t.Errorf("metrics %v", metrics)
	}
	_, err = m.Detect(image, shape, 0, 0)
	saying(t, lethe.ErrInvalidArgument, "most", err)
	_, err = m.Detect(image[:64], lethe.Shape{1, 1, 8, 8}, 1, 0)
	saying(t, lethe.ErrInvalidArgument, "channels", err)
}

func TestTheOtherKindIsRefused(t *testing.T) {
	r, detector, boxes := newDetector(t)
	classifier := must[*lethe.Model](t)(lethe.NewModel(r, tinySpec, ""))
	photo, shape := photos()
	grey, greyShape, ids := tinyImages(3, 1)
	labels := must[*lethe.Dataset](t)(lethe.DatasetFromFloats(r, grey, greyShape, ids, 3, ""))
	_, _, err := boxes.Sample(0)
	saying(t, lethe.ErrUnsupported, "has boxes", err)
	_, err = classifier.PredictDataset(boxes, 0)
	saying(t, lethe.ErrUnsupported, "has boxes", err)
	_, _, err = labels.Image(0)
	saying(t, lethe.ErrUnsupported, "labels alone", err)
	_, err = labels.Objects(0)
	saying(t, lethe.ErrUnsupported, "labels alone", err)
	_, err = labels.DropObjects(0.5, 0)
	saying(t, lethe.ErrUnsupported, "labels alone", err)
	_, err = detector.DetectDataset(labels, 1, 0)
	saying(t, lethe.ErrUnsupported, "labels alone", err)
	_, err = classifier.Detect(photo, shape, 1, 0)
	fails(t, lethe.ErrUnsupported, err)
	_, err = classifier.DetectDataset(boxes, 1, 0)
	fails(t, lethe.ErrUnsupported, err)
	_, err = detector.Predict(grey, greyShape, 0)
	fails(t, lethe.ErrUnsupported, err)
	_, err = newEngine(t, detector).Enqueue(
		lethe.ForgetRequest{Classes: []int64{1}, ForgetSet: labels})
	fails(t, lethe.ErrUnsupported, err)
}

func TestADetectorForgets(t *testing.T) {
	_, m, data := newDetector(t)
	e := newEngine(t, m)
	config := must[lethe.ForgetConfig](t)(
		lethe.DefaultForgetConfig(lethe.GSLoRAPP, lethe.HeadDetection))
	config.MaxSteps, config.DataRatio, config.ForgetBatch, config.RetainBatch = 2, 1, 2, 2
	config.ZeroThreshold, config.GateMaxAccF, config.GateMaxAccRDrop = 0, -1, -1
	request := lethe.ForgetRequest{
		RequestID: "boxes", Classes: []int64{1}, Config: &config, ForgetSet: data}
	job := must[*lethe.Job](t)(e.Enqueue(request))
	ok(t, job.Wait(context.Background()))
	metrics := must[map[string]float64](t)(must[*lethe.Report](t)(job.Report()).Metrics())
	_, forgotten := metrics["ap_f"]
	_, retained := metrics["ap50_r"]
	if _, accuracy := metrics["acc_f"]; !forgotten || !retained || accuracy || metrics["steps"] != 2 {
		t.Errorf("metrics %v", metrics)
	}
	if count := must[int](t)(m.AdapterCount()); count != 1 {
		t.Errorf("%d adapters", count)
	}
	request.RequestID, request.Classes = "audited", []int64{2}
	config.Audits = lethe.AuditMembership
	_, err := e.Enqueue(request)
	saying(t, lethe.ErrUnsupported, "audits", err)
}
