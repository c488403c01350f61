package server

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"livego/internal/event"
	"livego/internal/live"
)

// TestEvents: what happens to a stream, its publishers and players is told in order, once, and
// without a key.
func TestEvents(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	c := s.Events().FollowAfter("")
	first := publish(t, s, "movie")
	first.send(tags[:4]...)
	w := watchFLV(t, s, "movie")
	w.await(t, tags[3])
	first.lose()
	awaitPublishers(t, s, "movie", 0)
	second := publish(t, s, "movie")
	second.send(tags...)
	second.unpublish()
	w.awaitEnd(t)
	awaitPlayers(t, s, "movie", 0)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}

	var got []string
	for {
		e, err := c.Next(t.Context())
		if err != nil {
			break
		}
		line := fmt.Sprint(e.Type, " ", e.Stream)
		if e.Session != nil {
			line += " " + e.Session.Protocol
		}
		switch data := e.Data.(type) {
		case event.Reason:
			line += ": " + data.Reason
		case left:
			line += ": " + data.Reason
			if data.Bytes == 0 {
				t.Errorf("%s: a viewer left with 0 bytes", line)
			}
		}
		got = append(got, line)
		if strings.Contains(fmt.Sprintf("%+v", e), s.key("movie")) {
			t.Errorf("a channel key in %+v", e)
		}
	}
	// The player's end is another goroutine's.
	at := slices.Index(got, "viewer.left live/movie http-flv: stream_ended")
	if at < 0 {
		t.Fatalf("no viewer left: %q", got)
	}
	got = slices.Delete(got, at, at+1)
	want := []string{
		"server.started ",
		"stream.started live/movie rtmp",
		"rendition.added live/movie rtmp",
		"viewer.joined live/movie http-flv",
		"stream.lost live/movie: connection_lost",
		"stream.returned live/movie rtmp",
		"rendition.removed live/movie: unpublished",
		"stream.ended live/movie: unpublished",
		"server.draining ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	ended := s.sessions.ended
	wantEqual(t, "publishers lost", ended[outcome{true, "rtmp", "connection_lost"}].sessions, 1)
	wantEqual(t, "publishers that unpublished", ended[outcome{true, "rtmp", "unpublished"}].sessions, 1)
	player := ended[outcome{false, "http-flv", "stream_ended"}]
	wantEqual(t, "players", player.sessions, 1)
	if player.video == 0 {
		t.Error("a player's bytes are not in the totals")
	}
}

// TestReasons: each cause has a word, whatever it is wrapped in.
func TestReasons(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "connection_lost"},
		{fmt.Errorf("reading: %w", io.EOF), "connection_lost"},
		{fmt.Errorf("hls: %w", live.ErrMisaligned), "misaligned"},
		{fmt.Errorf("closed: %w", errShutdown), "shutdown"},
		{live.ErrTakenOver, "taken_over"},
		{fmt.Errorf("disk on fire"), "other"},
	} {
		wantEqual(t, fmt.Sprint(c.err), reasonOf(c.err), c.want)
	}
}
