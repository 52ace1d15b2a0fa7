package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// request is what a client asked for. The engine keeps its id, classes and priority; the note is
// ours to keep.
type request struct {
	ID       string  `json:"request_id"`
	Classes  []int64 `json:"classes"` // ascending
	Note     string  `json:"note"`
	Priority int32   `json:"priority"`
}

// same tells whether two requests of one id ask for the same.
func (r request) same(other request) bool {
	if r.Note != other.Note || r.Priority != other.Priority || len(r.Classes) != len(other.Classes) {
		return false
	}
	for i, class := range r.Classes {
		if class != other.Classes[i] {
			return false
		}
	}
	return true
}

// requestFiles is a folder with a file a request, written before the engine accepts it. A file
// whose request was never accepted does no harm: the next one of the id replaces it.
type requestFiles struct{ folder string }

func openRequestFiles(folder string) (requestFiles, error) {
	files := requestFiles{filepath.Join(folder, "requests")}
	return files, os.MkdirAll(files.folder, 0o700)
}

// path is made of a digest: an id may hold what a file name may not.
func (f requestFiles) path(id string) string {
	digest := sha256.Sum256([]byte(id))
	return filepath.Join(f.folder, hex.EncodeToString(digest[:16])+".json")
}

// save is durable when it returns, and the file is the old one or the new one whatever happens.
func (f requestFiles) save(r request) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(f.folder, "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // fails, as it shall, once the file has its name
	defer file.Close()
	if _, err = file.Write(text); err != nil {
		return err
	}
	if err = file.Sync(); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), f.path(r.ID)); err != nil {
		return err
	}
	folder, err := os.Open(f.folder)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// load reads a request; found is false for one that another program queued in the engine's folder.
func (f requestFiles) load(id string) (r request, found bool, err error) {
	text, err := os.ReadFile(f.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return request{}, false, nil
	}
	if err != nil {
		return request{}, false, err
	}
	if err = json.Unmarshal(text, &r); err != nil {
		return request{}, false, err
	}
	return r, r.ID == id, nil
}

func (f requestFiles) remove(id string) { os.Remove(f.path(id)) }
