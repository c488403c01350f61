package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"livego/internal/cluster"
	"livego/internal/flv"
	"livego/internal/live"
	"livego/internal/pause"
)

// TestStreamMoves ends the home of a stream in order, whose encoder knows nothing of nodes and
// stays: at the home, or at another node. Another node becomes the home. Viewers at other nodes get
// each picture once, and the sound, also where that comes behind its pictures, and so do those at
// the node that ends while its encoder stays.
func TestStreamMoves(t *testing.T) {
	t.Parallel()
	for where, c := range map[string]struct{ at, late int }{
		"the encoder at the home":                 {0, 0},
		"the encoder at the home, late sound":     {0, 100},
		"the encoder at another node":             {1, 0},
		"the encoder at another node, late sound": {1, 100},
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			g, tags, at := startGroup(t, 3, func(o *Options) {
				o.HLS.SegmentDuration, o.DrainPublishers = time.Second, time.Minute
			}), lateSoundIn(clip(t), c.late), c.at
			a := g.nodes[0]
			first := publish(t, a, "movie")
			first.send(tags[:4]...)
			e := first
			if at != 0 { // it takes the stream over
				e = publish(t, g.nodes[at], "movie")
			}
			played := marked(tags, 9)
			e.send(played[:4]...)
			watchers := []*watcher{watchRTMP(t, g.nodes[1], "movie"), watchFLV(t, g.nodes[2], "movie")}
			if at == 0 { // else nothing holds up the end of that node
				watchers = append(watchers, watchFLV(t, a, "movie"), watchRTMP(t, a, "movie"))
			}
			awaitAll(t, watchers, played[3])
			const times = 3
			go func() {
				watchers[0].await(t, played[len(played)/2])
				a.cancel()
			}()
			e.perform(t, played[4:], times)
			g.awaitMove(t)
			e.unpublish()
			for _, w := range watchers {
				w.awaitEnd(t)
				sameMedia(t, w.name, played[4:], times, w.got())
			}
			if err := a.stop(); err != nil {
				t.Error(err)
			}
			wantEqual(t, "encoders that were told to go", a.logs.count("server is shutting down"), 0)
		})
	}
}

// TestNextHomeWithAnotherSecret: a node ends, and the first that its stream would go to has another
// secret: the stream goes to the next one, and the encoder stays.
func TestNextHomeWithAnotherSecret(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2, func(o *Options) { o.DrainPublishers = time.Minute }), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	other := httptest.NewServer(cluster.NewHandler("other", cluster.Secret{[]byte(strings.Repeat("w", cluster.MinSecret))}, cluster.Services{}, nil))
	t.Cleanup(other.Close)
	stranger := cluster.Node{Addr: other.Listener.Addr().String(), State: cluster.Ready, Alive: true}
	for i := 0; ; i++ {
		stranger.ID = "s" + strconv.Itoa(i)
		if first := cluster.Parents([]cluster.Node{stranger, {ID: "b", State: cluster.Ready, Alive: true}}, "", "live/movie")[0]; first.ID == stranger.ID {
			break
		}
	}
	registerNode(t, g.registry, stranger)
	eventually(t, "the node knows both", func() bool { return len(a.node.successors("live/movie")) == 2 })
	e := publish(t, a, "movie")
	e.send(tags[:4]...)
	a.cancel()
	e.perform(t, marked(tags, 9), 2)
	awaitPublishers(t, b, "movie", 1)
	e.unpublish()
	if err := a.stop(); err != nil {
		t.Error(err)
	}
}

// TestSlowNextHome: the next home of a stream must ask somebody about the publisher, who takes his
// time. Viewers at both other nodes get each picture all the same.
func TestSlowNextHome(t *testing.T) {
	t.Parallel()
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = pause.For(r.Context(), passTimeout+time.Second)
	}))
	t.Cleanup(slow.Close)
	g, tags := startGroup(t, 3, func(o *Options) {
		o.DrainPublishers, o.HLSOnDemand = time.Minute, true
		if o.Cluster.ID != "a" {
			o.Hooks.PublishURL, o.Hooks.Timeout = slow.URL, patience
		}
	}), clip(t)
	a := g.nodes[0]
	e := publish(t, a, "movie")
	played := marked(tags, 9)
	e.send(played[:4]...)
	watchers := []*watcher{watchRTMP(t, g.nodes[1], "movie"), watchFLV(t, g.nodes[2], "movie")}
	awaitAll(t, watchers, played[3])
	go func() {
		watchers[0].await(t, played[len(played)/4])
		a.cancel()
	}()
	e.performAt(t, 1, played[4:], 1) // the ring holds what comes meanwhile
	g.awaitMove(t)
	e.unpublish()
	for _, w := range watchers {
		w.awaitEnd(t)
		sameMedia(t, w.name, played[4:], 1, w.got())
	}
	if err := a.stop(); err != nil {
		t.Error(err)
	}
}

