package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"livego/internal/fanout"
	"livego/internal/live"
	"livego/internal/media"
)

var (
	errNoTrack  = errors.New("the stream has no such track")
	errBadTrack = errors.New(`a track is "none" or a number from 0 to 255`)
)

// choice is what a viewer's query picks of a stream: ?rendition=720p&video=1&audio=none.
type choice struct {
	rendition string
	view      fanout.View
}

// readChoice reads a query. What it does not say is the default; what does not parse says nothing.
func readChoice(query string) (c choice, err error) {
	values, _ := url.ParseQuery(query)
	if c.rendition, err = rendition(values); err != nil {
		return c, err
	}
	if c.view.Video, err = track(values, "video"); err != nil {
		return c, err
	}
	c.view.Audio, err = track(values, "audio")
	return c, err
}

// rendition returns the rendition that a query names, none if it does not say.
func rendition(values url.Values) (string, error) {
	if !values.Has("rendition") {
		return "", nil
	}
	return values.Get("rendition"), live.ValidateRendition(values.Get("rendition"))
}

func track(values url.Values, kind string) (fanout.Choice, error) {
	value := values.Get(kind)
	if !values.Has(kind) {
		return fanout.First, nil
	}
	if value == "none" {
		return fanout.None, nil
	}
	id, err := strconv.ParseUint(value, 10, 8)
	if err != nil {
		return fanout.First, errBadTrack
	}
	return fanout.Track(uint8(id)), nil
}

// asksTracks says whether the query picks tracks at all.
func (c choice) asksTracks() bool { return c.view != fanout.View{} }

// awaitChoice waits until it is known which tracks the stream has, if the choice depends on that,
// and fails if it has not those.
func (s *Server) awaitChoice(ctx context.Context, pub *live.Publication, c choice) error {
	if !c.asksTracks() {
		return nil
	}
	if err := await(ctx, s.now().opt.RTMP.ReadTimeout, pub.Done(), pub.Settled()); err != nil {
		return err
	}
	if checkTracks(c.view, pub.Tracks()) == nil {
		return nil
	}
	if err := await(ctx, lateTrack, pub.Done(), nil); err != nil {
		return err
	}
	return checkTracks(c.view, pub.Tracks())
}

// lateTrack is how much later a track may come that the metadata does not name: the others may have
// settled the stream before.
const lateTrack = 500 * time.Millisecond

// await waits for either event, at most for d, and fails only if ctx ends first.
func await(ctx context.Context, d time.Duration, a, b <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-a:
	case <-b:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// checkTracks fails unless all tracks that a view names are there, and at least one.
func checkTracks(v fanout.View, tracks []*media.Track) error {
	left := 0
	for _, k := range []struct {
		kind   media.Kind
		choice fanout.Choice
	}{{media.Video, v.Video}, {media.Audio, v.Audio}} {
		has := slices.ContainsFunc(tracks, func(t *media.Track) bool {
			return t.Kind == k.kind && (k.choice == fanout.First || k.choice == fanout.Track(t.ID))
		})
		if !has && k.choice > fanout.First {
			return fmt.Errorf("%w: %v %d", errNoTrack, k.kind, k.choice-fanout.Track(0))
		}
		if has {
			left++
		}
	}
	if left == 0 {
		return errNoTrack
	}
	return nil
}
