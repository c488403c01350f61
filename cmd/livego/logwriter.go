package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// maxUnwritten bounds, in bytes, the lines that wait to be written: some 6,000.
	maxUnwritten = 1 << 20
	// maxSpare is how large a buffer is kept for the next lines.
	maxSpare = 64 << 10
	// logPatience is for how long the end of the program waits for a log that nobody reads.
	logPatience = time.Second
)

// logWriter hands lines on to a writer that may be slow or stuck for good, as a pipe that nobody
// reads, and never waits for it: a server must not stand still because its log does. What does not
// fit meanwhile is dropped and counted.
type logWriter struct {
	out io.Writer
	// note makes the line that says how many were dropped.
	note func(dropped int) []byte

	mu      sync.Mutex
	lines   []byte // that wait
	dropped int    // since the last note
	closed  bool
	some    chan struct{} // there are lines, or it is closed
	done    chan struct{} // all was written
}

// newLogWriter returns a writer that works until Close.
func newLogWriter(out io.Writer, note func(dropped int) []byte) *logWriter {
	w := &logWriter{out: out, note: note, some: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// Write takes one line, or drops it. It never fails.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	if len(w.lines)+len(line) > maxUnwritten {
		w.dropped++
	} else {
		w.lines = append(w.lines, line...)
	}
	w.mu.Unlock()
	w.wake()
	return len(line), nil
}

func (w *logWriter) wake() {
	select {
	case w.some <- struct{}{}:
	default:
	}
}

// run writes all that there is at once, until Close.
func (w *logWriter) run() {
	defer close(w.done)
	var spare []byte
	for {
		lines, closed := w.take(spare)
		switch {
		case len(lines) > 0:
			_, _ = w.out.Write(lines) // there is nobody to tell
		case closed:
			return
		default:
			<-w.some
		}
		if spare = lines; cap(spare) > maxSpare {
			spare = nil
		}
	}
}

// take returns the lines that wait, with a note of those that were dropped after them. spare is for
// the next ones.
func (w *logWriter) take(spare []byte) (lines []byte, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines, w.lines = w.lines, spare[:0]
	if w.dropped > 0 {
		lines = append(lines, w.note(w.dropped)...)
		w.dropped = 0
	}
	return lines, w.closed
}

// Close waits until all lines are written, for a while.
func (w *logWriter) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wake()
	select {
	case <-w.done:
	case <-time.After(logPatience):
	}
}

// complain writes something beside the log, at the end of the program, unless nobody reads there.
func complain(out io.Writer, format string, args ...any) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		fmt.Fprintf(out, format, args...)
	}()
	select {
	case <-written:
	case <-time.After(logPatience):
	}
}
