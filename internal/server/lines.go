package server

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxValue bounds a text in a line of the log, in bytes, and maxErrorValue one in a line about
	// an error of ours: a stack.
	maxValue      = 512
	maxErrorValue = 8 << 10
	// maxMessages bounds the messages that are counted each for itself. There are fewer in the
	// code; those of net/http hold what clients do.
	maxMessages = 256
	// reportInterval is how often it is said how many lines were left out.
	reportInterval = 10 * time.Second
)

// How many lines with the same message may come at once, and in the long run: of what went well,
// such as the ends of sessions, which come together when a stream ends, and of all other lines,
// which strangers can bring about as fast as they connect.
const (
	burstOfGood, goodPerSecond = 2000, 100
	burstOfBad, badPerSecond   = 100, 10
)

// lines is a log that nobody can fill: each message has a rate, texts are cut, and what is left out
// is counted and told. It may be used from any goroutine.
type lines struct {
	to slog.Handler

	mu       sync.Mutex
	messages map[string]*lineRate
	reported time.Time
	// written are by level, leftOut is the sum of all that came too fast.
	written map[slog.Level]uint64
	leftOut uint64
}

// lineRate is how often a message comes.
type lineRate struct {
	left    *rate.Limiter
	leftOut int
}

// limited returns a logger whose lines go to log within bounds, and what counts those that do not.
func limited(log *slog.Logger) (*slog.Logger, *lines) {
	l := &lines{to: log.Handler(), messages: make(map[string]*lineRate), written: make(map[slog.Level]uint64)}
	return slog.New(&limitedHandler{l, l.to}), l
}

// admit says whether a line may be written, and how many like it were left out before it.
func (l *lines) admit(level slog.Level, message string) (ok bool, leftOut int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.messages[message]
	if r == nil {
		if len(l.messages) >= maxMessages {
			message = ""
		}
		if r = l.messages[message]; r == nil {
			r = newLineRate(level)
			l.messages[message] = r
		}
	}
	if !r.left.Allow() {
		r.leftOut++
		l.leftOut++
		return false, 0
	}
	l.written[level]++
	leftOut, r.leftOut = r.leftOut, 0
	return true, leftOut
}

// totals returns how many lines were written, by level, and how many were left out.
func (l *lines) totals() (written map[string]uint64, leftOut uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	written = map[string]uint64{"debug": 0, "info": 0, "warn": 0, "error": 0}
	for level, n := range l.written {
		written[strings.ToLower(level.String())] += n
	}
	return written, l.leftOut
}

func newLineRate(level slog.Level) *lineRate {
	if level == slog.LevelInfo {
		return &lineRate{left: rate.NewLimiter(goodPerSecond, burstOfGood)}
	}
	return &lineRate{left: rate.NewLimiter(badPerSecond, burstOfBad)}
}

// report tells, now and then, which lines were left out since the last one of their kind. It is
// called about each second.
func (l *lines) report(ctx context.Context, now time.Time) {
	for message, n := range l.takeLeftOut(now) {
		r := slog.NewRecord(now, slog.LevelWarn, "lines of the log were left out", 0)
		r.AddAttrs(slog.String("message", cut(message, maxSaid)), slog.Int("lines", n))
		if l.to.Enabled(ctx, r.Level) {
			_ = l.to.Handle(ctx, r)
		}
	}
}

func (l *lines) takeLeftOut(now time.Time) map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.reported) < reportInterval {
		return nil
	}
	l.reported = now
	taken := make(map[string]int)
	for message, r := range l.messages {
		if r.leftOut > 0 {
			taken[message], r.leftOut = r.leftOut, 0
		}
	}
	return taken
}

// limitedHandler is the handler of a limited logger with some attributes.
type limitedHandler struct {
	lines *lines
	to    slog.Handler
}

func (h *limitedHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.to.Enabled(ctx, level)
}

func (h *limitedHandler) Handle(ctx context.Context, r slog.Record) error {
	ok, leftOut := h.lines.admit(r.Level, r.Message)
	if !ok {
		return nil
	}
	most := maxValue
	if r.Level >= slog.LevelError {
		most = maxErrorValue
	}
	short := slog.NewRecord(r.Time, r.Level, cut(r.Message, most), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		short.AddAttrs(shortened(a, most))
		return true
	})
	if leftOut > 0 {
		short.AddAttrs(slog.Int("left_out_before", leftOut))
	}
	return h.to.Handle(ctx, short)
}

func (h *limitedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	attrs = slices.Clone(attrs)
	for i := range attrs {
		attrs[i] = shortened(attrs[i], maxValue)
	}
	return &limitedHandler{h.lines, h.to.WithAttrs(attrs)}
}

func (h *limitedHandler) WithGroup(name string) slog.Handler {
	return &limitedHandler{h.lines, h.to.WithGroup(name)}
}

// shortened cuts the text of an attribute.
func shortened(a slog.Attr, most int) slog.Attr {
	switch v := a.Value.Any().(type) {
	case string:
		a.Value = slog.StringValue(cut(v, most))
	case error:
		a.Value = slog.StringValue(cut(v.Error(), most))
	}
	return a
}
