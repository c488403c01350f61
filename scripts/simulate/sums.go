package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// counters count what happens.
type counters struct {
	joins, lookups, asked, claims, redirects, told, calls atomic.Int64

	mu    sync.Mutex
	waits []time.Duration // of look-ups for which Redis was asked
	homes []time.Duration // from a node's death to the next home of one of its streams
	lost  int             // streams that found no home
	now   int             // (node, stream) that are watched
}

// sums are what was counted in a time.
type sums struct {
	joins, lookups, asked, claims, redirects, told, calls int64
	waits, homes                                          []time.Duration
	lost, now                                             int
	passed                                                time.Duration
}

func (c *counters) wait(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits = append(c.waits, d)
}

func (c *counters) home(d time.Duration, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !found {
		c.lost++
		return
	}
	c.homes = append(c.homes, d)
}

func (c *counters) watched(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = n
}

func (c *counters) read() sums {
	c.mu.Lock()
	defer c.mu.Unlock()
	return sums{
		joins: c.joins.Load(), lookups: c.lookups.Load(), asked: c.asked.Load(), claims: c.claims.Load(), redirects: c.redirects.Load(),
		told: c.told.Load(), calls: c.calls.Load(), waits: c.waits, homes: c.homes, lost: c.lost, now: c.now,
	}
}

// since is what came after a look before.
func (c *counters) since(before sums, passed time.Duration) *sums {
	s := c.read()
	s.joins -= before.joins
	s.lookups -= before.lookups
	s.asked -= before.asked
	s.claims -= before.claims
	s.redirects -= before.redirects
	s.told -= before.told
	s.calls -= before.calls
	s.waits, s.homes = s.waits[len(before.waits):], s.homes[len(before.homes):]
	s.lost -= before.lost
	s.passed = passed
	return &s
}

// line is a line of the table.
func (s *sums) line(r row) string {
	rate := func(n int64) string { return fmt.Sprintf("%.0f", float64(n)/s.passed.Seconds()) }
	share := 0.0
	if s.lookups > 0 {
		share = 100 * float64(s.asked) / float64(s.lookups)
	}
	homes := "–"
	if len(s.homes)+s.lost > 0 {
		homes = fmt.Sprintf("%.1f, %.1f (%d streams, %d lost)", quantile(s.homes, 0.5).Seconds(), quantile(s.homes, 1).Seconds(), len(s.homes), s.lost)
	}
	name := r.name
	if float64(s.joins) < 0.9*float64(r.joins)*s.passed.Seconds() {
		name += " (**invalid**: this machine is too busy)"
	}
	return fmt.Sprintf("| %s | %d | %d | %s | %d | %s | %s/s, %.1f %% | %s | %s | %s | %s | %.1f, %.1f | %s |",
		name, r.nodes, r.streams, rate(s.joins), s.now, rate(s.lookups), rate(s.asked), share, rate(s.claims), rate(s.redirects), rate(s.told), rate(s.calls),
		milliseconds(quantile(s.waits, 0.5)), milliseconds(quantile(s.waits, 0.99)), homes)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[int(q*float64(len(sorted)-1))]
}