// TestPassWithoutAQuestion: a node that has just given a stream up passes it on without asking who
// has it, and asks if the next home does not want it.
func TestPassWithoutAQuestion(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 2)
	a := g.nodes[0].node
	eventually(t, "the nodes know each other", func() bool { return len(a.member.Known()) == 2 })
	a.former.put("live/movie", a.self)
	for tries, asked := range []int64{0, 1} {
		before := g.registry.lookups.Load()
		e, err := a.pass(t.Context(), "live/movie", tries)
		if !errors.Is(err, cluster.ErrHeld) || e.Node.ID != "b" {
			t.Errorf("it is passed to %+v, %v", e, err)
		}
		wantEqual(t, "questions", g.registry.lookups.Load()-before, asked)
	}
}

// lateSoundIn lets frames of sound come behind pictures of so much later, in ms.
func lateSoundIn(tags []flv.Tag, by int) []flv.Tag {
	when := func(tag flv.Tag) int {
		if tag.Type == flv.TypeAudio && !isHeader(tag) {
			return int(tag.TimestampMS) + by
		}
		return int(tag.TimestampMS)
	}
	tags = slices.Clone(tags)
	slices.SortStableFunc(tags, func(a, b flv.Tag) int { return when(a) - when(b) })
	return tags
}

// sameMedia checks that a viewer got all pictures and frames of what was performed so many times,
// each once and in order. A few frames before the first picture may be missing.
func sameMedia(t testing.TB, name string, tags []flv.Tag, times int, got []flv.Tag) {
	t.Helper()
	for _, kind := range []uint8{flv.TypeVideo, flv.TypeAudio} {
		want, have := bodies(slices.Repeat(only(tags, kind), times)), bodies(only(got, kind))
		for len(have) > len(want) { // what there was before
			have = have[1:]
		}
		if missing := len(want) - len(have); missing > 10 || kind == flv.TypeVideo && missing > 0 {
			t.Errorf("%s: %d of type %d, want %d", name, len(have), kind, len(want))
		}
		want = want[len(want)-len(have):]
		for i := range have {
			if !bytes.Equal(have[i], want[i]) {
				t.Errorf("%s: number %d of type %d is not what was sent", name, i, kind)
				break
			}
		}
	}
}

// bodies are those of tags that are no headers.
func bodies(tags []flv.Tag) (all [][]byte) {
	for _, tag := range tags {
		if !isHeader(tag) {
			all = append(all, tag.Body)
		}
	}
	return all
}

// TestAloneNodeDrains: without another node an encoder is told to go, as ever.
func TestAloneNodeDrains(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 1, func(o *Options) { o.DrainPublishers = time.Minute }), clip(t)
	e := publish(t, g.nodes[0], "movie")
	e.send(tags...)
	wantEqual(t, "playlist", call(t, http.MethodGet, g.nodes[0].url("http", "hls", "/live/movie.m3u8")).status, http.StatusOK)
	g.nodes[0].stopWithin(10 * time.Second)
}

