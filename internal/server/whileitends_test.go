package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"livego/internal/live"
	"livego/internal/record"
	"livego/internal/relay"
)

// What is asked for while it ends is had all the same.

var far = live.Name{App: "live", Stream: "far"}

// onLine has a server call a function when it first logs a line with a text.
func onLine(o *Options, text string, do func()) {
	o.Log = slog.New(atLine{o.Log.Handler(), text, sync.OnceFunc(do)})
}

// TestJoinWhilePullEnds: who finds a stream on air whose pull ends at that moment gets it from the
// next pull, and not its end.
func TestJoinWhilePullEnds(t *testing.T) {
	t.Parallel()
	origin, tags := start(t), clip(t)
	publish(t, origin, "far").send(tags[:20]...)
	joined, came := make(chan bool, 1), make(chan *live.Publication, 1)
	var edge *testServer
	edge = open(t, func(o *Options) {
		o.Apps[0].Pull, o.PlayWait, o.Live.Grace = origin.url("http", "http-flv", "/live"), 0, 0
		onLine(o, "stream is pulled no more", func() {
			joined <- edge.pulls.joins(far) == nil
			go func() {
				pub, err := edge.find(context.Background(), far, nil, 0)
				if err != nil {
					t.Error(err)
				}
				came <- pub
			}()
		})
	})
	edge.run()
	first := watchFLV(t, edge, "far")
	awaitPlayers(t, origin, "far", 1)
	former, _ := edge.hub.Lookup(far)
	first.leave()
	wantEqual(t, "somebody joins what ends", receive(t, "the end of the pull", joined), false)
	if pub := receive(t, "the stream", came); pub == former || pub == nil {
		t.Error("who came while the stream ended got what ended")
	}
}

// TestPullStays: a stream is pulled for pull_idle after its last viewer, however long that one has
// watched, and while another node has viewers.
func TestPullStays(t *testing.T) {
	t.Parallel()
	origin, tags := start(t), clip(t)
	publish(t, origin, "far").send(tags[:20]...)
	g := startGroup(t, 2, func(o *Options) {
		o.Apps[0].Pull, o.Apps[0].PullIdle, o.PlayWait = origin.url("http", "http-flv", "/live"), 2*time.Hour, 0
	})
	a, b := g.nodes[0], g.nodes[1]
	const idle = 30 * time.Second
	here := watchFLV(t, a, "far")
	here.await(t, tags[19])
	asked := func(at time.Time) {
		a.pulls.mu.Lock()
		defer a.pulls.mu.Unlock()
		d := a.pulls.running[far]
		d.asked = at
		a.pulls.running[far] = d
	}
	ends := func(now time.Time) bool {
		_, ends := a.pulls.letGo(far, now, idle)
		return ends
	}
	asked(time.Now().Add(-time.Hour))
	wantEqual(t, "the pull ends under a viewer", ends(time.Now()), false)
	there := watchFLV(t, b, "far")
	there.await(t, tags[19])
	here.leave()
	awaitPlayers(t, a, "far", 0)
	asked(time.Now().Add(-time.Hour))
	wantEqual(t, "the pull ends under the viewer of another node", ends(time.Now()), false)
	wantEqual(t, "pulls at the other node", len(b.relays.List()), 0)
	b.cancel()
	if err := b.stop(); err != nil {
		t.Error(err)
	}
	eventually(t, "the other node has gone", func() bool {
		a.pulls.mu.Lock()
		defer a.pulls.mu.Unlock()
		return len(a.pulls.feeds) == 0
	})
	wantEqual(t, "the pull ends at once after its last viewer", ends(time.Now()), false)
	wantEqual(t, "the pull stays for good", ends(time.Now().Add(time.Hour)), true)
}

// TestHLSOfAPullThatEnded: who asks for the playlist of a stream that ended because nobody watched
// has it pulled anew, and does not get what is left of it.
func TestHLSOfAPullThatEnded(t *testing.T) {
	t.Parallel()
	origin := start(t)
	e := publish(t, origin, "far")
	defer e.performUntil(t)()
	edge := start(t, func(o *Options) {
		o.Apps[0].Pull, o.Apps[0].PullIdle = origin.url("http", "http-flv", "/live"), time.Second
		o.HLS.SegmentDuration, o.PlayWait, o.Live.Grace, o.HLS.KeepAfterEnd = time.Second, 0, 0, true
	})
	list := edge.url("http", "hls", "/live/far/index-v0.m3u8")
	wantEqual(t, "multivariant playlist", call(t, "GET", edge.url("http", "hls", "/live/far/index.m3u8")).status, 200)
	wantEqual(t, "playlist", call(t, "GET", list).status, 200)
	eventually(t, "the stream has ended", func() bool {
		seen, there := edge.hls.Outlook("live/far")
		return there && seen.Ended
	})
	wantContains(t, "the page waits for it", call(t, "GET", edge.url("http", "hls", "/live/far/status.json")).body, `"offline"`)
	again := call(t, "GET", list)
	wantEqual(t, "playlist", again.status, 200)
	if strings.Contains(again.body, "ENDLIST") {
		t.Errorf("it is over:\n%s", again.body)
	}
}

// TestPullIsStopped: a pull on demand that the API stops begins anew for who asks.
func TestPullIsStopped(t *testing.T) {
	t.Parallel()
	origin, tags := start(t), clip(t)
	publish(t, origin, "far").send(tags[:20]...)
	edge := pulling(t, origin, "http", "http-flv", time.Hour)
	first := watchFLV(t, edge, "far")
	first.await(t, tags[19])
	if _, err := edge.relays.Stop(relay.Relay{Direction: relay.Pull, App: "live", Stream: "far"}); err != nil {
		t.Fatal(err)
	}
	first.awaitEnd(t)
	second := watchFLV(t, edge, "far")
	second.await(t, tags[19])
}

