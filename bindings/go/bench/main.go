// Command bench prints what a call costs: cgo alone, the cheapest call, a prediction.
//
//	bench      (in the source root)
package main

import (
	"fmt"
	"log"
	"sort"
	"time"

	"lethe"
	"lethe/internal/native"
)

const spec = `{"arch":"vit","classes":10,"image_size":28,"channels":1,"patch_size":4,"dim":96,` +
	`"depth":6,"heads":3,"head_dim":32,"mlp_dim":192}`

func main() {
	fmt.Printf("cgo_ns %.1f\n", nanoseconds(native.Nothing))
	fmt.Printf("empty_ns %.1f\n", nanoseconds(func() { lethe.ABIVersion() }))
	milliseconds, err := predict()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("predict_ms %.3f\n", milliseconds)
}

// nanoseconds is the median time of a call, over many.
func nanoseconds(f func()) float64 {
	const rounds, calls = 101, 10_000
	return median(rounds, func() {
		for i := 0; i < calls; i++ {
			f()
		}
	}).Seconds() * 1e9 / calls
}

func predict() (float64, error) {
	runtime, err := lethe.NewRuntime(nil)
	if err != nil {
		return 0, err
	}
	defer runtime.Close()
	model, err := lethe.NewModel(runtime, spec, "cpu")
	if err != nil {
		return 0, err
	}
	defer model.Close()
	if err := model.LoadWeights("examples/quickstart/fashion_vit.safetensors", nil); err != nil {
		return 0, err
	}
	images := make([]float32, 32*28*28)
	for i := range images {
		images[i] = float32(i%255)/255 - 0.5
	}
	call := func() {
		if _, err = model.Predict(images, lethe.Shape{32, 1, 28, 28}, 1); err != nil {
			log.Fatal(err)
		}
	}
	for i := 0; i < 20; i++ {
		call()
	}
	return median(100, call).Seconds() * 1e3, nil
}

func median(rounds int, f func()) time.Duration {
	times := make([]time.Duration, rounds)
	for i := range times {
		start := time.Now()
		f()
		times[i] = time.Since(start)
	}
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	return times[rounds/2]
}
