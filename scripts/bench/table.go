//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"livego/internal/bench"
)

// spread is a median with the range around it.
type spread struct{ median, low, high float64 }

func spreadOf(values []float64) spread {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return spread{median: (s[(n-1)/2] + s[n/2]) / 2, low: s[0], high: s[n-1]}
}

func (s spread) text(format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", s.median, s.low, s.high)
}

// of collects a figure over the rounds.
func (r *result) of(figure func(*bench.Report) float64) []float64 {
	values := make([]float64, len(r.reports))
	for i, report := range r.reports {
		values[i] = figure(report)
	}
	return values
}

// ratio compares a figure of a row with that of its base, round by round.
func (m *measurement) ratio(r *result, of func(*bench.Report) float64) spread {
	values := r.of(of)
	for i, reference := range m.base(r).of(of) {
		values[i] /= reference
	}
	return spreadOf(values)
}

// base returns the row that a row is compared with: the last one before it that is a base, or the
// first one.
func (m *measurement) base(r *result) *result {
	base := &m.results[0]
	for i := range m.results {
		if m.results[i].row.base {
			base = &m.results[i]
		}
		if &m.results[i] == r {
			break
		}
	}
	return base
}

func (m *measurement) printTable(w io.Writer) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	fmt.Fprintf(out, "%s. Medians of %d rounds of %v (range).\n\n| server |", m.scenario.title, m.rounds, m.duration)
	for _, c := range m.scenario.columns {
		fmt.Fprintf(out, " %s |", c.title)
	}
	fmt.Fprintf(out, "\n|---|%s\n", strings.Repeat("---|", len(m.scenario.columns)))
	for i := range m.results {
		r := &m.results[i]
		fmt.Fprintf(out, "| %s |", r.title())
		for _, c := range m.scenario.columns {
			fmt.Fprintf(out, " %s |", c.cell(m, r))
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "\n%s\n\nRepeat with `%s`.\n", m.machine(), m.repeat())
	for i := range m.results {
		for _, problem := range problems(m.results[i].reports) {
			fmt.Fprintf(out, "\nNot sound: %s: %s.\n", m.results[i].row.name, problem)
		}
	}
}

// title is the row's name, with a warning if the load tool was the bottleneck in half of the rounds
// or more.
func (r *result) title() string {
	doubtful := 0
	for _, report := range r.reports {
		if len(report.Doubts) > 0 {
			doubtful++
		}
	}
	if 2*doubtful >= len(r.reports) {
		return r.row.name + " (**invalid**, see below)"
	}
	return r.row.name
}

// repeat is the command that makes the table.
func (m *measurement) repeat() string {
	target := "make bench"
	if m.scenario.name != "fanout" {
		target += "-" + m.scenario.name
	}
	target = fmt.Sprintf("%s ROUNDS=%d", target, m.rounds)
	var flags []string
	if m.realtime {
		flags = append(flags, "-realtime")
	}
	if m.players > 0 {
		flags = append(flags, fmt.Sprint("-players ", m.players))
	}
	if flags == nil {
		return target
	}
	return fmt.Sprintf("%s BENCHFLAGS=%q", target, strings.Join(flags, " "))
}

// problems lists what makes figures doubtful.
func problems(reports []*bench.Report) (found []string) {
	faults := bench.Faults{}
	for round, r := range reports {
		for _, doubt := range r.Doubts {
			found = append(found, fmt.Sprintf("round %d: %s", round+1, doubt))
		}
		faults.Add(r.Faults)
	}
	if faults != (bench.Faults{}) {
		found = append(found, fmt.Sprintf("faults: %+v", faults))
	}
	return found
}

// brief is a report in one line.
func brief(r *bench.Report) string {
	return fmt.Sprintf("%.4f s/Gbit  %.3f cores  p50 %.1f  p99 %.1f ms  %.0f MB  %d/%d players  (load: %.2f cores, %.0f ms late)",
		r.Server.CPUSecondsPerGbit, r.Server.Cores, r.LatencyMS.P50, r.LatencyMS.P99, float64(r.Server.RSS)/1e6, r.Delivered, r.Players,
		r.OwnCPU, r.PublishLateMS)
}

// machine describes where the figures come from.
func (m *measurement) machine() string {
	text := fmt.Sprintf("Machine: %d CPUs, %s; %s; %s. Server on CPU %s, load on CPU %s, loopback, TCP %s.",
		runtime.NumCPU(), processor(), kernel(), runtime.Version(), m.serverCPU, m.loadCPU, congestion())
	if m.realtime {
		text += fmt.Sprintf(" Both had real-time priority; other programs needed up to %.1f cores beside them.", m.others)
	}
	return text
}

func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return runtime.GOOS
	}
	var release []byte
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		release = append(release, byte(c))
	}
	return "Linux " + string(release)
}

// congestion returns what TCP uses against congestion, which has an effect on latencies.
func congestion() string {
	name, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil {
		return "of this system"
	}
	return strings.TrimSpace(string(name))
}
