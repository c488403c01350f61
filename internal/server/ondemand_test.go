package server

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"livego/internal/live"
)

// pulling is a server that pulls from another one what somebody wants to watch.
func pulling(t testing.TB, origin *testServer, scheme, protocol string, idle time.Duration) *testServer {
	return start(t, func(o *Options) {
		o.Apps[0].Pull, o.Apps[0].PullIdle = origin.url(scheme, protocol, "/live"), idle
		o.PlayWait, o.Live.Grace = 0, 0
	})
}

// TestPullOnDemand: the first viewer, by whatever protocol, starts one pull, which all share, and
// it ends when nobody watches, and starts again with the next viewer.
func TestPullOnDemand(t *testing.T) {
	t.Parallel()
	for _, from := range []struct{ scheme, protocol string }{{"rtmp", "rtmp"}, {"http", "http-flv"}} {
		t.Run(from.protocol, func(t *testing.T) {
			t.Parallel()
			origin, tags := start(t), clip(t)
			edge := pulling(t, origin, from.scheme, from.protocol, time.Second)
			e := publish(t, origin, "far")
			go e.perform(t, tags, 1)
			hls := make(chan int, 1)
			go func() { hls <- call(t, "GET", edge.url("http", "hls", "/live/far/index.m3u8")).status }()
			first := watchRTMP(t, edge, "far")
			awaitPlayers(t, edge, "far", 1)
			second := watchFLV(t, edge, "far")
			awaitAll(t, []*watcher{first, second}, tags[len(tags)-1])
			wantEqual(t, "playlist", receive(t, "the playlist", hls), 200)
			awaitPlayers(t, origin, "far", 1) // for all of them
			first.leave()
			second.leave()
			awaitPlayers(t, origin, "far", 0)
			eventually(t, "the stream is gone", func() bool { return len(edge.hub.Publications()) == 0 })
			again := watchRTMP(t, edge, "far") // the pull starts again
			awaitPlayers(t, edge, "far", 1)
			again.leave()
			awaitPlayers(t, origin, "far", 0)
			wantEqual(t, "pulls", edge.logs.count("stream is pulled, as"), 2)
		})
	}
}

// TestPullForWhoWaits: a request for what comes next is somebody who watches, however long it
// waits.
func TestPullForWhoWaits(t *testing.T) {
	t.Parallel()
	origin, tags := start(t), clip(t)
	edge := pulling(t, origin, "http", "http-flv", time.Second)
	e := publish(t, origin, "far")
	few, half := 20, len(tags)/2
	e.send(tags[:few]...)
	answers := make(chan answer, 1)
	ask := func(address string) { answers <- call(t, "GET", address) }
	go ask(edge.url("http", "hls", "/live/far/index.m3u8"))
	eventually(t, "it is asked for", func() bool { return !edge.hls.Asked("live/far").IsZero() })
	e.send(tags[few:half]...)
	wantEqual(t, "multivariant playlist", receive(t, "the answer to who came first", answers).status, 200)
	list := edge.url("http", "hls", "/live/far/index-v0.m3u8")
	var text, next string
	for same := 0; same < 5; same++ { // all that was sent is packaged
		time.Sleep(100 * time.Millisecond)
		if now := call(t, "GET", list).body; now != text {
			text, same = now, 0
		}
	}
	for _, line := range strings.Split(text, "\n") {
		if _, file, hints := strings.Cut(line, `TYPE=PART,URI="v0/`); hints {
			segment, part, _ := strings.Cut(strings.TrimSuffix(file, `.m4s"`), ".")
			next = "?_HLS_msn=" + segment + "&_HLS_part=" + part
		}
	}
	go ask(list + next)
	<-time.After(time.Second + 2*pullLook) // after which nobody would watch
	e.send(tags[half:]...)
	got := receive(t, "the answer to who waits", answers)
	wantEqual(t, "status", got.status, 200)
	if next == "" || strings.Contains(got.body, "#EXT-X-ENDLIST") || edge.logs.count("stream is pulled no more") > 0 {
		t.Errorf("%q was waited for, and the pull ended meanwhile:\n%s", next, got.body)
	}
}

// atLine calls a function when a line with a text is logged, before that is written.
type atLine struct {
	slog.Handler
	text string
	do   func()
}

func (h atLine) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == h.text {
		h.do()
	}
	return h.Handler.Handle(ctx, r)
}

// TestPullWhileItEnds: who comes while a pull ends has it start again.
func TestPullWhileItEnds(t *testing.T) {
	t.Parallel()
	origin, tags := start(t), clip(t)
	publish(t, origin, "far").send(tags[:20]...)
	asked := make(chan time.Duration, 2)
	var edge *testServer
	ending := func() { asked <- edge.bring(live.Name{App: "live", Stream: "far"}, nil) }
	edge = open(t, func(o *Options) {
		o.Apps[0].Pull, o.PlayWait, o.Live.Grace = origin.url("http", "http-flv", "/live"), 0, 0
		o.Log = slog.New(atLine{o.Log.Handler(), "stream is pulled no more", sync.OnceFunc(ending)})
	})
	edge.run()
	first := watchFLV(t, edge, "far")
	awaitPlayers(t, origin, "far", 1)
	first.leave()
	wantEqual(t, "wait", receive(t, "asked while it ends", asked), pullWait)
	eventually(t, "the pull starts again", func() bool { return edge.logs.count("stream is pulled, as") == 2 })
	eventually(t, "and ends", func() bool { return edge.logs.count("stream is pulled no more") == 2 })
}

// TestPullOfNothing: what is not there is asked for once in a while, and nothing that may be a key
// is asked for at all.
func TestPullOfNothing(t *testing.T) {
	t.Parallel()
	origin := start(t)
	edge := pulling(t, origin, "http", "http-flv", time.Minute)
	flv := edge.url("http", "http-flv", "/live/nothing.flv")
	wantEqual(t, "status", call(t, "GET", flv).status, 404)
	wantEqual(t, "status", call(t, "GET", flv).status, 404)
	eventually(t, "the pull ends", func() bool { return edge.logs.count("stream is pulled no more") >= 1 })
	pulls := edge.logs.count("stream is pulled, as")
	wantEqual(t, "status", call(t, "GET", edge.url("http", "http-flv", "/live/"+origin.key("room")+".flv")).status, 404)
	wantEqual(t, "pulls", edge.logs.count("stream is pulled, as"), pulls)
}

func TestPullURL(t *testing.T) {
	for base, want := range map[string]string{
		"rtmp://h/live":           "rtmp://h/live/a/b",
		"rtmp://h/live/?token=x":  "rtmp://h/live/a/b?token=x",
		"https://h:7001/live?k=v": "https://h:7001/live/a/b.flv?k=v",
	} {
		wantEqual(t, base, pullURL(base, "a/b"), want)
	}
}
