package fmp4

import (
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// containers says how many bytes come before the boxes in a box that holds some.
var containers = map[string]int{
	"moov": 0, "trak": 0, "mdia": 0, "minf": 0, "dinf": 0, "stbl": 0, "mvex": 0, "moof": 0, "traf": 0, "dref": 8, "stsd": 8,
	"avc1": 78, "hvc1": 78, "dvh1": 78, "dav1": 78, "vvc1": 78, "av01": 78, "vp09": 78, "mp4a": 28, "Opus": 28, "fLaC": 28, "ac-3": 28, "ec-3": 28,
}

// boxSeen is a box as read by the tests' own reader.
type boxSeen struct {
	path    string
	head    []byte // before the boxes inside
	payload []byte
	depth   int
}

// readBoxes reads all boxes of a file, outer ones first. They must fill it.
func readBoxes(t testing.TB, b []byte) []boxSeen {
	t.Helper()
	return appendBoxes(t, nil, b, "", 0)
}

func appendBoxes(t testing.TB, dst []boxSeen, b []byte, path string, depth int) []boxSeen {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 8 {
			t.Fatalf("%d bytes behind the boxes of %q", len(b), path)
		}
		n := int(binary.BigEndian.Uint32(b))
		if n < 8 || n > len(b) {
			t.Fatalf("box of %d bytes among %d in %q", n, len(b), path)
		}
		kind := string(b[4:8])
		box := boxSeen{path: path + "/" + kind, payload: b[8:n], depth: depth}
		b = b[n:]
		if skip, ok := containers[kind]; ok {
			box.head, box.payload = box.payload[:skip], box.payload[skip:]
			dst = append(dst, box)
			dst = appendBoxes(t, dst, box.payload, box.path, depth+1)
			continue
		}
		dst = append(dst, box)
	}
	return dst
}

// find returns the payload of the first box whose path ends so.
func find(t testing.TB, b []byte, path string) []byte {
	t.Helper()
	for _, box := range readBoxes(t, b) {
		if strings.HasSuffix(box.path, path) {
			return box.payload
		}
	}
	t.Fatalf("no box %s", path)
	return nil
}

// dump writes boxes as text, with every byte.
func dump(t testing.TB, b []byte) string {
	var s strings.Builder
	for _, box := range readBoxes(t, b) {
		kind := box.path[strings.LastIndex(box.path, "/")+1:]
		fmt.Fprintf(&s, "%s%s", strings.Repeat("  ", box.depth), kind)
		rest := box.payload
		if _, ok := containers[kind]; ok {
			rest = box.head
		}
		for i := 0; i < len(rest); i += 32 {
			if len(rest) > 32 {
				fmt.Fprintf(&s, "\n%s ", strings.Repeat("  ", box.depth+1))
			}
			fmt.Fprintf(&s, " % x", rest[i:min(i+32, len(rest))])
		}
		s.WriteByte('\n')
	}
	return s.String()
}

// golden compares a text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("it differs from %s; look at it, then run with -update:\n%s", file, got)
	}
}
