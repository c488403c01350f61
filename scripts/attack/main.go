//go:build linux

// Command attack does to a server of its own on this machine what strangers and bad luck do to
// servers, and says whether the bounds held.
//
//	LIVEGO_BIN=bin/livego go run ./scripts/attack [-list] [-table] [NAME…]
//
// Each attack starts a server on free loopback ports, is bounded in number and time, and takes 15
// seconds, where memory has to come back a minute. The exit code is 1 if a bound did not hold.
// Where viewers watch meanwhile, others watch a server like it that nobody attacks, and the time
// for which the server's threads waited for a processor is left out: so what is said holds on a
// busy machine too. -table prints the rows of the table in SECURITY.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// attack is one thing to do to a server.
type attack struct {
	name string
	// flags are the server's, besides its addresses.
	flags []string
	// prepare, if set, returns the text of its configuration file. dir is where it runs.
	prepare func(dir string) (config string, err error)
	// unread: nobody reads what the server logs.
	unread bool
	// compared: a second server like it runs beside it, which nobody attacks.
	compared bool
	// files is how many files and connections the server may have open, 0: as many as this program.
	files int
	// run attacks a server that listens, and reports what was done and what came of it. An error
	// means that the attack itself failed.
	run func(ctx context.Context, s *server, r *report) error
}

// attacks are all of them, in the order in which they run: one file of this package for each part
// of the server.
func attacks() []attack { return slices.Concat(httpAttacks(), rtmpAttacks(), accessAttacks()) }

// limit is how long an attack may take, with the start and the end of its server.
const limit = 90 * time.Second

var errBounds = errors.New("not all bounds held")

func main() {
	list := flag.Bool("list", false, "name the attacks")
	table := flag.Bool("table", false, "print rows of a table in Markdown")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *list {
		for _, a := range attacks() {
			fmt.Println(a.name)
		}
		return
	}
	if err := runAll(ctx, flag.Args(), *table); err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(1)
	}
}

// runAll runs the attacks that are named, or all.
func runAll(ctx context.Context, names []string, table bool) error {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	binary, err := filepath.Abs(os.Getenv("LIVEGO_BIN"))
	if err != nil || os.Getenv("LIVEGO_BIN") == "" {
		return errors.New("LIVEGO_BIN must name the program to attack (make attack)")
	}
	dir, err := os.MkdirTemp("", "livego-attack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := raiseFileLimit(); err != nil {
		return err
	}
	held := true
	for _, a := range chosen {
		r := &report{name: a.name}
		if err := a.on(ctx, binary, filepath.Join(dir, a.name), r); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		if table {
			fmt.Println(r.row())
		} else {
			fmt.Print(r)
		}
		held = held && r.held()
	}
	if !held {
		return errBounds
	}
	return nil
}

func choose(names []string) ([]attack, error) {
	all := attacks()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []attack
	for _, name := range names {
		i := slices.IndexFunc(all, func(a attack) bool { return a.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no attack %q; see -list", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// on runs the attack on a server of its own.
func (a *attack) on(ctx context.Context, binary, dir string, r *report) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s, err := startServer(ctx, binary, dir, a)
	if err != nil {
		return err
	}
	if a.compared {
		if s.other, err = startServer(ctx, binary, dir+"-other", a); err != nil {
			return err
		}
		defer func() { _, _ = s.other.stop() }()
	}
	err = a.run(ctx, s, r)
	took, stopErr := s.stop()
	r.atMost("end of the server", took.Seconds(), stopLimit.Seconds(), "s")
	return errors.Join(err, stopErr)
}

// raiseFileLimit lets this program and its servers have as many connections as this user may open
// files.
func raiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// report is what was done to a server and what came of it.
type report struct {
	name, load string
	bounds     []bound
}

// bound is one measured figure with the range in which it has to be.
type bound struct {
	what, unit       string
	got, least, most float64
	atLeast          bool
	// control is the same of the server that nobody attacks, at the same time, and stretch by how
	// much longer a busy machine makes it; 0: it is not compared.
	control, stretch float64
}

// did says what the load was.
func (r *report) did(format string, args ...any) { r.load = fmt.Sprintf(format, args...) }

func (r *report) atMost(what string, got, most float64, unit string) {
	r.bounds = append(r.bounds, bound{what: what, got: got, most: most, unit: unit})
}

// without is atMost for a time that is as many times longer as stretch says, because threads wait
// for a processor. control is the same at a server that nobody attacks: it may be twice that too.
func (r *report) without(what string, got, control, stretch, most float64, unit string) {
	r.bounds = append(r.bounds, bound{what: what, got: got, control: control, stretch: stretch, most: max(most*stretch, 2*control), unit: unit})
}

func (r *report) atLeast(what string, got, least float64, unit string) {
	r.bounds = append(r.bounds, bound{what: what, got: got, least: least, unit: unit, atLeast: true})
}

func (r *report) held() bool {
	return !slices.ContainsFunc(r.bounds, func(b bound) bool { return !b.holds() })
}

func (b *bound) holds() bool {
	if b.atLeast {
		return b.got >= b.least
	}
	return b.got <= b.most
}

func (b *bound) String() string {
	switch {
	case b.atLeast && b.unit == "" && b.least == 1:
		return b.what + ": " + map[bool]string{true: "yes", false: "no"}[b.got == 1]
	case b.atLeast:
		return fmt.Sprintf("%s: %s %s (at least %s)", b.what, figure(b.got), b.unit, figure(b.least))
	case b.stretch > 0:
		return fmt.Sprintf("%s: %s %s, in which threads had a processor for a part of %s (at a server that nobody attacks %s; at most %s)",
			b.what, figure(b.got), b.unit, figure(1/b.stretch), figure(b.control), figure(b.most))
	}
	return fmt.Sprintf("%s: %s %s (at most %s)", b.what, figure(b.got), b.unit, figure(b.most))
}

// figure prints three digits.
func figure(v float64) string {
	switch {
	case v >= 100 || v == float64(int(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func (r *report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", r.name, r.load)
	for _, bound := range r.bounds {
		verdict := "ok    "
		if !bound.holds() {
			verdict = "BROKEN"
		}
		fmt.Fprintf(&b, "  %s %s\n", verdict, bound.String())
	}
	return b.String()
}

// row is the report as a row of the table.
func (r *report) row() string {
	var results []string
	for _, b := range r.bounds {
		results = append(results, b.String())
	}
	return fmt.Sprintf("| %s | %s | %s |", r.name, r.load, strings.Join(results, "; "))
}
