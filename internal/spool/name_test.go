package spool

import (
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFolder(t *testing.T) {
	for name, want := range map[string]string{
		"live/movie": "s-live%2fmovie",
		"":           "s-",
		"..":         "s-%2e%2e",
		"../../etc":  "s-%2e%2e%2f%2e%2e%2fetc",
		`a\b:c*?`:    "s-a%5cb%3ac%2a%3f",
		"Live/A b":   "s-%4cive%2f%41%20b",
		"con":        "s-con",
		"720p.v0":    "s-720p%2ev0",
		"é":          "s-%c3%a9",
		"\x00":       "s-%00",
	} {
		wantEqual(t, name, folder(streamPrefix, name), want)
	}
}

// TestFoldersDiffer: whatever the names are, their folders are different, safe, and not too long.
func TestFoldersDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		any := rapid.OneOf(rapid.String(), rapid.StringMatching(`[aAbB./%~]{0,8}`), rapid.StringN(100, 300, 600))
		a, b := any.Draw(t, "a"), any.Draw(t, "b")
		x, y := folder(streamPrefix, a), folder(streamPrefix, b)
		if (a == b) != (strings.EqualFold(x, y)) {
			t.Fatalf("%q and %q: %q and %q", a, b, x, y)
		}
		if filepath.Base(x) != x || strings.Contains(x, ".") || len(x) > maxFolder {
			t.Fatalf("%q", x)
		}
	})
}

func TestParseFile(t *testing.T) {
	for name, want := range map[string]struct {
		seq    int64
		suffix string
		ok     bool
	}{
		"17.m4s":                   {17, segmentSuffix, true},
		"0.idx":                    {0, indexSuffix, true},
		"1732282200.mp4":           {1732282200, initSuffix, true},
		"017.m4s":                  {},
		"-1.m4s":                   {},
		"+1.m4s":                   {},
		"1.ts":                     {},
		".m4s":                     {},
		"1.M4S":                    {},
		"x.idx":                    {},
		"99999999999999999999.m4s": {},
		"notes.txt":                {},
	} {
		seq, suffix, ok := parseFile(name)
		if ok != want.ok || ok && (seq != want.seq || suffix != want.suffix) {
			t.Errorf("%s: %d %s %v", name, seq, suffix, ok)
		}
	}
}
