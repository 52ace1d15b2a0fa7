package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"lethe"
)

// TestLife follows an erasure from the request to its receipt.
func TestLife(t *testing.T) {
	s := start(t, t.TempDir())
	s.get("/readyz").is(t, 200)
	const body = `{"classes":["trouser",2],"note":"ticket <81>","priority":3}`
	first := s.post("customer-81", body).is(t, 202)
	if first.Header.Get("Location") != "/v1/erasures/customer-81" {
		t.Errorf("Location is %q", first.Header.Get("Location"))
	}
	var accepted, same view
	first.into(t, &accepted)
	s.post(`"customer-81"`, `{"priority":3,"note":"ticket <81>","classes":[2,1]}`).is(t, 200).
		into(t, &same)
	if same.Number != accepted.Number {
		t.Errorf("the same request became erasure %d after %d", same.Number, accepted.Number)
	}
	for _, other := range []string{`{"classes":[1,2]}`,
		`{"classes":[1],"note":"ticket <81>","priority":3}`,
		`{"classes":[1,2],"note":"ticket <81>","priority":4}`} {
		s.post("customer-81", other).is(t, 409)
	}

	v := s.untilState("customer-81", "succeeded")
	if v.Note != "ticket <81>" || v.Priority != 3 ||
		strings.Join(v.Names, "+") != "Trouser+Pullover" {
		t.Errorf("the request is not kept: %+v", v)
	}
	if v.Started == nil || v.Ended == nil || v.Ended.Before(*v.Started) || v.Error != nil {
		t.Errorf("times or error: %+v", v)
	}
	checkFigures(t, v)
	s.post("customer-81", body).is(t, 200)
	s.post("another", `{"classes":[1]}`).is(t, 422)
	s.ask("DELETE", "/v1/erasures/customer-81", nil).is(t, 409)
	checkReceipts(t, s, 1)
	var signed struct {
		Receipt struct {
			Request string  `json:"request_id"`
			Classes []int64 `json:"classes"`
		} `json:"receipt"`
	}
	s.get("/v1/erasures/customer-81/receipt").is(t, 200).into(t, &signed)
	if signed.Receipt.Request != "customer-81" || len(signed.Receipt.Classes) != 2 {
		t.Errorf("the receipt is %+v", signed)
	}
}

func checkFigures(t *testing.T, v view) {
	t.Helper()
	f := v.Figures
	if f == nil || len(f.Classes) != 10 || v.Progress.Step != 8 || f.Steps != 8 {
		t.Fatalf("figures are %+v", f)
	}
	if f.AccF.Before < 50 || f.AccR.Before < 50 || !f.AccF.After.Known() || !f.AccR.After.Known() ||
		f.AccO.Known() || !f.H.Known() || f.MeasuredOn != "validation set" {
		t.Errorf("figures are %+v", f)
	}
	roles := map[string]int{}
	for _, class := range f.Classes {
		roles[class.Role]++
		if class.Before < 30 || !class.After.Known() || class.Name == "" {
			t.Errorf("class figures are %+v", class)
		}
	}
	if roles["forgotten"] != 2 || roles["kept"] != 8 {
		t.Errorf("roles are %v", roles)
	}
}

// checkReceipts verifies the chain with the key that the service publishes.
func checkReceipts(t *testing.T, s *service, count int) {
	t.Helper()
	var published struct{ Key string }
	s.get("/v1/public-key").is(t, 200).into(t, &published)
	key, err := hex.DecodeString(published.Key)
	if err != nil {
		t.Fatal(err)
	}
	lines := string(s.get("/v1/receipts").is(t, 200).body)
	findings, err := lethe.VerifyReceipts(lines, ed25519.PublicKey(key))
	if err != nil {
		t.Fatalf("%v: %s", err, findings)
	}
	var found struct{ Receipts int }
	if err := json.Unmarshal([]byte(findings), &found); err != nil || found.Receipts != count {
		t.Errorf("%d receipts are wanted, found %s", count, findings)
	}
	if changed := strings.Replace(lines, `"outcome":"`, `"outcome":"x`, 1); count > 0 {
		if _, err := lethe.VerifyReceipts(changed, key); err == nil {
			t.Error("a changed receipt verifies")
		}
	}
}

// TestList has ids that need care in a path, and pages through the list.
func TestList(t *testing.T) {
	s := start(t, t.TempDir(), "-max-steps", "100000")
	ids := []string{"a/b", "ü?x=1&y#z", "..x", "%2e%2e", "d"}
	for i, id := range ids {
		body, _ := json.Marshal(map[string]any{"request_id": id, "classes": []int{i}})
		s.post("", string(body)).is(t, 202)
		if got := s.erasure(url.PathEscape(id)); got.ID != id {
			t.Errorf("%q became %q", id, got.ID)
		}
	}
	var list struct {
		Erasures []view
		Next     *int64
	}
	s.get("/v1/erasures?limit=3").is(t, 200).into(t, &list)
	if len(list.Erasures) != 3 || list.Erasures[0].ID != "d" || list.Next == nil || *list.Next != 3 {
		t.Fatalf("the first part is %+v", list)
	}
	list.Next = nil
	s.get("/v1/erasures?limit=3&before=3").is(t, 200).into(t, &list)
	if len(list.Erasures) != 2 || list.Erasures[1].ID != "a/b" || list.Next != nil {
		t.Fatalf("the second part is %+v", list)
	}
}

// TestCancel ends a running and a queued erasure.
func TestCancel(t *testing.T) {
	s := start(t, t.TempDir(), "-max-steps", "100000")
	s.post("running", `{"classes":[1]}`).is(t, 202)
	s.post("queued", `{"classes":[2]}`).is(t, 202)
	s.until("running", func(v view) bool { return v.Progress.Step > 0 })
	for _, id := range []string{"queued", "running"} {
		s.ask("DELETE", "/v1/erasures/"+id, nil).is(t, 202)
		v := s.untilState(id, "cancelled")
		if v.Error == nil || v.Error.Code != "CANCELLED" || v.Error.Message == "" {
			t.Errorf("the error of %s is %+v", id, v.Error)
		}
		s.ask("DELETE", "/v1/erasures/"+id, nil).is(t, 202) // again: fine
	}
	s.post("running", `{"classes":[1]}`).is(t, 200) // it stays what it was
	checkReceipts(t, s, 2)
}
