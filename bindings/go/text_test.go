package lethe_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"lethe"
)

// Text is true UTF-8 on the way in and out, in ids and in paths.
func TestText(t *testing.T) {
	r, m, data := trainedModel(t)
	const name = "Łódź 🙂"
	e := newEngine(t, m)
	job := forget(t, e, name, 1, data)
	if job.RequestID() != name {
		t.Errorf("request id %q", job.RequestID())
	}
	must[*lethe.Job](t)(e.FindJob(name))
	must[string](t)(e.Receipt(name))
	path := filepath.Join(t.TempDir(), name+".lethe")
	ok(t, must[*lethe.Adapter](t)(m.FindAdapter(name)).Export(path, nil))
	must[os.FileInfo](t)(os.Stat(path))
	info := struct {
		RequestID string `json:"request_id"`
	}{}
	adapter := must[*lethe.Adapter](t)(lethe.LoadAdapter(r, path, nil))
	ok(t, json.Unmarshal([]byte(must[string](t)(adapter.InfoJSON())), &info))
	if info.RequestID != name {
		t.Errorf("manifest says %q", info.RequestID)
	}
	ok(t, m.RollbackTo(name))
	ok(t, m.Enable(name, false, 0))
	_, err := m.FindAdapter("")
	fails(t, lethe.ErrNotFound, err)
}
