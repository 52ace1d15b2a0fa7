// Command first_forget makes the quickstart's model forget trousers and pullovers.
// Run it in the root folder of the sources.
package main

import (
	"context"
	"fmt"
	"log"

	"lethe"
)

const (
	folder = "/usr/share/datasets/fashion-mnist/"
	scale  = `{"mean":[0.2860],"std":[0.3530]}`
	spec   = `{"arch":"vit","classes":10,"image_size":28,"channels":1,"patch_size":4,` +
		`"dim":96,"depth":6,"heads":3,"head_dim":32,"mlp_dim":192}`
)

func main() {
	runtime := must(lethe.NewRuntime(nil))
	model := must(lethe.NewModel(runtime, spec, "cpu"))
	check(model.LoadWeights("examples/quickstart/fashion_vit.safetensors", nil))
	train := must(lethe.DatasetFromIDX(runtime, folder+"train-images-idx3-ubyte.gz",
		folder+"train-labels-idx1-ubyte.gz", 10, scale))
	test := must(lethe.DatasetFromIDX(runtime, folder+"t10k-images-idx3-ubyte.gz",
		folder+"t10k-labels-idx1-ubyte.gz", 10, scale))
	picture, label, err := test.Sample(1)
	check(err)
	before := must(model.Predict(picture, lethe.Shape{1, 1, 28, 28}, 0))

	config := must(lethe.DefaultForgetConfig(lethe.GSLoRAPP, lethe.HeadLinear))
	config.MaxSteps, config.DataRatio = 300, 0.2
	engine := must(lethe.NewEngine(model, nil))
	defer engine.Close()
	job := must(engine.Enqueue(lethe.ForgetRequest{
		RequestID: "req-1", Classes: []int64{1, 2}, Config: &config, ForgetSet: train}))
	for event := range engine.Events(context.Background()) {
		p := event.Progress
		fmt.Printf("\r%v, step %d of %d, acc_f %.1f %% ", event.State, p.Step, p.TotalSteps, p.AccF)
		if event.State.Ended() {
			break
		}
	}
	check(job.Wait(context.Background()))
	check(must(job.Adapter()).Export("req-1.lethe", nil))
	after := must(model.Predict(picture, lethe.Shape{1, 1, 28, 28}, 0))
	fmt.Printf("\nA picture of class %d was class %d, and is class %d now.\n", label,
		before.ArgMax(0), after.ArgMax(0))
}

func must[T any](value T, err error) T { check(err); return value }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
