package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"lethe"
)

// stage is what a script has made so far, by name.
type stage struct {
	folder   string
	runtime  *lethe.Runtime
	models   map[string]*lethe.Model
	datasets map[string]*lethe.Dataset
	engines  map[string]*lethe.Engine
}

func newStage(folder string) (*stage, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	runtime, err := lethe.NewRuntime(nil)
	return &stage{folder, runtime, map[string]*lethe.Model{}, map[string]*lethe.Dataset{},
		map[string]*lethe.Engine{}}, err
}

func (s *stage) close() {
	for _, engine := range s.engines {
		engine.Close()
	}
	s.runtime.Close()
}

// run does one command and tells what the script's head says of it.
func (s *stage) run(command string, words []string) (fieldList, error) {
	word := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	number := func(i int) int { n, _ := strconv.Atoi(word(i)); return n }
	model, data, engine := s.models[word(0)], s.datasets[word(0)], s.engines[word(0)]
	set := s.datasets[word(1)]
	switch command {
	case "model":
		return s.model(word(0), word(1))
	case "weights":
		if err := model.LoadWeights(word(1), nil); err != nil {
			return nil, err
		}
		base, _, err := model.Fingerprint()
		return fieldList{{"base", hex.EncodeToString(base[:])}}, err
	case "idx":
		made, err := lethe.DatasetFromIDX(s.runtime, word(1), word(2), number(3), word(4))
		return s.keep(word(0), made, err)
	case "split":
		fraction, _ := strconv.ParseFloat(word(1), 64)
		first, second, err := data.Split(fraction, int64(number(2)))
		if err != nil {
			return nil, err
		}
		s.datasets[word(3)], s.datasets[word(4)] = first, second
		return fieldList{{"first", first.Size()}, {"second", second.Size()}}, nil
	case "first":
		positions := make([]int64, number(1))
		for i := range positions {
			positions[i] = int64(i)
		}
		made, err := data.Select(lethe.TakeIndices, positions, 0, 0)
		return s.keep(word(2), made, err)
	case "engine":
		return s.engine(word(0), s.models[word(1)], int32(number(2)), word(3))
	case "enqueue":
		return enqueue(engine, word(1), word(2), s.datasets[word(3)], s.datasets[word(4)], word(5))
	case "wait":
		return wait(engine, word(1))
	case "evaluate":
		report, err := model.Evaluate(set, &lethe.EvaluateOptions{Threads: 1})
		if err != nil {
			return nil, err
		}
		metrics, err := report.Metrics()
		return fieldList{{"metrics", figures(metrics)}}, err
	case "scores":
		scores, err := model.PredictDataset(set, 1)
		if err != nil {
			return nil, err
		}
		best := []int{}
		for i := 0; i < 10 && i < scores.Rows(); i++ {
			best = append(best, scores.ArgMax(i))
		}
		return fieldList{{"hash", hashOf(scores)}, {"classes", best}}, nil
	case "predict":
		return onArray(set, model.Predict)
	case "embed":
		return onArray(set, model.Embed)
	case "export":
		return s.export(engine, word(1), word(2))
	case "load":
		adapter, err := lethe.LoadAdapter(s.runtime, filepath.Join(s.folder, word(1)), nil)
		if err != nil {
			return nil, err
		}
		return adapters(model, model.Attach(adapter))
	case "enable":
		return adapters(model, model.Enable(word(1), word(2) == "1", 0))
	case "rollback":
		return adapters(model, model.RollbackTo(strings.TrimPrefix(word(1), "-")))
	case "merge":
		merged, err := model.Merge()
		if err != nil {
			return nil, err
		}
		s.models[word(1)] = merged
		return adapters(merged, nil)
	case "receipts":
		return receipts(engine)
	case "close":
		return nil, engine.Close()
	case "fail":
		return s.fail(words)
	}
	return nil, fmt.Errorf("unknown command %q", command)
}

func (s *stage) model(name, spec string) (fieldList, error) {
	model, err := lethe.NewModel(s.runtime, spec, "cpu")
	if err != nil {
		return nil, err
	}
	s.models[name] = model
	count, err := model.TensorCount()
	return fieldList{{"tensors", count}}, err
}

func (s *stage) keep(name string, data *lethe.Dataset, err error) (fieldList, error) {
	if err != nil {
		return nil, err
	}
	s.datasets[name] = data
	return fieldList{{"size", data.Size()}}, nil
}

