package server

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"livego/internal/event"
	"livego/internal/media"
	"livego/internal/repair"
)

// errOverLimit: a publisher sends what it may not.
var errOverLimit = errors.New("a limit of this server is passed")

const (
	// limitGrace is how long a publisher that was warned may go on: means of five seconds rise for
	// a moment when a scene or a network changes.
	limitGrace = 10 * time.Second
	// limitNotice is how long before the end of its time a publisher is warned.
	limitNotice = time.Minute
	// limitTolerance is what is measured beyond a limit without being held against anybody, one
	// part in so many: 30 pictures a second are never exactly that.
	limitTolerance = 20
)

// limitsOf are the limits of the publishers of an app. Pulls have none: they are the operator's.
func (s *Server) limitsOf(app, protocol string) PublishLimits {
	if strings.HasPrefix(protocol, pullProtocol) {
		return PublishLimits{}
	}
	a, _ := s.app(app)
	return a.PublishLimits
}

// limitWatch holds one publisher to its limits: it warns, and closes. Its methods may be called
// from any goroutine, also on nil, which has no limits.
type limitWatch struct {
	limits PublishLimits
	begun  time.Time
	gauge  *gauge
	// told is called when a limit is passed for the first time, and rarely again; close ends the
	// publisher.
	told  func(limit, reason string, closes time.Duration)
	close func(cause error)

	mu     sync.Mutex
	passed map[string]*passing
}

// passing is how long a limit has been passed for.
type passing struct {
	since time.Time // zero: it is not
	lines rarely
}

// newLimitWatch returns what holds the publisher to limits, nil without any.
func (p *publication) newLimitWatch(limits PublishLimits) *limitWatch {
	if limits.none() {
		return nil
	}
	return &limitWatch{
		limits: limits, begun: time.Now(), gauge: p.session.gauge, told: p.tellLimit, close: p.from.close, passed: make(map[string]*passing),
	}
}

// overLimit is the data of the event that a publisher passes a limit.
type overLimit struct {
	Limit  string `json:"limit"`
	Reason string `json:"reason"`
	// Closes is in how many seconds the publisher is closed; nil: it is not.
	Closes *float64 `json:"closes_in,omitempty"`
}

// tellLimit warns log, hooks and API. closes is in what time the publisher will be closed, less
// than 0: it will not.
func (p *publication) tellLimit(limit, reason string, closes time.Duration) {
	said := overLimit{Limit: limit, Reason: reason}
	attrs := []any{"limit", limit, "reason", reason}
	if closes >= 0 {
		seconds := closes.Seconds()
		said.Closes, attrs = &seconds, append(attrs, "closed_in", closes)
	}
	p.log.Log(p.server.ctx, slog.LevelWarn, "the publisher passes a limit", attrs...)
	p.session.gauge.noteFault(repair.Fault{Kind: media.Video, What: "more than " + limit + " allows"})
	name := p.pub.Publication().Name()
	p.server.events.Emit(event.Event{
		Type: event.PublishLimited, Stream: name.Key(), Rendition: name.Rendition, Session: p.session.who(), Data: said,
	})
}

// check looks at what was measured, each second. bitRate is in bit/s.
func (w *limitWatch) check(now time.Time, bitRate int) {
	l, rate := &w.limits, w.gauge.frameRate()
	key := time.Duration(max(w.gauge.keyInterval.Load(), w.gauge.sinceKey.Load()))
	w.measured(now, limitBitRate, beyond(bitRate, l.BitRate), func() string {
		return "it sends " + bitRateText(bitRate) + ", " + bitRateText(l.BitRate) + " are allowed"
	})
	w.measured(now, limitFrameRate, l.FrameRate > 0 && rate > float64(l.FrameRate)*(1+1.0/limitTolerance), func() string {
		return fmt.Sprintf("it sends %.0f pictures a second, %d are allowed", rate, l.FrameRate)
	})
	w.measured(now, limitKeyInterval, beyond(key, l.KeyFrameInterval), func() string {
		return fmt.Sprintf("key frames are %v apart, %v are allowed: set the encoder's key frame interval", key.Round(100*time.Millisecond), l.KeyFrameInterval)
	})
	w.checkTime(now)
}

// beyond says whether a value is more than a limit, if there is one.
func beyond[T int | time.Duration](value, limit T) bool {
	return limit > 0 && value > limit+limit/limitTolerance
}

// measured warns of a limit that is passed now, and closes who passed it all the time since then.
func (w *limitWatch) measured(now time.Time, limit string, passed bool, reason func() string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.passing(limit)
	switch {
	case !passed:
		p.since = time.Time{}
	case p.since.IsZero():
		p.since = now
		if p.lines.due(now) {
			w.warn(limit, reason(), limitGrace)
		}
	case now.Sub(p.since) >= limitGrace && !w.limits.WarnOnly:
		w.close(fmt.Errorf("%w: %s", errOverLimit, reason()))
	}
}

// passing returns how it is with a limit. The caller holds mu.
func (w *limitWatch) passing(limit string) *passing {
	if w.passed[limit] == nil {
		w.passed[limit] = new(passing)
	}
	return w.passed[limit]
}

// warn tells of a limit. The caller holds mu.
func (w *limitWatch) warn(limit, reason string, closes time.Duration) {
	if w.limits.WarnOnly {
		closes = -1
	}
	w.told(limit, reason, closes)
}

// checkTime warns who has published nearly for as long as it may, and closes who has.
func (w *limitWatch) checkTime(now time.Time) {
	most := w.limits.Time
	left := most - now.Sub(w.begun)
	if most == 0 || left > limitNotice {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	reason := fmt.Sprintf("a publisher may publish for %v", most)
	if p := w.passing(limitTime); p.since.IsZero() {
		p.since = now
		w.warn(limitTime, reason, max(left, 0))
	}
	if left <= 0 && !w.limits.WarnOnly {
		w.close(fmt.Errorf("%w: %s", errOverLimit, reason))
	}
}

// admit says whether a track may be sent. The error is why the publisher must end.
func (w *limitWatch) admit(now time.Time, t *media.Track) error {
	if w == nil || t.Kind == media.Data {
		return nil
	}
	l := &w.limits
	if len(l.Codecs) > 0 && !slices.Contains(l.Codecs, t.Codec) {
		return w.forbid(now, limitCodecs, "the codec "+said(codecName(t))+" is not allowed, use "+strings.Join(codecNames(l.Codecs), ", "))
	}
	if long, short := max(t.Width, t.Height), min(t.Width, t.Height); l.Picture.Long > 0 && (long > l.Picture.Long || short > l.Picture.Short) {
		return w.forbid(now, limitPicture, fmt.Sprintf("the picture has %dx%d, %s is allowed", t.Width, t.Height, l.Text(limitPicture)))
	}
	return nil
}

// forbid warns of what is known for sure, or returns why the publisher must end.
func (w *limitWatch) forbid(now time.Time, limit, reason string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.passing(limit); p.lines.due(now) {
		w.warn(limit, reason, 0)
	}
	if w.limits.WarnOnly {
		return nil
	}
	return fmt.Errorf("%w: %s", errOverLimit, reason)
}

// bitRateText is how a bit rate is told to people.
func bitRateText(bits int) string {
	if bits < 1e6 {
		return strconv.Itoa(bits/1000) + " kbit/s"
	}
	return strconv.FormatFloat(float64(bits)/1e6, 'f', 1, 64) + " Mbit/s"
}