// TestStaticPushOfTheNextLife: a stream that is back before its last life has let go of its push is
// pushed on.
func TestStaticPushOfTheNextLife(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) { o.Apps[0].StaticPush = []string{"rtmp://127.0.0.1:1/a", "rtmp://127.0.0.1:1/b"} })
	last := relay.Relay{Direction: relay.Push, App: "live", Stream: "movie", URL: "rtmp://127.0.0.1:1/b/movie"}
	life := func() (end func()) {
		hub := live.NewHub(live.Options{}) // of its own: both lives are there for a moment
		p, err := hub.Publish(live.Name{App: "live", Stream: "movie"}, func(error) {})
		if err != nil {
			t.Fatal(err)
		}
		run, over := s.outputPush(p.Publication()), make(chan struct{})
		go func() {
			defer close(over)
			_ = run(context.Background())
		}()
		eventually(t, "the life has all of its pushes", func() bool {
			_, runs := s.relays.Status(last)
			return runs
		})
		return func() {
			p.Unpublish()
			receive(t, "the end of a life", over)
		}
	}
	endFirst := life()
	if _, err := s.relays.Stop(last); err != nil { // so that it is seen when the next life has shared the other one
		t.Fatal(err)
	}
	endSecond := life()
	endFirst()
	wantEqual(t, "pushes after the end of the first life", len(s.relays.List()), 2)
	endSecond()
	wantEqual(t, "pushes after both", len(s.relays.List()), 0)
}

// TestCopyWhileItEnds: who comes while a stream of another node is let go, as nobody watched it,
// has it brought anew.
func TestCopyWhileItEnds(t *testing.T) {
	t.Parallel()
	movie := live.Name{App: "live", Stream: "movie"}
	joined, came := make(chan error, 1), make(chan *live.Publication, 1)
	g := &group{}
	ending := func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		b := g.nodes[1].node
		_, _, err := b.want(ctx, movie, nil)
		joined <- err
		go func() {
			pub, err := b.find(context.Background(), movie, nil)
			if err != nil {
				t.Error(err)
			}
			came <- pub
		}()
	}
	*g = *startGroup(t, 2, func(o *Options) {
		o.Cluster.Idle = time.Second
		if o.Cluster.ID == "b" {
			onLine(o, "stream ended", ending)
		}
	})
	a, b, tags := g.nodes[0], g.nodes[1], clip(t)
	publish(t, a, "movie").send(tags[:4]...)
	w := watchFLV(t, b, "movie")
	w.await(t, tags[3])
	former, _ := b.hub.Lookup(movie)
	w.leave()
	if err := receive(t, "the end of the copy", joined); !errors.Is(err, context.Canceled) {
		t.Errorf("somebody joins what ends: %v", err)
	}
	if pub := receive(t, "the stream", came); pub == former || pub == nil {
		t.Error("who came while the stream was let go got what ended")
	}
}

// TestCopyIsWanted: who has found a stream of another node keeps it, also before its player is
// there.
func TestCopyIsWanted(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2, func(o *Options) { o.Cluster.Idle = time.Hour }), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	publish(t, a, "movie").send(tags[:4]...)
	movie := live.Name{App: "live", Stream: "movie"}
	if _, err := b.node.find(t.Context(), movie, nil); err != nil {
		t.Fatal(err)
	}
	c := b.node.copyOf(movie)
	wantEqual(t, "it is let go", c.letGo(), false)
	b.node.mu.Lock()
	c.asked = time.Now().Add(-2 * time.Hour)
	b.node.mu.Unlock()
	if _, err := b.node.find(t.Context(), movie, nil); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "it is let go as somebody comes", c.letGo(), false)
	b.node.mu.Lock()
	c.asked = time.Now().Add(-2 * time.Hour)
	b.node.mu.Unlock()
	wantEqual(t, "it is let go when nobody wants it", c.letGo(), true)
	c.stop(errIdle)
}

// TestNoCopyOfOnesOwn: no copy of a stream begins where its publisher is about to begin, whatever
// is said of another home: it would take the publisher's place.
func TestNoCopyOfOnesOwn(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 2)
	a := g.nodes[0].node
	movie := live.Name{App: "live", Stream: "movie"}
	if _, err := a.member.Claim(t.Context(), movie.Key()); err != nil {
		t.Fatal(err)
	}
	if c, began := a.start(movie, nil); c != nil || began {
		t.Error("a copy begins")
	}
	a.member.Begun(movie.Key(), false)
	if c, began := a.start(movie, nil); c == nil || !began {
		t.Error("no copy begins when the publisher was refused")
	}
}

// TestRecordingIsStartedWhileItStops: a stream whose recording is started while another request
// stops the one before stays packaged.
func TestRecordingIsStartedWhileItStops(t *testing.T) {
	t.Parallel()
	s := start(t, recordingTo(t, t.TempDir(), record.ByAPI))
	e := publish(t, s, "movie")
	defer e.performUntil(t)()
	var id string
	eventually(t, "it is recorded", func() bool {
		r, err := s.recorder().Start("live/movie")
		id = r.ID
		return err == nil
	})
	s.letGo("live/movie") // what the other request says last
	eventually(t, "it is packaged", func() bool {
		r, err := s.recorder().Get(id)
		return err == nil && r.Bytes > 0
	})
	wantEqual(t, "end", call(t, http.MethodDelete, s.url("http", "api", "/api/v1/streams/live%2Fmovie/recording")).status, http.StatusNoContent)
}
