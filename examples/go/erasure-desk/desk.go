package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"lethe"
)

// desk is the service without HTTP: the model, its engine, and the erasures.
type desk struct {
	options  options
	log      *logger
	model    *lethe.Model
	engine   *lethe.Engine
	train    *lethe.Dataset // of a task; it divides them itself
	heldOut  *lethe.Dataset // judges a task
	config   lethe.ForgetConfig
	about    about
	erasures *erasures
	events   *hub
	metrics  *metrics
	working  chan struct{} // a place for each picture in work
	draining atomic.Bool
	followed chan struct{} // closed when the engine's last event was handed on
	closers  []interface{ Close() error }
}

// about is what the page and the predictions need to know of the model.
type about struct {
	Parameters int64 `json:"parameters"`
	Spec       struct {
		Arch     string `json:"arch"`
		Classes  int    `json:"classes"`
		Side     int    `json:"image_size"`
		Channels int    `json:"channels"`
	} `json:"spec"`
	Forgotten []int64 `json:"classes_forgotten"`
}

// openDesk loads everything and goes on where the last process on the folder ended.
func openDesk(o options, log *logger) (_ *desk, err error) {
	d := &desk{options: o, log: log, events: newHub(), metrics: newMetrics(),
		working: make(chan struct{}, o.predictions), followed: make(chan struct{})}
	defer func() {
		if err != nil {
			d.closeAll()
		}
	}()
	if err = os.MkdirAll(o.folder, 0o700); err != nil {
		return nil, err
	}
	if err = d.loadModel(); err != nil {
		return nil, err
	}
	if err = d.chooseSettings(); err != nil {
		return nil, err
	}
	// Paused until the erasures are read: no state can change in between.
	d.engine, err = lethe.NewEngine(d.model, &lethe.EngineOptions{Threads: int32(o.threads),
		Folder: d.engineFolder(), CheckpointSeconds: o.checkpoint.Seconds(), Paused: true})
	if err != nil {
		return nil, err
	}
	d.closers = append(d.closers, d.engine)
	if d.erasures, err = readErasures(d.engine, d.engineFolder(), o.folder); err != nil {
		return nil, err
	}
	go d.follow()
	return d, d.engine.Resume()
}

func (d *desk) engineFolder() string { return filepath.Join(d.options.folder, "engine") }

// loadModel makes the base model and the two sets of images.
func (d *desk) loadModel() error {
	o := d.options
	spec, err := os.ReadFile(o.spec)
	if err != nil {
		return err
	}
	runtime, err := lethe.NewRuntime(&lethe.RuntimeOptions{Log: d.log.library})
	if err != nil {
		return err
	}
	d.closers = append(d.closers, runtime)
	if d.model, err = lethe.NewModel(runtime, string(spec), ""); err != nil {
		return err
	}
	d.closers = append(d.closers, d.model)
	if err = d.model.LoadWeights(o.weights, nil); err != nil {
		return err
	}
	if d.about, err = d.aboutModel(); err != nil {
		return err
	}
	known := d.about.Spec
	if len(o.names) != known.Classes {
		return fmt.Errorf("-names has %d names for %d classes", len(o.names), known.Classes)
	}
	if known.Channels != 1 && known.Channels != 3 {
		return fmt.Errorf("pictures have 1 or 3 channels, not the model's %d", known.Channels)
	}
	if len(o.mean) != known.Channels || len(o.std) != known.Channels {
		return fmt.Errorf("-mean and -std need a number for each of %d channels", known.Channels)
	}
	scale, err := json.Marshal(map[string][]float32{"mean": o.mean, "std": o.std})
	if err != nil {
		return err
	}
	all, err := lethe.DatasetFromIDX(runtime, o.trainImages, o.trainLabels, known.Classes,
		string(scale))
	if err != nil {
		return err
	}
	defer all.Close()
	// The seed is fixed: whoever restarts the service has the same images held out.
	if d.train, d.heldOut, err = all.Split(o.heldOut, 1337); err != nil {
		return err
	}
	d.closers = append(d.closers, d.train, d.heldOut)
	return nil
}

func (d *desk) aboutModel() (result about, err error) {
	text, err := d.model.InfoJSON()
	if err != nil {
		return about{}, err
	}
	return result, json.Unmarshal([]byte(text), &result)
}

// chooseSettings makes the settings of all tasks; wrong ones end the start, not a task.
func (d *desk) chooseSettings() (err error) {
	d.config, err = lethe.DefaultForgetConfig(lethe.GSLoRAPP, lethe.HeadLinear)
	if err != nil {
		return err
	}
	if err = d.config.FromJSON(quickSettings); err != nil {
		return err
	}
	d.config.MaxSteps, d.config.DataRatio = d.options.maxSteps, d.options.dataRatio
	if d.options.settings != "" {
		if err = d.config.FromJSON(d.options.settings); err != nil {
			return fmt.Errorf("-settings: %w", err)
		}
	}
	if findings, err := d.config.Validate(); err != nil {
		return fmt.Errorf("%w %s", err, findings)
	}
	return nil
}

// ready tells why the desk can accept nothing now, or nil.
func (d *desk) ready() error {
	if d.draining.Load() {
		return newProblem(503, "STATE", "the service is stopping")
	}
	// A wait that is over at once: the engine says whether it stopped because of its folder.
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.engine.WaitIdle(over); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// close saves the running task and closes everything. What was accepted goes on at the next start.
func (d *desk) close() error {
	d.draining.Store(true)
	d.events.close()
	err := d.engine.Shutdown(context.Background())
	<-d.followed
	d.closeAll()
	return err
}

// closeAll closes what was opened, the newest first.
func (d *desk) closeAll() {
	for i := len(d.closers) - 1; i >= 0; i-- {
		if err := d.closers[i].Close(); err != nil {
			d.log.warn("closing failed", "error", err)
		}
	}
}
