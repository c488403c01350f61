package hlsclient

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"livego/internal/media"
	"livego/internal/pause"
)

// feed follows one media playlist. run fetches, all else is for who reads.
type feed struct {
	client *Client
	list   *url.URL
	first  *mediaList // what was read already; nil: nothing
	// onlyVideo leaves sound out: it has a playlist of its own.
	onlyVideo bool

	segments chan []unit
	err      error // why there are no more; set before segments is closed

	units []unit // of the segment in hand

	// Only for run.
	next    uint64 // number of the next segment
	begun   bool
	init    section
	cmaf    *cmaf
	ts      transport
	changed time.Time // when the list had something new for the last time
}

func newFeed(c *Client, list *url.URL, first *mediaList) *feed {
	return &feed{client: c, list: list, first: first, segments: make(chan []unit, 1)}
}

// fill waits until there is a unit in hand. The error is why there will be none.
func (f *feed) fill(ctx context.Context) error {
	for len(f.units) == 0 {
		select {
		case units, ok := <-f.segments:
			if !ok {
				return f.err
			}
			f.units = units
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// run fetches segment after segment until the end of the stream or of the client.
func (f *feed) run() {
	defer close(f.segments)
	f.changed = time.Now()
	for list := f.first; ; list = nil {
		asked := time.Now()
		if list == nil {
			var err error
			if list, err = f.refresh(); err != nil {
				f.err = err
				return
			}
		}
		fresh, err := f.take(list)
		if err != nil {
			f.err = err
			return
		}
		interval := list.target / 2 // RFC 8216 §6.3.4
		if fresh {
			f.changed, interval = time.Now(), list.target
		} else if time.Since(f.changed) > staleAfter*list.target+staleTime {
			f.err = ErrStale
			return
		}
		if err := pause.For(f.client.ctx, time.Until(asked.Add(interval))); err != nil {
			f.err = err
			return
		}
	}
}

// refresh reads the playlist again.
func (f *feed) refresh() (*mediaList, error) {
	text, from, err := f.client.get(f.list, byteRange{}, maxPlaylist)
	if err != nil {
		return nil, err
	}
	f.list = from
	return parsePlaylist(text)
}

// take hands on the segments of a list that are new, and says whether there were any. The error is
// io.EOF at the end of the stream.
func (f *feed) take(list *mediaList) (fresh bool, err error) {
	segments := list.segments
	at := f.position(list)
	for _, s := range segments[at:] {
		if !s.gap {
			units, err := f.fetch(&s)
			if err != nil {
				return fresh, err
			}
			select {
			case f.segments <- units:
			case <-f.client.ctx.Done():
				return fresh, context.Cause(f.client.ctx)
			}
		}
		f.next, f.begun, fresh = s.number+1, true, true
	}
	if list.over {
		return fresh, io.EOF
	}
	return fresh, nil
}

// position returns the index of the segment to go on with: the next one; at the beginning, after
// the list has moved past it, or when the numbers have begun anew, one shortly before the end.
func (f *feed) position(list *mediaList) int {
	n := len(list.segments)
	if n == 0 {
		return 0
	}
	oldest, newest := list.segments[0].number, list.segments[n-1].number
	if f.begun && f.next >= oldest && f.next <= newest+1 {
		return int(f.next - oldest)
	}
	if list.over && !f.begun {
		return 0
	}
	at, left := n, edge*list.target
	for at > 0 && left > 0 {
		at--
		left -= list.segments[at].duration
	}
	return at
}

// fetch reads a segment into units, in the order of their times.
func (f *feed) fetch(s *segment) ([]unit, error) {
	if s.init != f.init {
		f.cmaf, f.init = nil, s.init
		if s.init.uri != "" {
			text, err := f.get(s.init.uri, s.init.part, maxInit)
			if err != nil {
				return nil, fmt.Errorf("initialization section: %w", err)
			}
			if f.cmaf, err = parseInit(text); err != nil {
				return nil, err
			}
		}
	}
	text, err := f.get(s.uri, s.part, maxSegment)
	if err != nil {
		return nil, fmt.Errorf("segment %d: %w", s.number, err)
	}
	var units []unit
	if f.cmaf != nil {
		units, err = f.cmaf.segment(text)
	} else {
		units, err = f.ts.segment(text)
	}
	if err != nil {
		return nil, fmt.Errorf("segment %d: %w", s.number, err)
	}
	if f.onlyVideo {
		units = slices.DeleteFunc(units, func(u unit) bool { return u.Track.Kind != media.Video })
	}
	for i := range units {
		units[i].period = s.period
	}
	slices.SortStableFunc(units, func(a, b unit) int { return cmp.Compare(a.DTS, b.DTS) })
	return units, nil
}

// get fetches what a playlist names.
func (f *feed) get(uri string, part byteRange, most int64) ([]byte, error) {
	u, err := join(f.list, uri)
	if err != nil {
		return nil, err
	}
	if part.start == afterLast {
		part.start = 0
	}
	text, _, err := f.client.get(u, part, most)
	return text, err
}

// rounded is a time in whole milliseconds, of ticks of a clock.
func rounded(ticks int64, rate uint64) time.Duration {
	whole, rest := ticks/int64(rate), ticks%int64(rate)
	return time.Duration(whole)*time.Second + (time.Duration(rest) * time.Second / time.Duration(rate)).Round(time.Millisecond)
}
