package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"lethe"
)

// view is an erasure as clients see it, in JSON and on the page.
type view struct {
	ID       string       `json:"id"`
	Number   int64        `json:"number"`
	State    string       `json:"state"`
	Classes  []int64      `json:"classes"`
	Names    []string     `json:"names"`
	Note     string       `json:"note"`
	Priority int32        `json:"priority"`
	Created  time.Time    `json:"created"`
	Started  *time.Time   `json:"started"`
	Ended    *time.Time   `json:"ended"`
	Progress progressView `json:"progress"`
	Figures  *figures     `json:"figures"`
	Receipt  *receiptView `json:"receipt"`
	Error    *errorView   `json:"error"`
	Self     string       `json:"self"`
}

// progressView is lethe.Progress with the names of the C library.
type progressView struct {
	Step          int64  `json:"step"`
	TotalSteps    int64  `json:"total_steps"`
	Loss          figure `json:"loss"`
	LossRetain    figure `json:"loss_retain"`
	LossForget    figure `json:"loss_forget"`
	LossStructure figure `json:"loss_structure"`
	LossPrototype figure `json:"loss_prototype"`
	AccF          figure `json:"acc_f"`
	AccR          figure `json:"acc_r"`
	Seconds       figure `json:"seconds"`
	ETASeconds    figure `json:"eta_seconds"`
	GroupsLive    int32  `json:"groups_live"`
	GroupsTotal   int32  `json:"groups_total"`
}

type receiptView struct {
	Number int64  `json:"number"`
	Digest string `json:"digest"` // SHA-256 of the line: what the next receipt calls "previous"
}

type errorView struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// outcome is how a job ended.
type outcome struct {
	figures *figures
	receipt *receiptView
	failure *errorView
}

// outcome returns how an ended erasure ended; the engine is asked once.
func (d *desk) outcome(e *erasure) outcome {
	e.outcomeOnce.Do(func() { e.outcome = d.outcomeOf(e.job) })
	return e.outcome
}

func (d *desk) outcomeOf(job *lethe.Job) (end outcome) {
	if p := failure(job); p != nil {
		end.failure = &errorView{p.Code, p.Detail}
	}
	if report, err := job.Report(); err == nil {
		defer report.Close()
		if text, err := report.JSON(); err == nil {
			end.figures = figuresOf(text, d.options.names)
		}
	}
	if line, err := d.engine.Receipt(job.RequestID()); err == nil {
		var signed struct {
			Receipt struct {
				Number int64 `json:"number"`
			} `json:"receipt"`
		}
		if json.Unmarshal([]byte(line), &signed) == nil {
			digest := sha256.Sum256([]byte(line))
			end.receipt = &receiptView{signed.Receipt.Number, hex.EncodeToString(digest[:])}
		}
	}
	return end
}

// PathID is for the page's links.
func (v view) PathID() string { return url.PathEscape(v.ID) }

// view reads an erasure. An ended one's figures are read from the engine once.
func (d *desk) view(e *erasure) view {
	d.erasures.mutex.RLock()
	state, progress, started, ended := e.state, e.progress, e.started, e.ended
	d.erasures.mutex.RUnlock()
	v := view{ID: e.request.ID, Number: e.job.ID(), State: stateName(state),
		Classes: e.request.Classes, Names: d.namesOf(e.request.Classes), Note: e.request.Note,
		Priority: e.request.Priority, Created: e.created, Progress: progressOf(progress),
	}
	v.Self = "/v1/erasures/" + v.PathID()
	if !started.IsZero() {
		v.Started = &started
	}
	if !ended.IsZero() {
		v.Ended = &ended
	}
	if state.Ended() {
		end := d.outcome(e)
		v.Figures, v.Receipt, v.Error = end.figures, end.receipt, end.failure
	}
	return v
}

func (d *desk) namesOf(classes []int64) []string {
	names := make([]string, len(classes))
	for i, class := range classes {
		if class >= 0 && class < int64(len(d.options.names)) {
			names[i] = d.options.names[class]
		}
	}
	return names
}

// stateName is one word.
func stateName(state lethe.JobState) string {
	return strings.ReplaceAll(state.String(), " ", "_")
}

func progressOf(p lethe.Progress) progressView {
	return progressView{p.Step, p.TotalSteps, figure(p.Loss), figure(p.LossRetain),
		figure(p.LossForget), figure(p.LossStructure), figure(p.LossPrototype), figure(p.AccF),
		figure(p.AccR), figure(p.Seconds), figure(p.ETASeconds), p.GroupsLive, p.GroupsTotal}
}
