package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// browser is a headless Chromium, told what to do in the protocol of its own developer tools.
type browser struct {
	t       *testing.T
	to      io.Writer
	from    *bufio.Reader
	id      int
	session string
	errors  []string // what its console said
}

// openBrowser skips the test where there is no Chromium.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium-headless-shell", "chromium"} {
		if path, err := exec.LookPath(name); err == nil && program == "" {
			program = path
		}
	}
	if program == "" {
		t.Skip("there is no browser: install Debian's chromium-headless-shell")
	}
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--user-data-dir="+t.TempDir(), "--remote-debugging-pipe")
	theirs, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, theirEnd, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{theirs, theirEnd} // 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	theirEnd.Close()
	b := &browser{t: t, to: to, from: bufio.NewReader(from)}
	limit := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() }) // ends all reading
	t.Cleanup(func() {
		limit.Stop()
		b.tell("Browser.close", nil) // so that the processes it started end, too
		cmd.Wait()
		to.Close()
		from.Close()
	})
	target := b.tell("Target.createTarget", params{"url": "about:blank"})["targetId"]
	attached := b.tell("Target.attachToTarget", params{"targetId": target, "flatten": true})
	b.session = attached["sessionId"].(string)
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.tell(domain+".enable", nil)
	}
	return b
}

type params map[string]any

// tell sends a command and returns its result.
func (b *browser) tell(method string, values params) params {
	b.t.Helper()
	b.id++
	command := params{"id": b.id, "method": method}
	if values != nil {
		command["params"] = values
	}
	if b.session != "" && !strings.HasPrefix(method, "Browser.") {
		command["sessionId"] = b.session
	}
	text, _ := json.Marshal(command)
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatal(err)
	}
	for {
		text, err := b.from.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("%s: the browser is gone: %v", method, err)
		}
		var message struct {
			ID     int
			Method string
			Result params
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(text[:len(text)-1], &message); err != nil {
			b.t.Fatal(err)
		}
		switch {
		case message.Method == "Runtime.exceptionThrown" || message.Method == "Log.entryAdded":
			b.errors = append(b.errors, string(text))
		case message.ID == b.id && message.Error != nil:
			b.t.Fatalf("%s: %s", method, message.Error.Message)
		case message.ID == b.id:
			return message.Result
		}
	}
}

// eval returns a script's value, as text.
func (b *browser) eval(script string) string {
	b.t.Helper()
	answer := b.tell("Runtime.evaluate", params{"expression": script, "returnByValue": true})
	result, _ := answer["result"].(map[string]any)
	return fmt.Sprint(result["value"])
}

// until waits for a script to be true.
func (b *browser) until(script string) {
	b.t.Helper()
	for begin := time.Now(); time.Since(begin) < 30*time.Second; time.Sleep(50 * time.Millisecond) {
		if b.eval(script) == "true" {
			return
		}
	}
	b.t.Fatalf("never true: %s\n%s", script, b.eval("document.body.innerText"))
}

// size makes the window so many pixels wide and checks that the page fits.
func (b *browser) size(width, height int) {
	b.t.Helper()
	b.tell("Emulation.setDeviceMetricsOverride",
		params{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false})
	if wide := b.eval("document.documentElement.scrollWidth"); wide != fmt.Sprint(width) {
		b.t.Errorf("in a window of %d pixels the page is %s wide", width, wide)
	}
}

// picture keeps a picture of the window in the folder that ERASURE_DESK_PICTURES names, if one is.
func (b *browser) picture(name string) {
	b.t.Helper()
	data, _ := b.tell("Page.captureScreenshot", params{"format": "png"})["data"].(string)
	file, err := base64.StdEncoding.DecodeString(data)
	if err != nil || !bytes.HasPrefix(file, []byte("\x89PNG")) {
		b.t.Fatalf("no picture: %v", err)
	}
	if folder := os.Getenv("ERASURE_DESK_PICTURES"); folder != "" {
		if err := os.WriteFile(filepath.Join(folder, name), file, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

// TestBrowser has a real browser show the page while a task runs and one has ended, and uses it.
func TestBrowser(t *testing.T) {
	b := openBrowser(t)
	s := start(t, t.TempDir(), "-max-steps", "100000")
	s.post("ended", `{"classes":["Bag"]}`).is(t, 202)
	s.post("running", `{"classes":["Trouser","Pullover"],"note":"A note"}`).is(t, 202)
	s.ask("DELETE", "/v1/erasures/ended", nil).is(t, 202)
	s.until("running", func(v view) bool { return v.Progress.Step > 0 })

	b.tell("Page.navigate", params{"url": s.url + "/"})
	b.until(`document.readyState == "complete" && document.querySelector("h1") != null`)
	b.size(1180, 1400)
	b.eval(`window.sameDocument = true; window.step = () =>
	  parseInt(document.querySelector("[data-field=where]").textContent.slice(5));
	  window.first = step()`)
	b.until(`step() > first + 2`) // without a reload
	b.picture("desk.png")
	b.size(390, 2400)
	b.picture("phone.png")
	b.tell("Emulation.setEmulatedMedia",
		params{"features": []params{{"name": "prefers-color-scheme", "value": "dark"}}})
	b.size(1180, 1400)
	b.picture("dark.png")
	if dark := b.eval(`getComputedStyle(document.body).backgroundColor`); dark != "rgb(21, 24, 27)" {
		t.Errorf("in the dark the page is %s", dark)
	}

	s.ask("DELETE", "/v1/erasures/running", nil).is(t, 202)
	b.until(`document.getElementById("ended").parentElement.innerText.includes("A note")`)
	if b.eval(`window.sameDocument`) != "true" {
		t.Error("the page was loaded anew")
	}
	b.eval(`document.querySelector("input[value=Shirt]").click();
	  document.querySelector("#erase button").click()`)
	b.until(`document.getElementById("now")?.parentElement.innerText.includes("Shirt")`)
	for _, problem := range b.errors {
		t.Errorf("the browser says %s", problem)
	}
}
