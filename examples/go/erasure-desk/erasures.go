package main

import (
	"encoding/json"
	"errors"
	"sort"
	"sync"
	"time"

	"lethe"
)

// erasure is one accepted request and the engine's job for it. Its state is the last that the
// engine reported, so that whatever is read here and whatever the event streams said agree.
type erasure struct {
	request request
	job     *lethe.Job
	created time.Time

	// Guarded by erasures.mutex.
	state          lethe.JobState
	progress       lethe.Progress
	started, ended time.Time

	outcomeOnce sync.Once
	outcome     outcome // of an ended one
}

// erasures are all that were ever accepted, oldest first.
type erasures struct {
	engine    *lethe.Engine
	files     requestFiles
	accepting sync.Mutex // held while one is accepted
	mutex     sync.RWMutex
	all       []*erasure
	byID      map[string]*erasure
	byNumber  map[int64]*erasure // the engine's number of the job
}

// readErasures reads what the engine's folder holds. Its engine must be paused.
func readErasures(engine *lethe.Engine, engineFolder, folder string) (*erasures, error) {
	files, err := openRequestFiles(folder)
	if err != nil {
		return nil, err
	}
	list := &erasures{engine: engine, files: files, byID: map[string]*erasure{},
		byNumber: map[int64]*erasure{}}
	text, err := lethe.JournalInfoJSON(engineFolder)
	if err != nil {
		return nil, err
	}
	var journal struct {
		Jobs []struct {
			RequestID string  `json:"request_id"`
			Kind      string  `json:"kind"`
			Classes   []int64 `json:"classes"`
			Priority  int32   `json:"priority"`
			Created   int64   `json:"created"`
			Started   int64   `json:"started"`
			Ended     int64   `json:"ended"`
		} `json:"jobs"`
	}
	if err := json.Unmarshal([]byte(text), &journal); err != nil {
		return nil, err
	}
	for _, entry := range journal.Jobs {
		if entry.Kind != "forget" {
			continue
		}
		asked, found, err := files.load(entry.RequestID)
		if err != nil {
			return nil, err
		}
		if !found {
			asked = request{ID: entry.RequestID, Classes: sorted(entry.Classes),
				Priority: entry.Priority}
		}
		job, err := engine.FindJob(entry.RequestID)
		if err != nil {
			return nil, err
		}
		e, err := list.add(asked, job, timeOf(entry.Created))
		if err != nil {
			return nil, err
		}
		e.started, e.ended = timeOf(entry.Started), timeOf(entry.Ended)
	}
	return list, nil
}

func timeOf(milliseconds int64) time.Time {
	if milliseconds == 0 {
		return time.Time{}
	}
	return time.UnixMilli(milliseconds).UTC()
}

// now is as exact as what the engine keeps.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func sorted(classes []int64) []int64 {
	result := append([]int64{}, classes...)
	sort.Slice(result, func(i, j int) bool { return result[i] < result[j] })
	return result
}

func (l *erasures) add(asked request, job *lethe.Job, created time.Time) (*erasure, error) {
	status, err := job.Status()
	if err != nil {
		return nil, err
	}
	e := &erasure{request: asked, job: job, created: created, state: status.State,
		progress: status.Progress}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.all = append(l.all, e)
	l.byID[asked.ID] = e
	l.byNumber[job.ID()] = e
	return e, nil
}

// accept queues a request, or finds the erasure of the same one; fresh tells which.
func (l *erasures) accept(asked request, work lethe.ForgetRequest) (e *erasure, fresh bool,
	err error) {
	l.accepting.Lock()
	defer l.accepting.Unlock()
	if known, err := l.find(asked.ID); err == nil {
		if known.request.same(asked) {
			return known, false, nil
		}
		return nil, false, newProblem(409, "EXISTS",
			"the request id %q is taken by a request with another body", asked.ID)
	}
	if err := l.files.save(asked); err != nil {
		return nil, false, newProblem(503, "IO", "the request cannot be kept: %v", err)
	}
	job, err := l.engine.Enqueue(work)
	if err != nil {
		l.files.remove(asked.ID)
		return nil, false, err
	}
	e, err = l.add(asked, job, now())
	return e, err == nil, err
}

// find returns the erasure of a request id.
func (l *erasures) find(id string) (*erasure, error) {
	l.mutex.RLock()
	defer l.mutex.RUnlock()
	if e := l.byID[id]; e != nil {
		return e, nil
	}
	return nil, newProblem(404, "NOT_FOUND", "there is no erasure with the id %q", id)
}

// ofJob returns the erasure of an event, nil when the job is none. An event may come before accept
// knows the job's number: then it waits for accept.
func (l *erasures) ofJob(number int64) *erasure {
	l.mutex.RLock()
	e := l.byNumber[number]
	l.mutex.RUnlock()
	if e == nil {
		l.accepting.Lock()
		defer l.accepting.Unlock()
		l.mutex.RLock()
		defer l.mutex.RUnlock()
		e = l.byNumber[number]
	}
	return e
}

// list returns all erasures, oldest first.
func (l *erasures) list() []*erasure {
	l.mutex.RLock()
	defer l.mutex.RUnlock()
	return l.all[:len(l.all):len(l.all)]
}

// cancel asks an erasure to stop. One that has ended otherwise cannot be cancelled any more.
func (l *erasures) cancel(e *erasure) error {
	l.mutex.RLock()
	state := e.state
	l.mutex.RUnlock()
	if state.Ended() && state != lethe.JobCancelled {
		return newProblem(409, "STATE", "the erasure has ended: it %s", ending(state))
	}
	return e.job.Cancel()
}

func ending(state lethe.JobState) string {
	if state == lethe.JobRejected {
		return "was rejected"
	}
	return state.String()
}

// failure is the code and sentence of a job that did not succeed.
func failure(job *lethe.Job) *problem {
	var known *lethe.Error
	if err := job.Err(); errors.As(err, &known) {
		return &problem{Code: known.Status.String(), Detail: known.Message}
	}
	return nil
}