func (s *stage) engine(name string, model *lethe.Model, threads int32,
	folder string) (fieldList, error) {
	options := lethe.EngineOptions{Threads: threads}
	if folder != "-" {
		options.Folder = filepath.Join(s.folder, folder)
	}
	engine, err := lethe.NewEngine(model, &options)
	if err != nil {
		return nil, err
	}
	s.engines[name] = engine
	count, err := engine.JobCount()
	return fieldList{{"jobs", count}}, err
}

func enqueue(engine *lethe.Engine, id, classes string, set, validation *lethe.Dataset,
	settings string) (fieldList, error) {
	config, err := lethe.DefaultForgetConfig(lethe.GSLoRAPP, lethe.HeadLinear)
	if err != nil {
		return nil, err
	}
	if err := config.FromJSON(settings); err != nil {
		return nil, err
	}
	ids := []int64{}
	for _, word := range strings.Split(classes, ",") {
		id, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	job, err := engine.Enqueue(lethe.ForgetRequest{
		RequestID: id, Classes: ids, Config: &config, ForgetSet: set, ValidationSet: validation})
	if err != nil {
		return nil, err
	}
	return fieldList{{"job", job.ID()}}, nil
}

func wait(engine *lethe.Engine, id string) (fieldList, error) {
	job, err := engine.FindJob(id)
	if err != nil {
		return nil, err
	}
	job.Wait(context.Background()) // how it ended is told below
	status, err := job.Status()
	if err != nil {
		return nil, err
	}
	metrics := map[string]float64{}
	if report, err := job.Report(); err == nil {
		if metrics, err = report.Metrics(); err != nil {
			return nil, err
		}
	}
	return fieldList{{"state", status.State.String()}, {"error", status.Error.String()},
		{"metrics", figures(metrics)}}, nil
}

// onArray gives a set's samples as one array.
func onArray(set *lethe.Dataset,
	f func([]float32, lethe.Shape, int) (*lethe.Scores, error)) (fieldList, error) {
	images := []float32{}
	for i := 0; i < set.Size(); i++ {
		image, _, err := set.Sample(i)
		if err != nil {
			return nil, err
		}
		images = append(images, image...)
	}
	side := int(math.Sqrt(float64(len(images) / set.Size())))
	scores, err := f(images, lethe.Shape{set.Size(), 1, side, side}, 1)
	if err != nil {
		return nil, err
	}
	return fieldList{{"hash", hashOf(scores)}}, nil
}

func (s *stage) export(engine *lethe.Engine, id, file string) (fieldList, error) {
	job, err := engine.FindJob(id)
	if err != nil {
		return nil, err
	}
	adapter, err := job.Adapter()
	if err != nil {
		return nil, err
	}
	if err := adapter.Export(filepath.Join(s.folder, file), nil); err != nil {
		return nil, err
	}
	report, err := job.Report()
	if err != nil {
		return nil, err
	}
	kept, err := report.Metric("groups_kept")
	return fieldList{{"groups_kept", int(kept)}}, err
}

func adapters(model *lethe.Model, err error) (fieldList, error) {
	if err != nil {
		return nil, err
	}
	count, err := model.AdapterCount()
	return fieldList{{"adapters", count}}, err
}

func receipts(engine *lethe.Engine) (fieldList, error) {
	lines, err := engine.Receipts()
	if err != nil {
		return nil, err
	}
	key, err := engine.PublicKey()
	if err != nil {
		return nil, err
	}
	if _, err := lethe.VerifyReceipts(lines, key); err != nil {
		return nil, err
	}
	count, err := engine.ReceiptCount()
	return fieldList{{"receipts", count}}, err
}

func (s *stage) fail(words []string) (fieldList, error) {
	told, err := s.run(words[0], words[1:])
	var failure *lethe.Error
	switch {
	case err == nil:
		return nil, fmt.Errorf("%v did not fail but told %v", words, told)
	case !errors.As(err, &failure):
		return nil, err
	}
	return fieldList{{"error", failure.Status.String()}, {"message", failure.Message}}, nil
}

func hashOf(scores *lethe.Scores) string {
	bytes := make([]byte, 0, 4*len(scores.Values()))
	for _, value := range scores.Values() {
		bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(value))
	}
	sum := sha256.Sum256(bytes)
	return hex.EncodeToString(sum[:])
}
