//go:build linux

package main

import (
	"fmt"
	"slices"

	"livego/internal/bench"
)

// column is one of the table's.
type column struct {
	title string
	cell  func(*measurement, *result) string
}

// figure is a column of medians and ranges.
func figure(title, format string, of func(*bench.Report) float64) column {
	return column{title, func(_ *measurement, r *result) string { return spreadOf(r.of(of)).text(format) }}
}

// quantile is a column of times that nobody measured in some rows.
func quantile(title string, times func(*bench.Report) bench.Quantiles, of func(bench.Quantiles) float64) column {
	return column{title, func(_ *measurement, r *result) string {
		if times(r.reports[0]).Count == 0 {
			return "–"
		}
		return spreadOf(r.of(func(b *bench.Report) float64 { return of(times(b)) })).text("%.1f")
	}}
}

func latency(r *bench.Report) bench.Quantiles   { return r.LatencyMS }
func gap(r *bench.Report) bench.Quantiles       { return r.GapMS }
func partDelay(r *bench.Report) bench.Quantiles { return r.PartMS }
func stormKey(r *bench.Report) bench.Quantiles  { return r.StormFirstKeyMS }

func p50(q bench.Quantiles) float64  { return q.P50 }
func p99(q bench.Quantiles) float64  { return q.P99 }
func most(q bench.Quantiles) float64 { return q.Max }

func cost(r *bench.Report) float64   { return r.Server.CPUSecondsPerGbit }
func cores(r *bench.Report) float64  { return r.Server.Cores }
func memory(r *bench.Report) float64 { return float64(r.Server.RSS) / 1e6 }

// ratio compares a figure with that of the row's base, round by round.
func ratio(of func(*bench.Report) float64) func(*measurement, *result) string {
	return func(m *measurement, r *result) string { return m.ratio(r, of).text("%.2f") }
}

var (
	costColumn        = figure("CPU-s per Gbit", "%.3f", cost)
	ratioColumn       = column{"ratio", ratio(cost)}
	coresColumn       = figure("CPU cores", "%.3f", cores)
	coresRatioColumn  = column{"ratio", ratio(cores)}
	rateColumn        = figure("Gbit/s", "%.2f", func(r *bench.Report) float64 { return r.GbitPerSecond })
	latency50Column   = quantile("latency p50, ms", latency, p50)
	latency99Column   = quantile("latency p99, ms", latency, p99)
	latencyMaxColumn  = quantile("latency max, ms", latency, most)
	gapMaxColumn      = quantile("longest wait for a picture, ms", gap, most)
	part50Column      = quantile("part p50, ms", partDelay, p50)
	part99Column      = quantile("part p99, ms", partDelay, p99)
	stormKey50Column  = quantile("first key frame p50, ms", stormKey, p50)
	stormKey99Column  = quantile("first key frame p99, ms", stormKey, p99)
	memoryColumn      = figure("memory, MB", "%.0f", memory)
	perPlayerColumn   = figure("memory per player, kB", "%.1f", func(r *bench.Report) float64 { return r.Server.RSSPerPlayer / 1e3 })
	servedColumn      = column{"players served", served}
	starvedColumn     = figure("starved players", "%.0f", func(r *bench.Report) float64 { return float64(r.Starved) })
	stormColumn       = figure("of the 1,000 connected", "%.0f", func(r *bench.Report) float64 { return float64(r.StormConnected) })
	heapColumn        = column{"live heap, MB", func(_ *measurement, r *result) string { return spreadText(r.heaps, "%.0f") }}
	heldColumn        = column{"media held, MB", func(_ *measurement, r *result) string { return orDash(r.held(), "%.0f") }}
	heapShareColumn   = column{"live heap / media", func(_ *measurement, r *result) string { return spreadText(shares(r.heaps, r.held()), "%.2f") }}
	memoryShareColumn = column{"memory / media", func(_ *measurement, r *result) string { return spreadText(shares(r.of(memory), r.held()), "%.2f") }}
)

// held is the media that a server holds, in MB.
func (r *result) held() float64 {
	return r.row.held * streamRate * float64(r.reports[0].Streams) / 1e6
}

func shares(values []float64, of float64) []float64 {
	if of == 0 {
		return nil
	}
	parts := make([]float64, len(values))
	for i, v := range values {
		parts[i] = v / of
	}
	return parts
}

// spreadText leaves out what was not measured in each round.
func spreadText(values []float64, format string) string {
	if len(values) == 0 || slices.Contains(values, 0) {
		return "–"
	}
	return spreadOf(values).text(format)
}

func orDash(v float64, format string) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}

// served tells how many players got everything, at the least.
func served(_ *measurement, r *result) string {
	if r.reports[0].Players == 0 {
		return "–"
	}
	least := slices.MinFunc(r.reports, func(a, b *bench.Report) int { return a.Delivered - b.Delivered })
	return fmt.Sprintf("%d of %d", least.Delivered, least.Players)
}
