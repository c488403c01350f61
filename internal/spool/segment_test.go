package spool

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestList holds a list against a slice, and copies of it against what they were when they were
// made.
func TestList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l list
		var model []int64
		type copied struct {
			list  list
			model []int64
		}
		var copies []copied
		next := rapid.Int64Range(0, 1000).Draw(t, "first")
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			n := rapid.IntRange(1, 3*chunkLength).Draw(t, "n")
			switch rapid.IntRange(0, 2).Draw(t, "op") {
			case 0:
				if l.len() == 0 {
					next += 500
				}
				for range n {
					l.push(Segment{Seq: next})
					model = append(model, next)
					next++
				}
			case 1:
				for range min(n, len(model)) {
					l.pop()
					model = model[1:]
				}
			case 2:
				copies = append(copies, copied{l, slices.Clone(model)})
			}
			copies = append(copies[:max(0, len(copies)-10):max(0, len(copies)-10)], copies[max(0, len(copies)-10):]...)
			for _, c := range append(slices.Clone(copies), copied{l, model}) {
				equal(t, &c.list, c.model)
			}
		}
	})
}

func equal(t *rapid.T, l *list, model []int64) {
	if int(l.len()) != len(model) {
		t.Fatalf("%d segments, want %d", l.len(), len(model))
	}
	for _, seq := range model {
		if e := l.at(seq); e == nil || e.Seq != seq {
			t.Fatalf("segment %d: %+v", seq, e)
		}
	}
	if l.at(l.first-1) != nil || l.at(l.end) != nil {
		t.Fatal("there are segments outside of the list")
	}
}

func TestFollowing(t *testing.T) {
	e := seg(10)
	e.Discontinuity, e.DiscontinuitySeq, e.Size, e.Dates = true, 3, 100, "x"
	want := Segment{Seq: 11, Start: e.Start + e.Duration, Duration: e.Duration, At: e.At + int64(e.Duration), Init: e.Init, DiscontinuitySeq: 4, Gap: true}
	wantEqual(t, "following", e.following(), want)
	e.At = 0
	wantEqual(t, "clock that nobody knows", e.following().At, 0)
}
