package server

import (
	"strings"
	"testing"
)

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
