//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// TestRatio compares within rounds: the middle round of the second row is its dearest, but so is
// that of the first.
func TestRatio(t *testing.T) {
	reports := func(costs ...float64) (r []*bench.Report) {
		for _, c := range costs {
			r = append(r, &bench.Report{Server: &bench.ServerCost{CPUSecondsPerGbit: c}})
		}
		return r
	}
	m := measurement{results: []result{
		{reports: reports(1, 4, 2)}, {reports: reports(2, 6, 5)},
		{reports: reports(10, 10, 10), row: row{base: true}}, {reports: reports(11, 12, 10)},
	}}
	for i, want := range []spread{{1, 1, 1}, {2, 1.5, 2.5}, {1, 1, 1}, {1.1, 1, 1.2}} {
		if got := m.ratio(&m.results[i], cost); got != want {
			t.Errorf("row %d: %+v, want %+v", i, got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	good := &bench.Report{}
	doubtful := &bench.Report{Doubts: []string{"the load tool needed 0.95 of 1 cores"}}
	for _, c := range []struct {
		reports []*bench.Report
		want    []string
		invalid bool
	}{
		{[]*bench.Report{good, good}, nil, false},
		{[]*bench.Report{good, doubtful, good}, []string{"round 2: the load tool needed 0.95 of 1 cores"}, false},
		{[]*bench.Report{good, doubtful}, []string{"round 2: the load tool needed 0.95 of 1 cores"}, true},
		{[]*bench.Report{good, {Faults: bench.Faults{Backwards: 1}}}, []string{"faults: {Unreadable:0 Backwards:1 BadStarts:0 BadResumes:0}"}, false},
	} {
		if got := problems(c.reports); !slices.Equal(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
		r := result{row: row{name: "x"}, reports: c.reports}
		if got := strings.Contains(r.title(), "invalid"); got != c.invalid {
			t.Errorf("%q: %q", c.want, r.title())
		}
	}
}

// TestScenarios prints the table of each scenario with made-up figures: each row has a cell for
// each column, and names are unique.
func TestScenarios(t *testing.T) {
	names := map[string]bool{}
	for _, s := range scenarios {
		if names[s.name] || s.title == "" || (s.run == nil) != (len(s.rows) > 0 && len(s.columns) > 0) {
			t.Errorf("scenario %q", s.name)
		}
		names[s.name] = true
		if s.run != nil {
			continue
		}
		m := measurement{scenario: s, options: options{rounds: 2}}
		for _, row := range s.rows {
			q := bench.Quantiles{Count: 1, P50: 1, P99: 2, Max: 3}
			report := &bench.Report{
				Streams: 40, Players: 2, Delivered: 1, LatencyMS: q, GapMS: q, PartMS: q, StormFirstKeyMS: q,
				Server: &bench.ServerCost{CPUSecondsPerGbit: 0.1, Cores: 0.5, RSS: 50e6, RSSPerPlayer: 1000},
			}
			m.results = append(m.results, result{row: row, reports: []*bench.Report{report, report}, heaps: []float64{100, 200}})
		}
		var out strings.Builder
		m.printTable(&out)
		rows := 0
		for line := range strings.Lines(out.String()) {
			if !strings.HasPrefix(line, "|") {
				continue
			}
			rows++
			if got := strings.Count(line, "|"); got != len(s.columns)+2 {
				t.Errorf("%s: %d cells in %q", s.name, got-1, line)
			}
			if strings.Contains(line, "%!") || strings.Contains(line, "NaN") {
				t.Errorf("%s: %q", s.name, line)
			}
		}
		if rows != len(s.rows)+2 || !strings.Contains(out.String(), "make bench") {
			t.Errorf("%s:\n%s", s.name, &out)
		}
	}
}

// TestMakefile: each scenario has its target, by the name that the tables tell.
func TestMakefile(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		m := measurement{scenario: s}
		target, _, _ := strings.Cut(strings.TrimPrefix(m.repeat(), "make "), " ")
		if !strings.Contains(string(makefile), "\n"+target+": ") || !strings.Contains(string(makefile), "$(BENCHFLAGS) "+s.name+"\n") {
			t.Errorf("there is no target %s for scenario %s", target, s.name)
		}
	}
}

func TestShares(t *testing.T) {
	if got := spreadText(shares([]float64{100, 150}, 50), "%.1f"); got != "2.5 (2.0–3.0)" {
		t.Error(got)
	}
	for _, none := range [][]float64{nil, {0, 1}, shares([]float64{1}, 0)} {
		if got := spreadText(none, "%.1f"); got != "–" {
			t.Error(got)
		}
	}
}

// TestLiveHeap reads what Go's collector says.
func TestLiveHeap(t *testing.T) {
	said := `gc 1 @0.010s 2%: 0.01+0.5+0.01 ms clock, 0.01+0.1/0.2/0.3+0.01 ms cpu, 3->4->1 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 1 P
something else
gc 2 @1.010s 2%: 0.01+0.5+0.01 ms clock, 0.01+0.1/0.2/0.3+0.01 ms cpu, 30->40->17 MB, 40 MB goal, 0 MB stacks, 0 MB globals, 1 P
`
	if got := liveHeap(said); got != 17 {
		t.Error(got)
	}
	if got := liveHeap("no collector"); got != 0 {
		t.Error(got)
	}
	var o output
	long := strings.Repeat("x", maxOutput)
	for _, text := range []string{"a", long, "end"} {
		if n, err := o.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if got := o.String(); len(got) != maxOutput || !strings.HasSuffix(got, "xend") {
		t.Errorf("%d bytes", len(got))
	}
}

// TestSendQueues reads lines of /proc/net/tcp.
func TestSendQueues(t *testing.T) {
	table := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4B96 00000000:0000 0A 00000000:00000001 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:4B96 0100007F:C350 01 00001000:00000000 01:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 0100007F:4B96 0100007F:C351 01 00020000:00000000 01:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
   3: 0100007F:C350 0100007F:4B96 01 00FF0000:00001000 00:00000000 00000000     0        0 4 1 0 20 4 30 10 -1
`
	fullest, established, err := sendQueues(table, "127.0.0.1:19350")
	if fullest != 0x20000 || established != 2 || err != nil {
		t.Errorf("%d in %d connections, %v", fullest, established, err)
	}
	if _, _, err := sendQueues(strings.Replace(table, "00001000:", "0000100x:", 1), "127.0.0.1:19350"); err == nil {
		t.Error("no error")
	}
	if _, _, err := sendQueues(table, "localhost"); err == nil {
		t.Error("no error")
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
	got, err := parseWrk([]byte(text))
	if got != (answered{106051, 50487.53, 45.2}) || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := parseWrk([]byte("unable to connect")); err == nil {
		t.Error("no error")
	}
}

// TestParseH2load reads a report of h2load.
func TestParseH2load(t *testing.T) {
	const text = `TLS Protocol: TLSv1.3
Application protocol: h2

finished in 1.01s, 14458.00 req/s, 43.12MB/s
requests: 14458 total, 14466 started, 14458 done, 14458 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 14459 2xx, 0 3xx, 0 4xx, 0 5xx
`
	got, err := parseH2load([]byte(text))
	if got.requests != 14459 || got.perSecond != 14458 || !math.IsNaN(got.p99) || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"could not connect", strings.Replace(text, "0 4xx", "1 4xx", 1), strings.Replace(text, ": h2", ": http/1.1", 1)} {
		if _, err := parseH2load([]byte(bad)); err == nil {
			t.Errorf("no error of\n%s", bad)
		}
	}
}

// TestFreeAddrs leaves ports alone that somebody listens on.
func TestFreeAddrs(t *testing.T) {
	before, err := freeAddrs()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", before.apiAddr)
	if err != nil {
		return // somebody else was faster
	}
	defer l.Close()
	after, err := freeAddrs()
	if err != nil || after.rtmpAddr == before.rtmpAddr || after.apiAddr == before.apiAddr || after.filesAddr == "" {
		t.Errorf("%+v after %+v, %v", after, before, err)
	}
}

// TestOthers finds what neither the server nor the load did.
func TestOthers(t *testing.T) {
	stat := func(user, idle int) string {
		return fmt.Sprintf("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 %d 10 20 %d 999 1 2 3 50 60\ncpu1 0 0 0 1000 0 0 0 0 0 0\ncpu2 7 0 0 0 0 0 0 0 0 0\nintr 1\n", user, idle)
	}
	wanted, err := processors("0,1")
	if err != nil {
		t.Fatal(err)
	}
	begin := presence{at: time.Unix(0, 0), server: time.Second}
	end := presence{at: time.Unix(10, 0), server: 3 * time.Second}
	if begin.busy, err = busyTime(stat(100, 0), wanted); err != nil || begin.busy != 1360*time.Millisecond {
		t.Errorf("%v, %v", begin.busy, err)
	}
	if end.busy, err = busyTime(stat(1100, 5000), wanted); err != nil {
		t.Error(err)
	}
	if got := begin.others(end, 3*time.Second); got != 0.5 {
		t.Errorf("%v cores", got)
	}
	if got := begin.others(end, 9*time.Second); got != 0 {
		t.Errorf("%v cores", got)
	}
	end.deferred = 200 * time.Millisecond
	if got := begin.others(end, 3*time.Second); got != 0.48 {
		t.Errorf("%v cores without what the kernel put off", got)
	}
	for _, bad := range []string{"", "cpu0 1 2 3\n", strings.Replace(stat(1, 1), "20", "x", 1)} {
		if _, err := busyTime(bad, wanted); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	if set, err := processors("0,2-3"); err != nil || !maps.Equal(set, map[int]bool{0: true, 2: true, 3: true}) {
		t.Errorf("%v, %v", set, err)
	}
	for _, bad := range []string{"", "a", "1-x", "-1"} {
		if set, err := processors(bad); err == nil {
			t.Errorf("%q: %v", bad, set)
		}
	}
}

// TestDeferring finds the kernel's threads of some processors.
func TestDeferring(t *testing.T) {
	proc := t.TempDir()
	for pid, comm := range map[string]string{"14": "ksoftirqd/0\n", "22": "ksoftirqd/1\n", "30": "ksoftirqd/2\n", "31": "ksoftirqd/x\n", "40": "livego\n", "self": "ksoftirqd/0\n"} {
		dir := filepath.Join(proc, pid)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "comm"), []byte(comm), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if got := deferring(proc, map[int]bool{0: true, 2: true}); !slices.Equal(got, []int{14, 30}) {
		t.Errorf("got %v", got)
	}
	if got := deferring(filepath.Join(proc, "none"), map[int]bool{0: true}); got != nil {
		t.Errorf("got %v", got)
	}
}

// TestInsert puts a table in its place, again and again.
func TestInsert(t *testing.T) {
	document := "# A\n<!-- bench one -->\nold\n<!-- end -->\n<!-- bench two -->\n<!-- end -->\nB\n"
	want := "# A\n<!-- bench one -->\nold\n<!-- end -->\n<!-- bench two -->\n\n| x |\n\n<!-- end -->\nB\n"
	for range 2 {
		got, err := insert(document, "two", "\n| x |\n")
		if err != nil || got != want {
			t.Errorf("%q, %v", got, err)
		}
		document = got
	}
	if _, err := insert(document, "three", "x"); !errors.Is(err, errNoPlace) {
		t.Errorf("%v", err)
	}
}

// TestDocument has a place for the table of each scenario.
func TestDocument(t *testing.T) {
	document, err := os.ReadFile("../../BENCHMARKS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios {
		if _, err := insert(string(document), s.name, "x"); err != nil {
			t.Error(err)
		}
	}
	m := measurement{options: options{into: filepath.Join(t.TempDir(), "x.md")}, scenario: scenarios[0]}
	if err := os.WriteFile(m.into, document, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.publish(func(w io.Writer) { fmt.Fprint(w, "the table") }); err != nil {
		t.Fatal(err)
	}
	if changed, err := os.ReadFile(m.into); err != nil || !strings.Contains(string(changed), "\nthe table\n") {
		t.Errorf("%v: %s", err, changed)
	}
}
