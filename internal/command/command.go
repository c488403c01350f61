// Package command runs programs beside streams: each is started again when it ends, until it is
// told to end.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"livego/internal/pause"

	"golang.org/x/time/rate"
)

const (
	// minBackoff and maxBackoff bound the time between an end and the next start; a program that
	// ran for goodTime is started again early.
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
	goodTime   = 30 * time.Second
	// killAfter is how long a program has to end by itself once it was asked to.
	killAfter = 5 * time.Second
	// maxLine bounds a line of output in the log, in bytes; burstOfLines lines may come at once,
	// and one each linePause in the long run.
	maxLine      = 400
	burstOfLines = 50
	linePause    = 2 * time.Second
)

// passed are the variables of the environment that programs get. The others may hold secrets of the
// server.
var passed = []string{"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SYSTEMROOT", "XDG_CACHE_HOME"}

// Options describes a program.
type Options struct {
	Log *slog.Logger
	// Args returns the program and its arguments for each start, and what is called when that one
	// has ended.
	Args func() (args []string, over func())
	// Clean takes out of a line of output what may not be logged.
	Clean func(line string) string
	// Ended, if set, is told why the program ended and is started again.
	Ended func(program, reason string)
}

// Run runs the program until ctx ends, and returns when it has ended.
func Run(ctx context.Context, opt Options) {
	backoff := minBackoff
	for ctx.Err() == nil {
		began := time.Now()
		program, err := once(ctx, &opt)
		if ctx.Err() != nil {
			return
		}
		reason := "exit status 0"
		if err != nil {
			reason = err.Error()
		}
		opt.Log.Warn("command beside a stream ended, it is started again", "command", program, "reason", reason)
		if opt.Ended != nil {
			opt.Ended(program, reason)
		}
		if time.Since(began) > goodTime {
			backoff = minBackoff
		}
		_ = pause.For(ctx, backoff) // the loop sees its end
		backoff = min(2*backoff, maxBackoff)
	}
}

// once runs the program to its end.
func once(ctx context.Context, opt *Options) (program string, err error) {
	args, over := opt.Args()
	defer over()
	program = filepath.Base(args[0])
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = environment(os.Environ())
	cmd.WaitDelay = killAfter
	asGroup(cmd)
	said := &lines{log: opt.Log.With("command", program), clean: opt.Clean, left: newLimiter()}
	cmd.Stdout, cmd.Stderr = said, said // one writer has one user at a time
	if err = cmd.Start(); err != nil {
		return program, fmt.Errorf("start: %w", errors.Unwrap(err))
	}
	opt.Log.Info("command beside a stream runs", "command", program, "pid", cmd.Process.Pid)
	err = cmd.Wait()
	killGroup(cmd) // what it has left behind
	said.end()
	return program, err
}

// environment picks what programs get.
func environment(all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return !slices.Contains(passed, name)
	})
}

// lines writes output into the log, within a limit.
type lines struct {
	log     *slog.Logger
	clean   func(string) string
	left    *rate.Limiter
	partial []byte
	leftOut int
}

// Write takes output as it comes. It never fails.
func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		if room := maxLine - len(l.partial); room > 0 {
			l.partial = append(l.partial, line[:min(len(line), room)]...)
		}
		if !whole {
			return n, nil
		}
		l.say()
		p = rest
	}
}

// say logs the line that is complete.
func (l *lines) say() {
	text := strings.TrimSpace(strings.ToValidUTF8(string(l.partial), "\uFFFD"))
	l.partial = l.partial[:0]
	switch {
	case text == "":
	case !l.left.Allow():
		l.leftOut++
	default:
		l.log.Info("command says", "line", l.clean(text))
	}
}

// end logs what is left.
func (l *lines) end() {
	l.say()
	if l.leftOut > 0 {
		l.log.Info("lines of a command were left out", "lines", l.leftOut)
	}
}

func newLimiter() *rate.Limiter { return rate.NewLimiter(rate.Every(linePause), burstOfLines) }
