package main

import (
	"encoding/json"
	"math"
)

// figure is a number that may be absent, which the library says as NaN and JSON as null.
type figure float64

// Known tells whether there is a number.
func (f figure) Known() bool { return !math.IsNaN(float64(f)) && !math.IsInf(float64(f), 0) }

func (f figure) MarshalJSON() ([]byte, error) {
	if !f.Known() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

func (f *figure) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*f = figure(math.NaN())
		return nil
	}
	return json.Unmarshal(text, (*float64)(f))
}

// figures are what the library measured: with the base model, at the start of the task, after it.
type figures struct {
	MeasuredOn  string        `json:"measured_on"`
	AccF        span          `json:"acc_f"`
	AccR        span          `json:"acc_r"`
	AccO        figure        `json:"acc_o"`
	H           figure        `json:"h"`
	GroupsKept  figure        `json:"groups_kept"`
	GroupsTotal figure        `json:"groups_total"`
	Steps       figure        `json:"steps"`
	Seconds     figure        `json:"seconds"`
	Classes     []classFigure `json:"classes"`
}

type span struct {
	Before figure `json:"before"`
	Start  figure `json:"start"`
	After  figure `json:"after"`
}

type classFigure struct {
	Class   int64  `json:"class"`
	Name    string `json:"name"`
	Role    string `json:"role"` // forgotten (by this erasure), earlier (by one before), kept
	Samples int64  `json:"samples"`
	Before  figure `json:"before"`
	Start   figure `json:"start"`
	After   figure `json:"after"`
}

// figuresOf takes a report apart; nil when it is none.
func figuresOf(report string, names []string) *figures {
	var r struct {
		MeasuredOn string            `json:"measured_on"`
		Classes    []classFigure     `json:"classes"`
		Forgotten  []int64           `json:"classes_forgotten"`
		Past       []int64           `json:"classes_past"`
		Metrics    map[string]figure `json:"metrics"`
	}
	if json.Unmarshal([]byte(report), &r) != nil || r.Metrics == nil {
		return nil
	}
	metric := func(name string) figure {
		if value, found := r.Metrics[name]; found {
			return value
		}
		return figure(math.NaN())
	}
	around := func(name string) span {
		return span{metric(name + "_before"), metric(name + "_start"), metric(name)}
	}
	for i := range r.Classes {
		class := &r.Classes[i]
		class.Name, class.Role = names[class.Class], "kept"
		if contains(r.Past, class.Class) {
			class.Role = "earlier"
		}
		if contains(r.Forgotten, class.Class) {
			class.Role = "forgotten"
		}
	}
	return &figures{MeasuredOn: r.MeasuredOn, AccF: around("acc_f"), AccR: around("acc_r"),
		AccO: metric("acc_o"), H: metric("h"), GroupsKept: metric("groups_kept"),
		GroupsTotal: metric("groups_total"), Steps: metric("steps"), Seconds: metric("seconds"),
		Classes: r.Classes}
}

func contains(list []int64, value int64) bool {
	for _, item := range list {
		if item == value {
			return true
		}
	}
	return false
}
