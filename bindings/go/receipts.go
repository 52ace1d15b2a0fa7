package lethe

import (
	"crypto/ed25519"

	"lethe/internal/native"
)

// ReceiptCount returns the number of receipts: signed records of ended tasks.
func (e *Engine) ReceiptCount() (int, error) {
	count := int32(0)
	err := e.call(func(engine uintptr) native.Status {
		count = native.Engine_receipt_count(engine)
		return native.Status{}
	})
	return int(count), err
}

// Receipt returns the signed record of an ended request: one line of canonical JSON without its
// end,
//
//	{"key":"<hex>","receipt":{...,"number":1,"previous":"<hex>"},"signature":"<hex>"}
//
// with what was asked and when, the settings, digests of base, data, parents and adapter, the
// figures before and after, the environment and how it ended. "signature" is Ed25519 over the bytes
// of the value of "receipt"; "previous" is the SHA-256 of the whole previous line, zeros in the
// first. It proves what was done to the weights, not that nobody else has a copy. [ErrNotFound]: no
// such request has ended.
func (e *Engine) Receipt(requestID string) (string, error) {
	request, err := text("requestID", requestID)
	if err != nil {
		return "", err
	}
	return e.textFrom(func(engine uintptr, out *uintptr) native.Status {
		return native.Engine_receipt(engine, request, out)
	})
}

// Receipts returns all receipts, oldest first, each line ended by "\n": what [VerifyReceipts]
// reads.
func (e *Engine) Receipts() (string, error) { return e.textFrom(native.Engine_receipts) }

// PublicKey returns the key that this engine's receipts are signed with. Publish it where those who
// verify receipts trust it.
func (e *Engine) PublicKey() (ed25519.PublicKey, error) {
	key := make(ed25519.PublicKey, ed25519.PublicKeySize)
	err := e.call(func(engine uintptr) native.Status { return native.Engine_public_key(engine, key) })
	if err != nil {
		return nil, err
	}
	return key, nil
}

// VerifyReceipts checks a chain of receipts as [Engine.Receipts] returns it: the form, every
// signature, every link. All must be signed with key; nil: each with the key it names, which shows
// only that nothing was changed afterwards. Findings are JSON, also on failure: {"ok", "receipts":
// good ones before the first break, "first_break": null or {"line", "request_id", "reason"}}.
// [ErrCorrupt]: the chain is broken. Cut-off ends cannot be seen: compare the count or keep the
// newest digest elsewhere.
func VerifyReceipts(receipts string, key ed25519.PublicKey) (findings string, err error) {
	if key != nil && len(key) != ed25519.PublicKeySize {
		return "", invalid("key has %d bytes, not %d", len(key), ed25519.PublicKeySize)
	}
	return libraryText(func(out *uintptr) native.Status {
		return native.Receipts_verify([]byte(receipts), key, out)
	})
}

// JournalInfoJSON tells what an engine's folder holds, without opening an engine; also while one
// works on it, in this process or another: {"schema", "base", "holder_pid" (null when nobody has it
// open), "jobs": [{"job_id", "request_id", "kind", "state", "classes", "priority", "created",
// "started", "ended", "step", "total_steps" (of the last checkpoint), "error", "message",
// "metrics"}], "adapters": [{"request_id", "adapter_id", "scale"}], "receipts": count}. Times are
// UTC, milliseconds since 1970, or null. [ErrNotFound]: no journal there. [ErrCorrupt],
// [ErrVersion], [ErrIO].
func JournalInfoJSON(folder string) (string, error) {
	where, err := text("folder", folder)
	if err != nil {
		return "", err
	}
	return libraryText(func(out *uintptr) native.Status {
		return native.Journal_info_json(where, out)
	})
}

// JournalReceipts returns the receipts in a folder, as [Engine.Receipts]. Errors as of
// [JournalInfoJSON].
func JournalReceipts(folder string) (string, error) {
	where, err := text("folder", folder)
	if err != nil {
		return "", err
	}
	return libraryText(func(out *uintptr) native.Status { return native.Journal_receipts(where, out) })
}
