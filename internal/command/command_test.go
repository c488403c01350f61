package command

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	switch os.Getenv("TZ") { // the test binary stands in for the program; that variable is passed
	case "say":
		fmt.Println("one\ntwo key\n\nthree")
		os.Exit(3)
	case "stay":
		fmt.Println("here")
		<-time.After(time.Hour)
	}
	goleak.VerifyTestMain(m)
}

type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestRun: a program is started again, its output is logged without secrets, and its end is told.
func TestRun(t *testing.T) {
	t.Setenv("TZ", "say")
	t.Setenv("JWT_SECRET", "x")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log buffer
	starts, ends := 0, 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		Run(ctx, Options{
			Log:   slog.New(slog.NewTextHandler(&log, nil)),
			Args:  func() ([]string, func()) { starts++; return []string{os.Args[0]}, func() { ends++ } },
			Clean: func(line string) string { return strings.ReplaceAll(line, "key", "(hidden)") },
			Ended: func(_, reason string) {
				if reason != "exit status 3" {
					t.Errorf("reason %q", reason)
				}
				if starts == 2 {
					cancel()
				}
			},
		})
	}()
	<-done
	if starts != 2 || ends != 2 {
		t.Errorf("%d starts, %d ends", starts, ends)
	}
	for _, part := range []string{"line=one", `line="two (hidden)"`, "line=three"} {
		if strings.Count(log.String(), part) != 2 {
			t.Errorf("%q is not twice in %s", part, log.String())
		}
	}
}

// TestEnd: a program that does not end by itself is asked to.
func TestEnd(t *testing.T) {
	t.Setenv("TZ", "stay")
	ctx, cancel := context.WithCancel(t.Context())
	var log buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		Run(ctx, Options{
			Log:   slog.New(slog.NewTextHandler(&log, nil)),
			Args:  func() ([]string, func()) { return []string{os.Args[0]}, func() {} },
			Clean: func(line string) string { return line },
		})
	}()
	for !strings.Contains(log.String(), "line=here") {
		select {
		case <-done:
			t.Fatal(log.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	<-done
}

// TestNoProgram: what cannot be started is tried again later.
func TestNoProgram(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	Run(ctx, Options{
		Log:   slog.New(slog.DiscardHandler),
		Args:  func() ([]string, func()) { return []string{"/nowhere/at/all"}, func() {} },
		Ended: func(string, string) { cancel() },
	})
}

// TestOutputIsBounded: a program that talks without end fills neither memory nor log.
func TestOutputIsBounded(t *testing.T) {
	var log buffer
	l := &lines{log: slog.New(slog.NewTextHandler(&log, nil)), clean: func(s string) string { return s }, left: newLimiter()}
	for range 100 {
		fmt.Fprint(l, strings.Repeat("x", 10*maxLine))
	}
	for range 1000 {
		fmt.Fprintln(l, "line")
	}
	l.end()
	if n := len(log.String()); n > 100*burstOfLines+maxLine || !strings.Contains(log.String(), "left out") {
		t.Errorf("%d bytes of log", n)
	}
	if got := environment([]string{"PATH=/bin", "JWT_SECRET=x", "REDIS_PWD=x"}); len(got) != 1 {
		t.Errorf("environment %q", got)
	}
}
