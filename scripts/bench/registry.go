//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"livego/internal/bench"
	"livego/internal/cluster"
)

// The registry scenario runs this program a second time as a node that has streams and does nothing
// else.

const (
	// registryTime is a multiple of the time in which a node tells of all its streams again.
	registryTime = 10 * time.Second
	// segmentTime is how long the streams' segments are.
	segmentTime = 3 * time.Second
	// lookups are measured one after the other.
	lookups = 1000
)

// holdStreams is a node without media, with so many streams, until ctx ends.
func holdStreams(ctx context.Context, redisAddr string, streams int) error {
	registry, err := cluster.OpenRedis(redisAddr, "", "")
	if err != nil {
		return err
	}
	defer registry.Close()
	member := cluster.NewMember(cluster.MemberOptions{
		Registry: registry, Self: cluster.Node{ID: "bench", Boot: strconv.Itoa(os.Getpid()), Addr: "127.0.0.1:7100"}, Lost: func(string) {},
	})
	for i := range streams {
		member.Assume(registeredName(i))
		member.Begun(registeredName(i), true)
	}
	go noteSegments(ctx, member, streams)
	return member.Run(ctx)
}

// noteSegments tells of each stream that a segment begins, as often as one does. It does so in few
// steps, for the timers of this program are none of a node's.
func noteSegments(ctx context.Context, member *cluster.Member, streams int) {
	const step = 100 * time.Millisecond
	begins := time.Now()
	for next := 0; pause(ctx, step) == nil; {
		for due := int(time.Since(begins).Seconds() * float64(streams) / segmentTime.Seconds()); next < due; next++ {
			number := int64(next/streams) + 1
			begun := time.Duration(number) * segmentTime
			member.Note(registeredName(next%streams), cluster.Hand{Segment: number, Next: number, Begun: begun, Before: begun, Reach: begun, Noted: time.Now()})
		}
	}
}

func registeredName(i int) string { return fmt.Sprintf("live/stream%d", i) }

// registryResult is what the rounds brought for so many streams.
type registryResult struct {
	streams            int
	redis, node        []float64 // per cent of a core
	lookup50, lookup99 []float64 // milliseconds
}

func (m *measurement) registry(ctx context.Context) error {
	if err := installed(redisProgram); err != nil {
		return err
	}
	results := []*registryResult{{streams: 100}, {streams: 1000}, {streams: 5000}}
	for round := range m.rounds {
		for _, r := range results {
			if err := m.registryRound(ctx, r); err != nil {
				return fmt.Errorf("%d streams: %w", r.streams, err)
			}
			fmt.Fprintf(os.Stderr, "round %d/%d  %5d streams  Redis %.2f %%  node %.2f %% of a core  look-up p50 %.2f ms\n",
				round+1, m.rounds, r.streams, r.redis[round], r.node[round], r.lookup50[round])
		}
	}
	return m.publish(func(w io.Writer) { m.printRegistry(w, results) })
}

func (m *measurement) registryRound(ctx context.Context, r *registryResult) error {
	own, err := m.redisTarget()
	if err != nil {
		return err
	}
	redis, err := m.startOn(ctx, own, m.loadCPU)
	if err != nil {
		return err
	}
	defer redis.stop()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	node := exec.CommandContext(ctx, "taskset", "-c", m.serverCPU, self, "-hold", strconv.Itoa(r.streams), "-redis", m.redisAddr)
	node.Stderr = os.Stderr
	if err := node.Start(); err != nil {
		return err
	}
	defer func() { _ = node.Process.Kill(); _ = node.Wait() }() // ended on purpose
	registry, err := cluster.OpenRedis(m.redisAddr, "", "")
	if err != nil {
		return err
	}
	defer registry.Close()
	if err := awaitStreams(ctx, registry, r.streams); err != nil {
		return err
	}
	quietMonitor(node.Process.Pid)
	share := func(pid int) (func() (float64, error), error) {
		before, _, err := bench.Usage(pid)
		return func() (float64, error) {
			after, _, err := bench.Usage(pid)
			return 100 * (after - before).Seconds() / registryTime.Seconds(), err
		}, err
	}
	redisShare, redisErr := share(redis.cmd.Process.Pid)
	nodeShare, nodeErr := share(node.Process.Pid)
	if err := errors.Join(redisErr, nodeErr, pause(ctx, registryTime)); err != nil {
		return err
	}
	redisUsed, redisErr := redisShare()
	nodeUsed, nodeErr := nodeShare()
	if err := errors.Join(redisErr, nodeErr); err != nil {
		return err
	}
	r.redis, r.node = append(r.redis, redisUsed), append(r.node, nodeUsed)
	return r.look(ctx, registry)
}

// quietMonitor does to a node what livego does to itself (cmd/livego/monitor_linux.go): else half
// of what is measured is the Go runtime's monitor, the second thread of each program.
func quietMonitor(pid int) {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	monitor := 0
	for _, t := range tasks {
		if tid, err := strconv.Atoi(t.Name()); err == nil && tid > pid && (monitor == 0 || tid < monitor) {
			monitor = tid
		}
	}
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/timerslack_ns", monitor), []byte("4000000"), 0) // else it costs more
}

// awaitStreams waits until all are registered.
func awaitStreams(ctx context.Context, registry cluster.Registry, streams int) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		_, err := registry.Lookup(ctx, registeredName(streams-1))
		all, listErr := registry.Streams(ctx, streams)
		if err == nil && listErr == nil && len(all) == streams {
			return nil
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			return fmt.Errorf("the streams are not registered: %w", errors.Join(err, listErr))
		}
	}
}

// look measures look-ups.
func (r *registryResult) look(ctx context.Context, registry cluster.Registry) error {
	times := make([]float64, lookups)
	for i := range times {
		began := time.Now()
		if _, err := registry.Lookup(ctx, registeredName(i%r.streams)); err != nil {
			return err
		}
		times[i] = float64(time.Since(began)) / float64(time.Millisecond)
	}
	slices.Sort(times)
	r.lookup50, r.lookup99 = append(r.lookup50, times[len(times)/2]), append(r.lookup99, times[len(times)*99/100])
	return nil
}

func (m *measurement) printRegistry(w io.Writer, results []*registryResult) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	fmt.Fprintf(out, "%s. Medians of %d rounds of %v (range).\n\n", m.scenario.title, m.rounds, registryTime)
	fmt.Fprintln(out, "| streams | Redis, % of a core | node, % of a core | look-up p50, ms | look-up p99, ms |")
	fmt.Fprintln(out, "|---|---|---|---|---|")
	for _, r := range results {
		fmt.Fprintf(out, "| %d | %s | %s | %s | %s |\n", r.streams, spreadOf(r.redis).text("%.2f"), spreadOf(r.node).text("%.2f"),
			spreadOf(r.lookup50).text("%.2f"), spreadOf(r.lookup99).text("%.2f"))
	}
	fmt.Fprintf(out, "\n%s\n\nRepeat with `%s`.\n", m.machine(), m.repeat())
}
