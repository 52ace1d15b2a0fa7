package lethe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lethe"
)

func TestLibraryItself(t *testing.T) {
	major, minor := lethe.ABIVersion()
	if major != 1 || minor < 1 || !strings.HasPrefix(lethe.Version(), "0.") {
		t.Errorf("version %s, ABI %d.%d", lethe.Version(), major, minor)
	}
	names := lethe.ArchNames()
	if len(names) < 4 || names[0] != "vit" || names[3] != "deformable_detr" {
		t.Errorf("architectures: %v", names)
	}
	for _, text := range []string{
		must[string](t)(lethe.BuildInfoJSON()), must[string](t)(lethe.MethodInfoJSON()),
		must[string](t)(lethe.ArchDefaultSpec("face_vit")),
	} {
		if !json.Valid([]byte(text)) {
			t.Errorf("not JSON: %s", text)
		}
	}
	_, err := lethe.ArchDefaultSpec("")
	fails(t, lethe.ErrNotFound, err)
	if n, err := newRuntime(t).DeviceCount(); err != nil || n < 0 {
		t.Errorf("%d devices, %v", n, err)
	}
}

// A program whose library is missing or foreign says so, with its name and place.
func TestMissingLibrary(t *testing.T) {
	if os.Getenv("LETHE_TEST_CHILD") != "" {
		t.Skip("in the child")
	}
	self := must[string](t)(os.Executable())
	folder := t.TempDir()
	run := func(program, libraries string) string {
		child := exec.Command(program, "-test.run=TestLibraryItself")
		child.Env = append(os.Environ(), "LETHE_TEST_CHILD=1", "LD_LIBRARY_PATH="+libraries)
		output, err := child.CombinedOutput()
		if err == nil {
			t.Errorf("a program without its library ran: %s", output)
		}
		return string(output)
	}
	ok(t, os.WriteFile(filepath.Join(folder, "liblethe.so.1"), []byte("of another machine"), 0o600))
	if said := run(self, folder); !strings.Contains(said, folder+"/liblethe.so.1") {
		t.Errorf("a foreign library: %s", said)
	}
	program := must[[]byte](t)(os.ReadFile(self))
	program = bytes.ReplaceAll(program, []byte("liblethe.so.1\x00"), []byte("liblethe.so.0\x00"))
	changed := filepath.Join(folder, "program")
	ok(t, os.WriteFile(changed, program, 0o700))
	if said := run(changed, ""); !strings.Contains(said, "liblethe.so.0") {
		t.Errorf("a missing library: %s", said)
	}
}

func TestLog(t *testing.T) {
	lines := make(chan string, 1000)
	r := must[*lethe.Runtime](t)(lethe.NewRuntime(&lethe.RuntimeOptions{LogLevel: lethe.LogDebug,
		Log: func(level lethe.LogLevel, component, message string) {
			lines <- level.String() + " " + component + ": " + message
		}}))
	m := must[*lethe.Model](t)(lethe.NewModel(r, tinySpec, ""))
	e := newEngine(t, m)
	data := newDataset(t, r, 16)
	job := endless(t, e, "logged", data)
	ok(t, job.Cancel())
	fails(t, lethe.ErrCancelled, job.Wait(context.Background()))
	if line := <-lines; !strings.Contains(line, ": ") {
		t.Errorf("line %q", line)
	}
	ok(t, r.Close())
}
