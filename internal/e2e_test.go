package internal

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEndToEndIsSorted checks that the first word of each file of end-to-end tests says what it
// tests, as CONTRIBUTING.md has it.
func TestEndToEndIsSorted(t *testing.T) {
	files, err := filepath.Glob("../e2e/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	kinds := []string{"publish", "media", "play", "hls", "relay", "record", "cluster", "operate", "attack", "harness"}
	for _, file := range files {
		if kind, _, _ := strings.Cut(filepath.Base(file), "_"); !slices.Contains(kinds, kind) {
			t.Errorf("%s begins with none of %v", file, kinds)
		}
	}
}
