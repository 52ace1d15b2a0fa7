package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"lethe"
)

// TestKill ends the service with SIGKILL in the middle of a task, several times.
func TestKill(t *testing.T) {
	folder := t.TempDir()
	flags := []string{"-max-steps", "30", "-checkpoint", "50ms"}
	s := start(t, folder, flags...)
	s.post("first", `{"classes":[1,2],"note":"kept"}`).is(t, 202)
	s.post("second", `{"classes":[5],"priority":-7}`).is(t, 202)
	for _, step := range []int64{4, 12} {
		s.until("first", func(v view) bool { return v.Progress.Step >= step })
		s.stop(syscall.SIGKILL)
		s = start(t, folder, flags...)
		s.post("first", `{"classes":[1,2],"note":"kept"}`).is(t, 200) // the client asks again
		s.post("first", `{"classes":[1,2]}`).is(t, 409)
		if s.erasure("first").Progress.Step == 0 {
			s.until("first", func(v view) bool { return v.Progress.Step > 1 })
		}
	}
	checkBoth(t, s)
	s.stop(syscall.SIGKILL)
	s = start(t, folder, flags...) // and what has ended is there again, figures and all
	checkBoth(t, s)
}

func checkBoth(t *testing.T, s *service) {
	t.Helper()
	first, second := s.untilState("first", "succeeded"), s.untilState("second", "succeeded")
	if first.Note != "kept" || first.Figures == nil || first.Figures.Steps != 30 ||
		first.Receipt == nil || first.Receipt.Number != 1 {
		t.Errorf("first: %+v", first)
	}
	if second.Priority != -7 || second.Figures == nil || !second.Figures.AccO.Known() ||
		second.Receipt == nil || second.Receipt.Number != 2 {
		t.Errorf("second: %+v", second)
	}
	var list struct{ Erasures []view }
	s.get("/v1/erasures").is(t, 200).into(t, &list)
	if len(list.Erasures) != 2 {
		t.Errorf("%d erasures: %+v", len(list.Erasures), list)
	}
	if !strings.Contains(string(s.get("/metrics").body), "\nerasure_desk_adapters 2\n") {
		t.Error("there are not 2 adapters")
	}
	checkReceipts(t, s, 2)
}

// TestTerminate ends the service in good order in the middle of a task: the task is saved where it
// was, and a second process gets to the state that an undisturbed one would have reached.
func TestTerminate(t *testing.T) {
	undisturbed := stateOf(t, t.TempDir(), func(s *service) *service { return s })
	disturbed := stateOf(t, t.TempDir(), func(s *service) *service {
		before := s.until("a", func(v view) bool { return v.Progress.Step >= 6 }).Progress.Step
		begin := time.Now()
		s.stop(syscall.SIGTERM)
		t.Logf("SIGTERM to the end of the process: %v", time.Since(begin).Round(time.Millisecond))
		for _, line := range []string{"msg=stopping", "msg=closed"} {
			if !strings.Contains(s.text(), line) {
				t.Errorf("the log lacks %s", line)
			}
		}
		next := start(t, s.folder, "-max-steps", "20", "-checkpoint", "1h")
		after := next.until("a", func(v view) bool { return v.Progress.Step > 0 }).Progress.Step
		if after < before {
			t.Errorf("saved at step %d or later, gone on at %d", before, after)
		}
		return next
	})
	if disturbed != undisturbed {
		t.Errorf("the model's state is %s, undisturbed %s", disturbed, undisturbed)
	}
}

// stateOf runs one task with an interruption and returns the digest of the model that it left.
func stateOf(t *testing.T, folder string, interrupt func(*service) *service) string {
	t.Helper()
	s := start(t, folder, "-max-steps", "20", "-checkpoint", "1h")
	s.post("a", `{"classes":[1]}`).is(t, 202)
	s = interrupt(s)
	s.untilState("a", "succeeded")
	var signed struct {
		Receipt struct {
			State string `json:"state"`
		} `json:"receipt"`
	}
	s.get("/v1/erasures/a/receipt").is(t, 200).into(t, &signed)
	checkReceipts(t, s, 1)
	return signed.Receipt.State
}

// TestRequestFiles keeps requests of any id, and knows those of other programs.
func TestRequestFiles(t *testing.T) {
	files, err := openRequestFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "../../a", strings.Repeat("ü", 64), "a b\n"} {
		want := request{id, []int64{1, 3}, "note of " + id, -5}
		for i := 0; i < 2; i++ { // again: replaced
			if err := files.save(want); err != nil {
				t.Fatal(err)
			}
		}
		if got, found, err := files.load(id); err != nil || !found || !got.same(want) {
			t.Errorf("%q: %+v, %v, %v", id, got, found, err)
		}
		files.remove(id)
		if _, found, err := files.load(id); found || err != nil {
			t.Errorf("%q is still there, or: %v", id, err)
		}
	}
	if problemOf(&lethe.Error{Status: lethe.StatusIO, Message: "full"}).Status != 503 {
		t.Error("a full disk is not the client's doing")
	}
}
