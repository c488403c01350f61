package main

import (
	"runtime"
	"testing"
)

func TestHeapDecisions(t *testing.T) {
	const mb = 1 << 20
	for _, tc := range []struct {
		name             string
		before, now      heap
		forgotten, spare bool
	}{
		{"small and quiet", heap{collections: 5}, heap{live: 10 * mb, objects: 20 * mb, free: 20 * mb, collections: 5}, false, false},
		{"large and collected", heap{collections: 5}, heap{live: 300 * mb, objects: 400 * mb, free: 20 * mb, collections: 6}, false, false},
		{"large and not collected", heap{collections: 5}, heap{live: 300 * mb, objects: 400 * mb, free: 20 * mb, collections: 5}, true, false},
		{"an attack is over", heap{collections: 5}, heap{live: 20 * mb, objects: 25 * mb, free: 800 * mb, collections: 6}, false, true},
		{"room to grow", heap{collections: 5}, heap{live: 400 * mb, objects: 420 * mb, free: 130 * mb, collections: 6}, false, false},
		{"more than room to grow", heap{collections: 5}, heap{live: 400 * mb, objects: 420 * mb, free: 170 * mb, collections: 6}, false, true},
	} {
		if got := tc.now.forgotten(tc.before); got != tc.forgotten {
			t.Errorf("%s: forgotten %v", tc.name, got)
		}
		if got := tc.now.spare(); got != tc.spare {
			t.Errorf("%s: spare %v", tc.name, got)
		}
	}
}

// TestReadHeap: the runtime knows all the figures by these names.
func TestReadHeap(t *testing.T) {
	runtime.GC()
	before := readHeap()
	kept := make([]byte, 8<<20)
	after := readHeap()
	runtime.KeepAlive(kept)
	if before.live == 0 || before.collections == 0 || after.objects < before.objects+4<<20 {
		t.Errorf("before %+v, with 8 MiB more %+v", before, after)
	}
	kept = nil
	runtime.GC()
	if last := readHeap(); last.collections <= after.collections || last.objects > after.objects {
		t.Errorf("with 8 MiB more %+v, collected %+v", after, last)
	}
}
