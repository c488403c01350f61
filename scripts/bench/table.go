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

// cost is what the rows are compared by.
func (m *measurement) cost(r *bench.Report) float64 {
	if m.scenario.idle {
		return r.Server.Cores
	}
	return r.Server.CPUSecondsPerGbit
}

// ratio compares a row with the first one, round by round.
func (m *measurement) ratio(r *result) spread {
	values := r.of(m.cost)
	for i, reference := range m.results[0].of(m.cost) {
		values[i] /= reference
	}
	return spreadOf(values)
}

func (m *measurement) printTable(w io.Writer) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	unit := "CPU-s per Gbit"
	if m.scenario.idle {
		unit = "CPU cores"
	}
	fmt.Fprintf(out, "%s. Medians of %d rounds of %v (range).\n\n", m.scenario.title, m.rounds, m.duration)
	fmt.Fprintf(out, "| server | %s | ratio | latency p50, ms | latency p99, ms | memory, MB | players served |\n", unit)
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|")
	for i := range m.results {
		r := &m.results[i]
		latency := func(q func(bench.Quantiles) float64) string {
			if r.reports[0].LatencyMS.Count == 0 {
				return "–"
			}
			return spreadOf(r.of(func(b *bench.Report) float64 { return q(b.LatencyMS) })).text("%.1f")
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %.0f | %s |\n", r.row.name,
			spreadOf(r.of(m.cost)).text("%.3f"),
			m.ratio(r).text("%.2f"),
			latency(func(q bench.Quantiles) float64 { return q.P50 }),
			latency(func(q bench.Quantiles) float64 { return q.P99 }),
			spreadOf(r.of(func(b *bench.Report) float64 { return float64(b.Server.RSS) / 1e6 })).median,
			served(r.reports))
	}
	fmt.Fprintf(out, "\n%s\n", m.machine())
	for i := range m.results {
		for _, problem := range problems(m.results[i].reports) {
			fmt.Fprintf(out, "\nNot sound: %s: %s.\n", m.results[i].row.name, problem)
		}
	}
}

// served tells how many players got everything, at the least.
func served(reports []*bench.Report) string {
	if reports[0].Players == 0 {
		return "–"
	}
	least := slices.MinFunc(reports, func(a, b *bench.Report) int { return a.Delivered - b.Delivered })
	return fmt.Sprintf("%d of %d", least.Delivered, least.Players)
}

const (
	// maxOwnCPU is the share of its core above which the load tool may have been the bottleneck.
	maxOwnCPU = 0.8
	// maxPublishLate is how late messages may have been sent, in milliseconds, so that latencies mean something.
	maxPublishLate = 50
)

// problems lists what makes figures doubtful.
func problems(reports []*bench.Report) (found []string) {
	var cpu, late float64
	faults := bench.Faults{}
	for _, r := range reports {
		cpu, late = max(cpu, r.OwnCPU), max(late, r.PublishLateMS)
		faults.Add(r.Faults)
	}
	if cpu > maxOwnCPU {
		found = append(found, fmt.Sprintf("the load tool needed %.2f cores", cpu))
	}
	if late > maxPublishLate {
		found = append(found, fmt.Sprintf("the stream was published up to %.0f ms late", late))
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
	return fmt.Sprintf("Machine: %d CPUs, %s; %s; %s. Server on CPU %s, load on CPU %s, loopback, TCP %s.",
		runtime.NumCPU(), processor(), kernel(), runtime.Version(), m.serverCPU, m.loadCPU, congestion())
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
