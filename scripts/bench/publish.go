//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// publish prints a table, and puts it into the file of the options.
func (m *measurement) publish(table func(io.Writer)) error {
	var text bytes.Buffer
	table(&text)
	if _, err := os.Stdout.Write(text.Bytes()); err != nil || m.into == "" {
		return err
	}
	document, err := os.ReadFile(m.into)
	if err != nil {
		return err
	}
	changed, err := insert(string(document), m.scenario.name, text.String())
	if err != nil {
		return fmt.Errorf("%s: %w", m.into, err)
	}
	return os.WriteFile(m.into, []byte(changed), 0o644)
}

// errNoPlace: the document has no place for the table.
var errNoPlace = errors.New("no place for the table")

// insert replaces what stands between the comments that mark the place of a scenario's table.
func insert(document, scenario, table string) (string, error) {
	begin := "<!-- bench " + scenario + " -->\n"
	before, rest, found := strings.Cut(document, begin)
	_, after, closed := strings.Cut(rest, "<!-- end -->")
	if !found || !closed {
		return "", fmt.Errorf("%s: %w", scenario, errNoPlace)
	}
	return before + begin + "\n" + strings.TrimSpace(table) + "\n\n<!-- end -->" + after, nil
}
