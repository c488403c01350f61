package playlist

import (
	"testing"
	"time"
)

// TestWindowWaitsForTheDisk: what is to be listed from disk stays in memory until the disk has
// settled it, within bounds.
func TestWindowWaitsForTheDisk(t *testing.T) {
	var w Window
	onDisk := int64(-1)
	add := func(seq int64) {
		w.Add(&Segment{Seq: seq, Duration: time.Second, Size: 1, Complete: true}, 3, time.Second, func(seq int64) bool { return seq <= onDisk })
	}
	for seq := range int64(10) {
		add(seq)
	}
	if w.Listed != 0 || len(w.Segments) != 10 {
		t.Errorf("%d of %d segments unlisted while the disk has none", w.Listed, len(w.Segments))
	}
	onDisk = 4
	add(10)
	if first := w.Segments[w.Listed].Seq; first != 5 {
		t.Errorf("the first segment listed from memory is %d", first)
	}
	for seq := int64(11); seq < 200; seq++ {
		add(seq)
	}
	if n := len(w.Segments) - w.Listed; n != MaxListed {
		t.Errorf("a stuck disk leaves %d segments in the list", n)
	}
	onDisk = 1000
	add(200)
	if n := len(w.Segments) - w.Listed; n != 3 {
		t.Errorf("%d segments listed once the disk has all", n)
	}
}

// TestPeak: the peak bit rate is that of any contiguous set of segments that last between half and
// one and a half target durations (RFC 8216bis 4.1), so also of several that are shorter each; a
// gap ends a set.
func TestPeak(t *testing.T) {
	for _, c := range []struct {
		what     string
		segments []int // kilobytes, of a second each; negative: a gap
		want     float64
	}{
		{"one", []int{1}, 8000},
		{"short at first", []int{1, 3}, 16000},
		{"short ones", []int{1, 1, 1, 4, 4, 4, 1, 1}, 32000},
		{"two make a set", []int{1, 1, 1, 1, 9, 1, 1, 1}, 40000},
		{"a gap between", []int{1, 1, 1, 1, 9, -1, 9, 1, 1}, 40000},
	} {
		var r Rates
		for _, kilobytes := range c.segments {
			r.Note(&Segment{Size: 1000 * kilobytes, Gap: kilobytes < 0, Duration: time.Second}, 4*time.Second)
		}
		if r.Highest() != c.want || len(r.recent) > 6 {
			t.Errorf("%s: %v, want %v; %d segments kept", c.what, r.Highest(), c.want, len(r.recent))
		}
	}
}
