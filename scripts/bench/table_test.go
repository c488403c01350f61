//go:build linux

package main

import (
	"strings"
	"testing"

	"livego/internal/bench"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{9, 1, 2}, spread{2, 1, 9}},
		{[]float64{4, 1, 2, 9}, spread{3, 1, 9}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.values, got, c.want)
		}
	}
	if got := (spread{1, 0.5, 2}).text("%.2f"); got != "1.00 (0.50–2.00)" {
		t.Error(got)
	}
}

// TestRatio compares within rounds: the middle round of the second row is its dearest, but so is that of the first.
func TestRatio(t *testing.T) {
	reports := func(costs ...float64) (r []*bench.Report) {
		for _, c := range costs {
			r = append(r, &bench.Report{Server: &bench.ServerCost{CPUSecondsPerGbit: c}})
		}
		return r
	}
	m := measurement{results: []result{{reports: reports(1, 4, 2)}, {reports: reports(2, 6, 5)}}}
	if got := m.ratio(&m.results[1]); got != (spread{2, 1.5, 2.5}) {
		t.Errorf("%+v", got)
	}
}

func TestProblems(t *testing.T) {
	good := &bench.Report{OwnCPU: 0.2, PublishLateMS: 5}
	if got := problems([]*bench.Report{good, good}); got != nil {
		t.Errorf("%q", got)
	}
	for want, bad := range map[string]*bench.Report{
		"load tool": {OwnCPU: 0.9}, "late": {PublishLateMS: 100}, "faults": {Faults: bench.Faults{Backwards: 1}},
	} {
		if got := problems([]*bench.Report{good, bad}); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: %q", want, got)
		}
	}
}

// TestParseWrk reads the report of wrk 4.1.
func TestParseWrk(t *testing.T) {
	text := `Running 2s test @ http://127.0.0.1:19354/p.m3u8
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.15ms    7.91ms 103.93ms   98.15%
    Req/Sec    50.67k     6.79k   58.85k    85.71%
  Latency Distribution
     50%    1.07ms
     75%    1.26ms
     90%    1.75ms
     99%   45.20ms
  106051 requests in 2.10s, 54.51MB read
Requests/sec:  50487.53
Transfer/sec:     25.95MB
`
	requests, perSecond, p99, err := parseWrk([]byte(text))
	if requests != 106051 || perSecond != 50487.53 || p99 != 45.2 || err != nil {
		t.Errorf("%v, %v, %v, %v", requests, perSecond, p99, err)
	}
	if _, _, _, err := parseWrk([]byte("unable to connect")); err == nil {
		t.Error("no error")
	}
}