// TestFilesAfterAMove ends the home of a stream in order while its encoder stays. What the home
// made last is there for HLS players at each node, also at the one that has the stream then.
func TestFilesAfterAMove(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 3, func(o *Options) { o.HLS.SegmentDuration, o.DrainPublishers = time.Second, time.Minute }), clip(t)
	a := g.nodes[0]
	e := publish(t, a, "movie")
	performed := make(chan struct{})
	go func() {
		defer close(performed)
		e.perform(t, tags, 6)
	}()
	defer func() { <-performed }()
	path := playlistPath(t, a)
	ask := func(s *testServer, path string) answer { return call(t, http.MethodGet, s.url("http", "hls", path)) }
	for _, s := range g.nodes {
		eventually(t, "a part is listed", func() bool { return lastPart(ask(s, path).body) != "" })
	}
	a.cancel()
	last := ""
	eventually(t, "another node is the home", func() bool {
		if now := lastPart(ask(a, path).body); now != "" && !a.node.former.has("live/movie") {
			last = now
		}
		for _, s := range g.nodes[1:] { // players there are served from a until then
			ask(s, path)
		}
		found, err := g.registry.Lookup(t.Context(), "live/movie")
		return err == nil && found.Node.ID != "a"
	})
	if last == "" {
		t.Fatal("no part of the former home is known")
	}
	want := ask(a, "/live/movie/"+last)
	if want.status != http.StatusOK || want.body == "" {
		t.Fatalf("at the former home: %d, %d bytes", want.status, len(want.body))
	}
	for _, s := range g.nodes[1:] {
		ask(s, path) // the new home is noted
		if got := ask(s, "/live/movie/"+last); got.status != http.StatusOK || got.body != want.body {
			_, holds := s.node.member.Holds("live/movie")
			t.Errorf("%s (new home: %v): %d, %d bytes, want %d", s.node.opt.ID, holds, got.status, len(got.body), len(want.body))
		}
	}
}

// playlistPath waits for the path of the first rendition's playlist of the stream movie.
func playlistPath(t *testing.T, s *testServer) (path string) {
	t.Helper()
	eventually(t, "there is a rendition", func() bool {
		for line := range strings.Lines(call(t, http.MethodGet, s.url("http", "hls", "/live/movie/index.m3u8")).body) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				path = "/live/movie/" + line
			}
		}
		return path != ""
	})
	return path
}

// lastPart is the URI of the last part that a playlist lists.
func lastPart(playlist string) (uri string) {
	for line := range strings.Lines(playlist) {
		if rest, ok := strings.CutPrefix(line, "#EXT-X-PART:"); ok {
			_, uri, _ = strings.Cut(rest, `URI="`)
			uri, _, _ = strings.Cut(uri, `"`)
		}
	}
	return uri
}

// TestHomeThatSaysMove: a home that tells a publisher without end to go to another one is left some
// times, and then has the rest of the stream: nothing is lost, and nodes have other things to do.
func TestHomeThatSaysMove(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 1), clip(t)
	home := newMover(t)
	node := cluster.Node{ID: "mover", Addr: home.addr}
	registerNode(t, g.registry, node)
	node.Boot, node.State = "boot", cluster.Ready
	eventually(t, "the stream is the other node's", func() bool {
		_, err := g.registry.Claim(t.Context(), "live/movie", node)
		return err == nil
	})
	e := publish(t, g.nodes[0], "movie")
	const times = 3 // of four key frames each
	e.perform(t, tags, times)
	want := times * len(bodies(only(tags, flv.TypeVideo)))
	eventually(t, "all pictures are at the home", func() bool { return int(home.pictures.Load()) >= want })
	e.unpublish()
	if n := home.publishers.Load(); n < 2 || n > maxMoves+2 { // the first one, and one more after a while
		t.Errorf("the publisher came %d times", n)
	}
	wantEqual(t, "pictures", int(home.pictures.Load()), want)
}

// mover is a node that has each publisher go elsewhere, again and again.
type mover struct {
	addr                 string
	publishers, pictures atomic.Int64
}

func newMover(t *testing.T) *mover {
	m := &mover{}
	handler := cluster.NewHandler("mover", testSecret, cluster.Services{
		Publish: func(_ context.Context, _ cluster.Request, _ cluster.Origin, to cluster.Voice) (cluster.Sink, error) {
			m.publishers.Add(1)
			return movedOn{m, to}, nil
		},
		HomeOf: func(context.Context, string) string { return "" },
		Over:   live.ErrUnpublished, Moved: live.ErrMoved, Gone: live.ErrLost,
	}, nil)
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	m.addr = s.Listener.Addr().String()
	return m
}

// movedOn takes what comes, and says at each message that it is to go elsewhere.
type movedOn struct {
	*mover
	cluster.Voice
}

func (m movedOn) Message(message cluster.Message) error {
	if message.Type == flv.TypeVideo && len(message.Body) > 1 && message.Body[1] != 0 {
		m.pictures.Add(1)
	}
	m.Move()
	return nil
}

func (m movedOn) End(error) {}
