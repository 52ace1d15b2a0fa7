package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The tests run the real service: this test program, started again as the service, on the
// quickstart's model and the first images of Fashion-MNIST.
const (
	asService = "ERASURE_DESK_SERVICE"
	cutTo     = 1200
	// Few small steps, and no gate: most of these tasks do not forget.
	quick = `{"forget_batch":16,"retain_batch":16,"gate_max_acc_f":-1,"gate_max_acc_r_drop":-1,` +
		`"progress_interval":1}`
)

var (
	sources = os.Getenv("LETHE_ROOT")
	cut     string // folder of the cut training set
)

func TestMain(m *testing.M) {
	if os.Getenv(asService) != "" {
		os.Exit(run(os.Args[1:]))
	}
	if sources == "" {
		sources = "../../.."
	}
	code := 1
	if err := cutImages(); err != nil {
		fmt.Fprintln(os.Stderr, "the training images cannot be cut:", err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(cut)
	os.Exit(code)
}

// cutImages writes the beginning of the training set as IDX files of its own.
func cutImages() (err error) {
	if cut, err = os.MkdirTemp("", "erasure-desk-*"); err != nil {
		return err
	}
	if err = cutFile("train-images-idx3-ubyte", 16, 28*28); err != nil {
		return err
	}
	return cutFile("train-labels-idx1-ubyte", 8, 1)
}

func cutFile(name string, header, size int) error {
	data, err := firstBytes(images+name+".gz", header+cutTo*size)
	if err != nil {
		return err
	}
	copy(data[4:8], []byte{0, 0, cutTo >> 8, cutTo & 0xff})
	return os.WriteFile(filepath.Join(cut, name), data, 0o600)
}

func firstBytes(path string, count int) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	data := make([]byte, count)
	_, err = io.ReadFull(plain, data)
	return data, err
}

// service is one process of it.
type service struct {
	t      *testing.T
	folder string
	url    string
	cmd    *exec.Cmd
	mutex  sync.Mutex
	log    bytes.Buffer
	logged chan struct{} // closed at the log's end
	ended  bool
}

// start runs the service on a folder until the test ends.
func start(t *testing.T, folder string, flags ...string) *service {
	t.Helper()
	s := &service{t: t, folder: folder, logged: make(chan struct{})}
	s.cmd = exec.Command(os.Args[0], append([]string{"-listen", "127.0.0.1:0", "-folder", folder,
		"-spec", filepath.Join(sources, "examples/quickstart/model.json"),
		"-weights", filepath.Join(sources, "examples/quickstart/fashion_vit.safetensors"),
		"-train-images", filepath.Join(cut, "train-images-idx3-ubyte"),
		"-train-labels", filepath.Join(cut, "train-labels-idx1-ubyte"),
		"-held-out", "0.25", "-data-ratio", "1", "-max-steps", "8", "-threads", "1",
		"-settings", quick}, flags...)...)
	s.cmd.Env = append(os.Environ(), asService+"=1")
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.ended {
			s.stop(syscall.SIGTERM)
		}
		if t.Failed() {
			t.Log(s.text())
		}
	})
	listening := make(chan string, 1)
	go s.read(stderr, listening)
	select {
	case s.url = <-listening:
	case <-s.logged:
		t.Fatalf("the service ended: %s", s.text())
	case <-time.After(60 * time.Second):
		t.Fatal("the service does not listen")
	}
	return s
}

// read keeps the log and finds the address in it.
func (s *service) read(stderr io.Reader, listening chan<- string) {
	defer close(s.logged)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		s.mutex.Lock()
		fmt.Fprintln(&s.log, lines.Text())
		s.mutex.Unlock()
		if _, after, found := strings.Cut(lines.Text(), "msg=listening url="); found {
			listening <- strings.TrimSuffix(strings.Fields(after)[0], "/")
		}
	}
}

func (s *service) text() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.log.String()
}

// stop sends a signal and waits for the end; all but SIGKILL must end it in good order.
func (s *service) stop(signal syscall.Signal) {
	s.t.Helper()
	s.ended = true
	s.cmd.Process.Signal(signal)
	<-s.logged
	if err := s.cmd.Wait(); err != nil && signal != syscall.SIGKILL {
		s.t.Errorf("after %v: %v", signal, err)
	}
}

// answer is a response with its whole body.
type answer struct {
	*http.Response
	body []byte
}

// ask sends a request; headers are pairs.
func (s *service) ask(method, path string, body []byte, headers ...string) answer {
	s.t.Helper()
	request, err := http.NewRequest(method, s.url+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{Timeout: 60 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response, text}
}

func (s *service) get(path string) answer { s.t.Helper(); return s.ask("GET", path, nil) }

// post sends an erasure request.
func (s *service) post(id, body string) answer {
	s.t.Helper()
	return s.ask("POST", "/v1/erasures", []byte(body), "Content-Type", "application/json",
		"Idempotency-Key", id)
}

// is wants a status.
func (a answer) is(t *testing.T, status int) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: %d, not %d: %s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	return a
}

// into reads the JSON body.
func (a answer) into(t *testing.T, value any) {
	t.Helper()
	if err := json.Unmarshal(a.body, value); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
}

func (s *service) erasure(id string) (v view) {
	s.t.Helper()
	s.get("/v1/erasures/"+id).is(s.t, 200).into(s.t, &v)
	return v
}

// until waits for an erasure that is as wanted.
func (s *service) until(id string, wanted func(view) bool) view {
	s.t.Helper()
	for begin := time.Now(); time.Since(begin) < 60*time.Second; time.Sleep(20 * time.Millisecond) {
		if v := s.erasure(id); wanted(v) {
			return v
		}
	}
	s.t.Fatalf("%s does not get there: %+v", id, s.erasure(id))
	return view{}
}

func (s *service) untilState(id, state string) view {
	s.t.Helper()
	return s.until(id, func(v view) bool {
		if v.Ended != nil && v.State != state {
			s.t.Fatalf("%s ended as %s: %+v", id, v.State, v.Error)
		}
		return v.State == state
	})
}
