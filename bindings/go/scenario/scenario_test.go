package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// The whole script, as it should end: the comparison with C's is made by the project's tests.
func TestScenario(t *testing.T) {
	root := os.Getenv("LETHE_ROOT")
	if root == "" {
		t.Skip("LETHE_ROOT names no source root")
	}
	if err := os.Chdir(root); err != nil {
		t.Fatal(err)
	}
	output := bytes.Buffer{}
	if err := play("tests/bindings/scenario.txt", t.TempDir(), &output); err != nil {
		t.Fatalf("%v after\n%s", err, output.String())
	}
	hashes := map[string]bool{}
	for _, line := range bytes.Split(bytes.TrimSpace(output.Bytes()), []byte("\n")) {
		told := struct{ Command, Hash, State, Error string }{}
		if err := json.Unmarshal(line, &told); err != nil {
			t.Errorf("%v in %s", err, line)
		}
		if told.Command == "wait" && told.State != "succeeded" && told.Error != "REJECTED" {
			t.Errorf("an unexpected end: %s", line)
		}
		if told.Command == "scores" {
			hashes[told.Hash] = true
		}
	}
	// base; two tasks; one of them alone. All other states are one of these.
	if len(hashes) != 3 {
		t.Errorf("%d states, not 3:\n%s", len(hashes), output.String())
	}
}
