package server

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestEndings: a stream has ended for a while, and what is known of that is bounded.
func TestEndings(t *testing.T) {
	e, now := newEndings(), time.Now()
	e.add("live/movie", now)
	wantEqual(t, "at once", e.has("live/movie", now), true)
	wantEqual(t, "another one", e.has("live/other", now), false)
	wantEqual(t, "later", e.has("live/movie", now.Add(endingTold)), false)
	for i := range 2 * maxEndings {
		e.add(fmt.Sprint("live/", i), now)
	}
	wantEqual(t, "known", len(e.until), maxEndings)
	e.add("live/movie", now.Add(endingTold+1))
	wantEqual(t, "known later", len(e.until), 1)
}

// TestPageKnowsTheEnd: a stream that nobody watched over HLS has ended all the same.
func TestPageKnowsTheEnd(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) { o.HLSOnDemand = true })
	e := publish(t, s, "movie")
	e.send(clip(t)...)
	state := func() string { return call(t, "GET", s.url("http", "hls", "/live/movie/status.json")).body }
	eventually(t, "it is live", func() bool { return strings.Contains(state(), `"state":"live"`) })
	e.unpublish()
	eventually(t, "it has ended", func() bool { return strings.Contains(state(), `"state":"ended"`) })
}
