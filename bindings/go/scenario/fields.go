package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
)

// fieldList is a JSON object with its keys in order.
type fieldList []struct {
	key   string
	value any
}

// figures are metrics with six decimals, without the time it took.
type figures map[string]float64

func (f fieldList) String() string {
	text := ""
	for _, field := range f {
		text += "," + jsonOf(field.key) + ":" + jsonOf(field.value)
	}
	return "{" + text[1:] + "}"
}

func jsonOf(value any) string {
	if metrics, ok := value.(figures); ok {
		return metrics.String()
	}
	text := bytes.Buffer{}
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	return string(bytes.TrimSpace(text.Bytes()))
}

func (f figures) String() string {
	names := []string{}
	for name := range f {
		if name != "seconds" && name != "peak_memory_mib" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	text := ""
	for i, name := range names {
		if i > 0 {
			text += ","
		}
		text += jsonOf(name) + ":" + jsonOf(fmt.Sprintf("%.6f", f[name]))
	}
	return "{" + text + "}"
}
