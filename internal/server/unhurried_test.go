package server

import (
	"errors"
	"net"
	"testing"

	"livego/internal/live"
	"livego/internal/rtmp"
)

// TestUnhurried: an encoder for which nobody waits may be read seldom, in a cluster too; one that
// somebody reads may not.
func TestUnhurried(t *testing.T) {
	t.Parallel()
	onDemand := func(o *Options) { o.HLSOnDemand = true }
	for name, s := range map[string]*testServer{"alone": start(t, onDemand), "a node": startGroup(t, 1, onDemand).nodes[0]} {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		p, err := s.newRTMPConn(near, protocolRTMP).Publish(t.Context(), &rtmp.PublishRequest{ConnectRequest: &rtmp.ConnectRequest{App: "live"}, Name: s.key("movie")})
		if err != nil {
			t.Fatal(err)
		}
		unhurried := func(when string, want bool) {
			t.Helper()
			wantEqual(t, name+": "+when, p.(rtmp.Unhurried).Unhurried(), want)
		}
		unhurried("nobody reads", true)
		pub, ok := s.hub.Lookup(live.Name{App: "live", Stream: "movie"})
		if !ok {
			t.Fatal("no stream")
		}
		r := pub.NewReader(live.ReaderOptions{GOPs: 1})
		unhurried("somebody reads", false)
		r.Close()
		unhurried("nobody reads any more", true)
		p.Close(errors.New("over"))
	}
}
