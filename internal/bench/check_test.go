package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"livego/internal/flv"
)

// picture makes a stamped picture of the built-in clip.
func picture(t *testing.T, key bool, number uint32) []byte {
	t.Helper()
	body := []byte{0x27, 1, 0, 0, 0}
	if key {
		body[0] = 0x17
	}
	body, digits := appendStamp(body, []byte{nalSEI})
	writeStamp(body[digits:], time.Now(), number)
	return appendNAL(body, []byte{0x41, 0x9A, 1, 2})
}

func TestChecker(t *testing.T) {
	type step struct {
		key    bool
		number uint32
		at     uint32
	}
	for name, c := range map[string]struct {
		steps       []step
		want        Faults
		jumps, lost uint64
	}{
		"in order":              {steps: []step{{true, 60, 2000}, {false, 61, 2033}, {false, 62, 2066}}},
		"no key frame first":    {steps: []step{{false, 61, 0}, {false, 62, 33}}, want: Faults{BadStarts: 1}},
		"jump to a key frame":   {steps: []step{{true, 0, 0}, {false, 1, 33}, {true, 60, 2000}}, jumps: 1, lost: 58},
		"jump elsewhere":        {steps: []step{{true, 0, 0}, {false, 5, 166}, {false, 6, 200}}, jumps: 1, lost: 4, want: Faults{BadResumes: 1}},
		"picture repeated":      {steps: []step{{true, 0, 0}, {false, 1, 33}, {false, 1, 33}}, want: Faults{Backwards: 1}},
		"time goes back":        {steps: []step{{true, 0, 33}, {false, 1, 32}}, want: Faults{Backwards: 1}},
		"time wraps":            {steps: []step{{true, 0, 1<<32 - 10}, {false, 1, 23}}},
		"number wraps":          {steps: []step{{true, 1<<32 - 1, 0}, {false, 0, 33}}},
		"publisher is replaced": {steps: []step{{true, 100, 0}, {true, 0, 33}, {false, 1, 66}}, want: Faults{Backwards: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			found := newFindings()
			checker := checker{out: found, dialed: time.Now()}
			clip, err := builtIn(452_000, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range clip.headers {
				checker.message(flv.Tag{Type: h.kind, TimestampMS: c.steps[0].at, Body: h.body})
			}
			for _, s := range c.steps {
				checker.message(flv.Tag{Type: flv.TypeVideo, TimestampMS: s.at, Body: picture(t, s.key, s.number)})
			}
			report := &Report{}
			found.describe(report)
			if report.Faults != c.want || report.Jumps != c.jumps || report.LostPictures != c.lost {
				t.Errorf("%+v, %d jumps over %d; want %+v, %d over %d",
					report.Faults, report.Jumps, report.LostPictures, c.want, c.jumps, c.lost)
			}
			if int(report.LatencyMS.Count) != len(c.steps) {
				t.Errorf("%d latencies of %d pictures", report.LatencyMS.Count, len(c.steps))
			}
		})
	}
}

func TestCheckerCountsUnreadable(t *testing.T) {
	found := newFindings()
	c := checker{out: found}
	c.message(flv.Tag{Type: flv.TypeVideo, Body: []byte{0x17}})
	if found.Unreadable != 1 {
		t.Errorf("%+v", found.Faults)
	}
}

// TestHistogram compares with sorting: no quantile is off by more than the width of a bucket.
func TestHistogram(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var h histogram
	times := make([]time.Duration, 10_000)
	for i := range times {
		times[i] = time.Duration(r.ExpFloat64() * float64(20*time.Millisecond))
		h.add(times[i])
	}
	slices.Sort(times)
	for _, share := range []float64{0, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
		want := times[min(int(share*float64(len(times))), len(times)-1)]
		got := h.quantile(share)
		if diff := (got - want).Abs(); diff > want/50+time.Microsecond {
			t.Errorf("quantile %v is %v, want %v", share, got, want)
		}
	}
	if q := h.quantiles(); q.Count != 10_000 || q.Max != milliseconds(times[len(times)-1]) {
		t.Errorf("%+v", q)
	}
}

// TestBuckets walks over powers of two: buckets are in order, and each time is at most the upper
// end of its bucket.
func TestBuckets(t *testing.T) {
	before := -1
	for us := uint64(0); us < 1<<40; us += us/100 + 1 {
		b := bucket(us)
		if b < before || b >= buckets {
			t.Fatalf("%d is in bucket %d after %d", us, b, before)
		}
		before = b
		if top := uint64(upper(b) / time.Microsecond); top < us || top > us+us/32 {
			t.Fatalf("%d is in bucket %d, which ends at %d", us, b, top)
		}
	}
	var h histogram
	h.add(-time.Second)
	h.add(time.Duration(1<<63 - 1))
	if h.counts[0] != 1 || h.n != 2 {
		t.Error("times below 0 and beyond all bounds are not counted")
	}
}

func TestHistogramAllocatesNothing(t *testing.T) {
	h := newFindings()
	if n := testing.AllocsPerRun(100, func() { h.delay(time.Millisecond) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
