// Command scenario works a script of tests/bindings off and prints one JSON object a command.
//
//	scenario SCENARIO_FILE WORK_FOLDER      (in the source root)
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: scenario SCENARIO_FILE WORK_FOLDER")
		os.Exit(2)
	}
	if err := play(os.Args[1], os.Args[2], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// play runs a script; a command that fails and should not ends it.
func play(path, workFolder string, output io.Writer) error {
	script, err := os.Open(path)
	if err != nil {
		return err
	}
	defer script.Close()
	stage, err := newStage(workFolder)
	if err != nil {
		return err
	}
	defer stage.close()
	lines := bufio.NewScanner(script)
	for number := 1; lines.Scan(); number++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		fields := fieldList{{"line", number}, {"command", words[0]}}
		told, err := stage.run(words[0], words[1:])
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		fmt.Fprintln(output, append(fields, told...))
	}
	return lines.Err()
}
