package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// options are the flags. Their defaults run the quickstart's model from the root of the sources.
type options struct {
	listen, folder           string
	spec, weights            string
	trainImages, trainLabels string
	names                    []string
	mean, std                []float32
	heldOut                  float64
	threads, predictions     int
	maxSteps                 int64
	dataRatio                float64
	settings                 string
	checkpoint, heartbeat    time.Duration
}

const (
	images = "/usr/share/datasets/fashion-mnist/" // Debian package dataset-fashion-mnist
	// What differs from the library's defaults, so that groups of the quickstart's model become
	// exactly zero, and so that a browser sees progress about twice a second.
	quickSettings = `{"sparsity":"proximal","proximal_weight":13,"progress_interval":5}`
)

// parseOptions says on `out` what is wrong with the flags, or what there are.
func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{mean: []float32{0.2860}, std: []float32{0.3530}}
	o.names = strings.Split(
		"T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot", ",")
	f := flag.NewFlagSet("erasure-desk", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`address` and port; port 0: any free one")
	f.StringVar(&o.folder, "folder", "out/erasure-desk", "`folder` that keeps everything")
	f.StringVar(&o.spec, "spec", "examples/quickstart/model.json", "the model's spec, a JSON `file`")
	f.StringVar(&o.weights, "weights", "examples/quickstart/fashion_vit.safetensors",
		"the base weights, a `file` of safetensors or a PyTorch state dict")
	f.StringVar(&o.trainImages, "train-images", images+"train-images-idx3-ubyte.gz",
		"training images, an IDX `file`")
	f.StringVar(&o.trainLabels, "train-labels", images+"train-labels-idx1-ubyte.gz",
		"their labels, an IDX `file`")
	f.Func("names", "the classes' `names`, separated by commas (default Fashion-MNIST's)",
		func(text string) error { o.names = strings.Split(text, ","); return nil })
	f.Func("mean", "mean of the pixels 0..1, a `number` a channel (default 0.2860)", numbers(&o.mean))
	f.Func("std", "their standard deviation (default 0.3530)", numbers(&o.std))
	f.Float64Var(&o.heldOut, "held-out", 0.1, "`part` of the images that judges a task")
	f.IntVar(&o.threads, "threads", spareOne(runtime.NumCPU()),
		"threads that train; the other processors are left to predictions")
	f.IntVar(&o.predictions, "predictions", runtime.NumCPU(), "pictures in work at once")
	f.Int64Var(&o.maxSteps, "max-steps", 400, "training steps of a task")
	f.Float64Var(&o.dataRatio, "data-ratio", 0.2, "`part` of the training images a task uses")
	f.StringVar(&o.settings, "settings", "", "further settings of a forget task, a `JSON` object")
	f.DurationVar(&o.checkpoint, "checkpoint", 10*time.Second, "how often a running task is saved")
	f.DurationVar(&o.heartbeat, "heartbeat", 15*time.Second, "longest silence of /v1/events")
	err := f.Parse(args)
	if err == nil {
		err = o.check(f.Args())
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		f.SetOutput(out)
		f.PrintDefaults()
	case err != nil:
		fmt.Fprintf(out, "erasure-desk: %v; -help tells the flags\n", err)
	}
	return o, err
}

// check refuses what nobody after it does; the library refuses the rest, with better sentences.
func (o *options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q is no flag", rest[0])
	case o.folder == "":
		return fmt.Errorf("-folder is empty")
	case o.predictions < 1 || o.threads < 1:
		return fmt.Errorf("-predictions and -threads must be 1 or more")
	case o.heldOut <= 0 || o.heldOut >= 1:
		return fmt.Errorf("-held-out is %v; it must lie between 0 and 1", o.heldOut)
	case o.checkpoint <= 0 || o.heartbeat <= 0:
		return fmt.Errorf("-checkpoint and -heartbeat must be longer than 0")
	}
	return nil
}

func spareOne(processors int) int {
	if processors > 1 {
		return processors - 1
	}
	return 1
}

func numbers(into *[]float32) func(string) error {
	return func(text string) error {
		*into = nil
		for _, word := range strings.Split(text, ",") {
			value, err := strconv.ParseFloat(strings.TrimSpace(word), 32)
			if err != nil {
				return err
			}
			*into = append(*into, float32(value))
		}
		return nil
	}
}
