package lethe_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log"

	"lethe"
)

const exampleSpec = `{"arch":"vit","classes":2,"image_size":8,"channels":1,"patch_size":4,` +
	`"dim":16,"depth":2,"heads":2,"head_dim":8,"mlp_dim":32,"seed":1}`

// Scores of one image.
func ExampleModel_Predict() {
	runtime, err := lethe.NewRuntime(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer runtime.Close()
	model, err := lethe.NewModel(runtime, exampleSpec, "cpu")
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	scores, err := model.Predict(make([]float32, 8*8), lethe.Shape{1, 1, 8, 8}, 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(scores.Rows(), "image,", scores.Columns(), "classes")
	// Output: 1 image, 2 classes
}

// Failures are told apart with errors.Is.
func ExampleError() {
	runtime, err := lethe.NewRuntime(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer runtime.Close()
	_, err = lethe.LoadAdapter(runtime, "nowhere.lethe", nil)
	fmt.Println(errors.Is(err, lethe.ErrNotFound))
	// Output: true
}

// A task is queued, watched and ended.
func ExampleEngine_Enqueue() {
	runtime, err := lethe.NewRuntime(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer runtime.Close()
	model, err := lethe.NewModel(runtime, exampleSpec, "")
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	images := make([]float32, 8*64)
	labels := []int64{0, 1, 0, 1, 0, 1, 0, 1}
	data, err := lethe.DatasetFromFloats(runtime, images, lethe.Shape{8, 1, 8, 8}, labels, 2, "")
	if err != nil {
		log.Fatal(err)
	}
	defer data.Close()
	engine, err := lethe.NewEngine(model, &lethe.EngineOptions{Threads: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	config, err := lethe.DefaultForgetConfig(lethe.GSLoRAPP, lethe.HeadLinear)
	if err != nil {
		log.Fatal(err)
	}
	config.DataRatio = 1
	config.MaxSteps = 1_000_000
	job, err := engine.Enqueue(lethe.ForgetRequest{
		RequestID: "customer-81", Classes: []int64{1}, Config: &config, ForgetSet: data})
	if err != nil {
		log.Fatal(err)
	}
	for event := range engine.Events(context.Background()) {
		if event.Kind == lethe.EventState && event.State == lethe.JobRunning {
			break
		}
	}
	job.Cancel()
	err = job.Wait(context.Background())
	fmt.Println(job.RequestID(), errors.Is(err, lethe.ErrCancelled))
	// Output: customer-81 true
}

// The class of a picture that image.Decode read: the dataset's transform makes it what the model
// wants.
func ExampleImagePixels() {
	runtime, err := lethe.NewRuntime(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer runtime.Close()
	model, err := lethe.NewModel(runtime, exampleSpec, "")
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	picture := image.NewRGBA(image.Rect(0, 0, 40, 30)) // or image.Decode's
	pixels, shape, err := lethe.ImagePixels(picture, 1)
	if err != nil {
		log.Fatal(err)
	}
	transform := `{"resize":8,"center_crop":8,"mean":[0.5],"std":[0.5]}`
	data, err := lethe.DatasetFromBytes(runtime, pixels, shape, []int64{0}, 2, transform)
	if err != nil {
		log.Fatal(err)
	}
	defer data.Close()
	scores, err := model.PredictDataset(data, 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(scores.Rows(), "image,", scores.Columns(), "classes")
	// Output: 1 image, 2 classes
}
