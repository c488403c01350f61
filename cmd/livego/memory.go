package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// memoryInterval is how often the heap is looked at: what an attack took goes back to the
	// system within a minute.
	memoryInterval = 10 * time.Second
	// largeHeap is from where on it is worth while, in bytes: a heap that nobody collects, or
	// memory that nobody needs.
	largeHeap = 32 << 20
	// sparePercent is how much more than gcPercent may be free, in percent of what lives.
	sparePercent = 15
	// hugeHeap is how much goes back at once where there is one processor, in bytes: that takes
	// 0.15 s, in which it does nothing else. The runtime's own way takes longer for more, and
	// nobody's time.
	hugeHeap = 1 << 30
)

// heap is what the runtime says of its memory, in bytes, and how often it has collected it.
type heap struct {
	// live is what the last collection found in use, objects the same with what has come since,
	// free what the system could have back.
	live, objects, free uint64
	collections         uint64
}

func readHeap() heap {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(samples)
	var values [4]uint64
	for i, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			values[i] = s.Value.Uint64()
		}
	}
	return heap{live: values[0], objects: values[1], free: values[2], collections: values[3]}
}

// forgotten says whether a large heap has not been collected since the last look: a server that has
// little to do any more allocates too little for that.
func (h heap) forgotten(before heap) bool {
	return h.objects >= largeHeap && h.collections == before.collections
}

// spare says whether a lot is free, clearly more than a heap of this size grows by until it is
// collected: the runtime gives that back only in the course of minutes. As much as it grows by is
// free after each collection.
func (h heap) spare() bool {
	return h.free >= largeHeap && h.free > h.live*(gcPercent+sparePercent)/100
}

// returnMemory gives memory back to the system that was needed for a while, until what it returns
// is called.
func returnMemory() (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		trim(ended)
	}()
	return func() {
		close(ended)
		<-done
	}
}

func trim(ended <-chan struct{}) {
	tick := time.NewTicker(memoryInterval)
	defer tick.Stop()
	before := readHeap()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		now := readHeap()
		if now.forgotten(before) {
			runtime.GC()
			now = readHeap()
		}
		if now.spare() && (now.free <= hugeHeap || runtime.GOMAXPROCS(0) > 1) {
			debug.FreeOSMemory()
			now = readHeap()
		}
		before = now
	}
}
