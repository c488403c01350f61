//go:build linux

// Command bench compares livego with other servers and with the floor, the least that such a server
// can do (floor/floor.c), and prints a table in Markdown.
//
//	go run ./scripts/bench [flags] SCENARIO
//
// The server has the first CPU for itself and the load (livego bench) the second one. All servers
// of a scenario take turns, round after round, so that whatever else goes on on the machine meets
// all of them; figures are medians over the rounds, with the range.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"livego/internal/bench"
)

// options are the flags.
type options struct {
	rounds, players    int
	livego             string
	serverCPU, loadCPU string
	duration, warmup   time.Duration
	only, into         string
	verbose, realtime  bool
	// hold is how many streams this program is to register in redis, for others to measure it.
	hold  int
	redis string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 7, "rounds")
	flag.StringVar(&o.livego, "livego", "bin/livego", "program to measure, and to make the load with")
	flag.StringVar(&o.serverCPU, "server-cpu", "0", "CPUs of the server, as for taskset")
	flag.StringVar(&o.loadCPU, "load-cpu", "1", "CPUs of the load, as for taskset")
	flag.BoolVar(&o.realtime, "realtime", false, "give server and load real-time priority, before whatever else runs (root)")
	flag.DurationVar(&o.duration, "duration", 4*time.Second, "time of one measurement")
	flag.DurationVar(&o.warmup, "warmup", 1500*time.Millisecond, "time before it, after the last player has joined")
	flag.IntVar(&o.players, "players", 0, "players in place of those of the scenario, 0: those")
	flag.StringVar(&o.only, "only", "", "measure only rows whose name has this in it, and the first one; of hls, without that")
	flag.StringVar(&o.into, "into", "", "put the table into this file too, between <!-- bench SCENARIO --> and <!-- end -->")
	flag.BoolVar(&o.verbose, "v", false, "show what the load tool and the servers say")
	flag.IntVar(&o.hold, "hold", 0, "be a node with so many streams and without media, in the Redis of -redis")
	flag.StringVar(&o.redis, "redis", "", "address of that Redis")
	flag.Usage = usage
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.hold > 0 {
		if err := holdStreams(ctx, o.redis, o.hold); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		return
	}
	if err := run(ctx, o, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// usage names the scenarios and the flags.
func usage() {
	fmt.Fprintln(os.Stderr, "usage: bench [flags] SCENARIO")
	for _, s := range scenarios {
		fmt.Fprintf(os.Stderr, "  %-8s %s\n", s.name, s.title)
	}
	flag.PrintDefaults()
}

func run(ctx context.Context, o options, name string) error {
	for _, s := range scenarios {
		if s.name != name {
			continue
		}
		dir, err := os.MkdirTemp("", "livego-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if o.livego, err = filepath.Abs(o.livego); err != nil {
			return err
		}
		if err := raiseFileLimit(); err != nil {
			return err
		}
		m := measurement{options: o, scenario: s, dir: dir}
		if m.addrs, err = freeAddrs(); err != nil {
			return err
		}
		if s.run != nil {
			return s.run(&m, ctx)
		}
		return m.run(ctx)
	}
	return fmt.Errorf("no scenario %q; see -help", name)
}

// raiseFileLimit lets the servers have as many connections as this user may open files. A child
// gets the limit only if it is set here.
func raiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// measurement is one run of a scenario.
type measurement struct {
	options
	addrs
	scenario scenario
	dir      string
	results  []result // by row
	// others is the most that other programs took of the same CPUs, in cores.
	others float64
}

// result is what the rounds brought for a row.
type result struct {
	row     row
	reports []*bench.Report
	heaps   []float64 // live heap at the end, in MB, 0 if not known
	// upstream are the requests that a stream's home got for each part that it made.
	upstream []float64
}

func (m *measurement) run(ctx context.Context) error {
	if err := m.chooseRows(ctx); err != nil {
		return err
	}
	start := time.Now()
	for round := range m.rounds {
		for i := range m.results {
			r := &m.results[i]
			report, err := m.measure(ctx, r)
			if err != nil {
				return fmt.Errorf("%s: %w", r.row.name, err)
			}
			fmt.Fprintf(os.Stderr, "%4.0fs  round %d/%d  %-36s %s\n", time.Since(start).Seconds(), round+1, m.rounds, r.row.name, brief(report))
		}
	}
	return m.publish(m.printTable)
}

// chooseRows leaves out what is not wanted, and servers that are not installed. Bases stay, for
// others are compared with them.
func (m *measurement) chooseRows(ctx context.Context) error {
	for i, r := range m.scenario.rows {
		if i > 0 && !r.base && m.only != "" && !strings.Contains(r.name, m.only) {
			continue
		}
		if err := r.kind.prepare(ctx, m); err != nil {
			if errors.Is(err, errNotInstalled) {
				fmt.Fprintf(os.Stderr, "%s: left out, %v\n", r.name, err)
				continue
			}
			return err
		}
		m.results = append(m.results, result{row: r})
	}
	return nil
}

// measure starts the server of a row, puts the load on it, ends it, and notes what it saw.
func (m *measurement) measure(ctx context.Context, r *result) (*bench.Report, error) {
	target, err := r.row.kind.command(m, r.row.args)
	if err != nil {
		return nil, err
	}
	var running []*process
	for _, t := range target.beside {
		other, err := m.startOn(ctx, t, m.loadCPU)
		if err != nil {
			return nil, err
		}
		defer other.stop()
		running = append(running, other)
	}
	server, err := m.start(ctx, target)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	asked, err := target.askedAtHome(ctx)
	if err != nil {
		return nil, err
	}
	end := target.beginMeanwhile(ctx)
	report, err := m.load(ctx, r.row, target, append(running, server))
	end()
	if err != nil {
		return nil, err
	}
	if target.sound != nil {
		if err := target.sound(ctx); err != nil {
			return nil, fmt.Errorf("not what was to be measured: %w\n%s", err, server.said)
		}
	}
	askedAfter, err := target.askedAtHome(ctx)
	if err != nil {
		return nil, err
	}
	r.reports, r.heaps = append(r.reports, report), append(r.heaps, liveHeap(server.said.String()))
	r.upstream = append(r.upstream, askedAfter.perPart(asked))
	return report, nil
}

// beginMeanwhile starts what runs beside the load; end ends it and waits.
func (t *target) beginMeanwhile(ctx context.Context) (end func()) {
	if t.meanwhile == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.meanwhile(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// load puts the load on the last one of the servers that run.
func (m *measurement) load(ctx context.Context, r row, target *target, servers []*process) (*bench.Report, error) {
	args := []string{"bench", "--json", "--duration", m.duration.String(), "--warmup", m.warmup.String(), "--join-rate", "1000"}
	for _, pid := range servers[len(servers)-1].pids() {
		args = append(args, "--pid", strconv.Itoa(pid))
	}
	args = slices.Concat(args, target.load, m.scenario.load, r.load)
	if m.players > 0 {
		args = append(args, "--players", strconv.Itoa(m.players))
	}
	load := m.pinned(ctx, m.loadCPU, append([]string{m.livego}, args...)...)
	load.Dir = m.dir
	var out, said bytes.Buffer
	load.Stdout, load.Stderr = &out, &said
	if m.verbose {
		load.Stderr = os.Stderr
	}
	before, err := m.look(servers)
	if err != nil {
		return nil, err
	}
	if err := load.Run(); err != nil {
		return nil, fmt.Errorf("load: %w\n%s", err, said.String())
	}
	after, err := m.look(servers)
	if err != nil {
		return nil, err
	}
	report := &bench.Report{}
	if err := json.Unmarshal(out.Bytes(), report); err != nil {
		return nil, err
	}
	others := before.others(after, load.ProcessState.UserTime()+load.ProcessState.SystemTime())
	m.others = max(m.others, others)
	if others > maxOthers && !m.realtime {
		report.Doubts = append(report.Doubts, fmt.Sprintf("other programs needed %.2f cores of the same CPUs", others))
	}
	return report, nil
}

// liveHeap reads what the garbage collector said last (GODEBUG=gctrace=1): sizes before, at the
// end, and of what lives, in MB.
func liveHeap(said string) float64 {
	found := heapSizes.FindAllStringSubmatch(said, -1)
	if found == nil {
		return 0
	}
	live, err := strconv.ParseFloat(found[len(found)-1][1], 64)
	if err != nil {
		return 0
	}
	return live
}

var heapSizes = regexp.MustCompile(`\d+->\d+->(\d+) MB`)

// output collects what a server says, up to a bound, while it may be read.
type output struct {
	mu   sync.Mutex
	text []byte
}

// maxOutput bounds what of a server's words is kept: the last ones.
const maxOutput = 1 << 20

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	o.text = o.text[max(0, len(o.text)-maxOutput):]
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// process is a running server.
type process struct {
	cmd  *exec.Cmd
	said *output
	done chan error
}

// pids are the process and its children.
func (p *process) pids() []int {
	pids := []int{p.cmd.Process.Pid}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		stat, _ := os.ReadFile(file) // a process may have ended meanwhile
		// pid (name) state parent: the name may hold anything.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(pids[0]) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// pinned is a program on a CPU, which with realtime it has for itself when it needs it.
func (m *measurement) pinned(ctx context.Context, cpu string, command ...string) *exec.Cmd {
	before := []string{"taskset", "-c", cpu}
	if m.realtime {
		before = append([]string{"chrt", "-f", "1"}, before...)
	}
	before = append(before, command...)
	return exec.CommandContext(ctx, before[0], before[1:]...)
}

// start runs a server on its CPU until its ports are open.
func (m *measurement) start(ctx context.Context, t *target) (*process, error) {
	return m.startOn(ctx, t, m.serverCPU)
}

func (m *measurement) startOn(ctx context.Context, t *target, cpu string) (*process, error) {
	cmd := m.pinned(ctx, cpu, t.command...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "GODEBUG=gctrace=1")
	p := &process{cmd: cmd, said: &output{}, done: make(chan error, 1)}
	cmd.Stderr = p.said
	if m.verbose {
		cmd.Stderr = io.MultiWriter(p.said, os.Stderr)
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.done <- cmd.Wait() }()
	for _, addr := range t.listens {
		if err := p.awaitListener(ctx, addr); err != nil {
			p.stop()
			return nil, fmt.Errorf("%w\n%s", err, p.said)
		}
	}
	return p, nil
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // where it has ended already, done tells
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}
