// Command simulate lets many nodes share a registry, without media: what nodes ask of it when
// streams begin, viewers come and go, and nodes die. Nodes are those of internal/cluster; the
// registry is Redis, or miniredis in this process.
//
//	go run ./scripts/simulate [flags]
//
// It prints a line of a table in Markdown for each row: -rows picks some.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/alicebob/miniredis/v2"

	"livego/internal/redisconn"
)

// row is one simulation.
type row struct {
	name           string
	nodes, streams int
	// joins come in a second, and stay for about a minute.
	joins int
	// uneven: half of the joins come to one node in ten, as by a load balancer that knows nothing.
	uneven bool
	// deaths is how often a node dies, 0: never.
	deaths time.Duration
}

// rows grow in one direction each. The largest is ten million joins in an hour.
func rows() []row {
	const hour = 3600
	return []row{
		{name: "small", nodes: 3, streams: 100, joins: 10_000 / 60},
		{name: "nodes", nodes: 30, streams: 1000, joins: 1_000_000 / hour},
		{name: "streams", nodes: 30, streams: 10_000, joins: 1_000_000 / hour},
		{name: "losses", nodes: 10, streams: 300, joins: 10_000 / 60, deaths: 4 * time.Second},
		{name: "joins", nodes: 30, streams: 1000, joins: 10_000_000 / hour},
		{name: "large", nodes: 100, streams: 100_000, joins: 10_000_000 / hour},
		{name: "uneven", nodes: 100, streams: 100_000, joins: 10_000_000 / hour, uneven: true},
		{name: "deaths", nodes: 100, streams: 100_000, joins: 10_000_000 / hour, deaths: 10 * time.Second},
	}
}

// options are the flags.
type options struct {
	redis    string
	rows     string
	duration time.Duration
	capacity int
}

func main() {
	var o options
	flag.StringVar(&o.redis, "redis", "", "address of a Redis, all of whose data is thrown away; empty: miniredis, in this process")
	flag.StringVar(&o.rows, "rows", "", "names of rows with commas between them; empty: all")
	flag.DurationVar(&o.duration, "duration", time.Minute, "time that a row takes, at real rates")
	flag.IntVar(&o.capacity, "capacity", 3000, "viewers that a node takes before it sends more to others")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.TabIndent)
	fmt.Fprintln(table, "| row | nodes | streams | joins/s | watched now | look-ups/s at nodes | of them Redis was asked | claims/s | redirects/s | changes told/s | calls of Redis/s | look-up p50, p99, ms | new home after a death: p50, worst, s |")
	fmt.Fprintln(table, "|---"+strings.Repeat("|---", 12)+"|")
	for _, r := range rows() {
		if o.rows != "" && !strings.Contains(","+o.rows+",", ","+r.name+",") {
			continue
		}
		s, err := simulate(ctx, o, r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		fmt.Fprintln(table, s.line(r))
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// simulate runs one row.
func simulate(ctx context.Context, o options, r row) (*sums, error) {
	address := o.redis
	if address == "" {
		m := miniredis.NewMiniRedis()
		if err := m.Start(); err != nil {
			return nil, err
		}
		defer m.Close()
		address = m.Addr()
		defer expire(m)()
	}
	if err := empty(ctx, address); err != nil {
		return nil, err
	}
	w := newWorld(r, address, o.capacity)
	if err := w.begin(ctx); err != nil {
		return nil, err
	}
	defer w.end()
	// The first joins find nothing known anywhere. They are not counted.
	w.play(ctx, min(o.duration/2, viewing))
	before := w.sums.read()
	began := time.Now()
	w.play(ctx, o.duration)
	return w.sums.since(before, time.Since(began)), ctx.Err()
}

// empty throws all away that is in a Redis.
func empty(ctx context.Context, address string) error {
	client, err := redisconn.Open(address, "")
	if err != nil {
		return err
	}
	defer client.Close()
	return client.FlushAll(ctx).Err()
}

// expire lets time pass in miniredis, which has none of its own, until it is called off.
func expire(m *miniredis.Miniredis) (stop func()) {
	const step = 100 * time.Millisecond
	done, tick := make(chan struct{}), time.NewTicker(step)
	go func() {
		for last := time.Now(); ; {
			select {
			case now := <-tick.C:
				m.FastForward(now.Sub(last))
				last = now
			case <-done:
				return
			}
		}
	}()
	return func() { tick.Stop(); close(done) }
}
