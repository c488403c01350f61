package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"livego/internal/cluster"
	"livego/internal/keys"
	"livego/internal/rtmp"
	"livego/internal/ticket"
)

// flaky is a registry that can be away.
type flaky struct {
	*cluster.Memory
	away    atomic.Bool
	lookups atomic.Int64
}

func (f *flaky) err() error {
	if f.away.Load() {
		return cluster.ErrUnavailable
	}
	return nil
}

func (f *flaky) Beat(ctx context.Context, n cluster.Node, held []cluster.Held) (cluster.Beaten, error) {
	if err := f.err(); err != nil {
		return cluster.Beaten{}, err
	}
	return f.Memory.Beat(ctx, n, held)
}

func (f *flaky) Claim(ctx context.Context, stream string, n cluster.Node) (cluster.Entry, error) {
	if err := f.err(); err != nil {
		return cluster.Entry{}, err
	}
	return f.Memory.Claim(ctx, stream, n)
}

func (f *flaky) Free(ctx context.Context, stream string, n cluster.Node, token int64, hand cluster.Hand) error {
	if err := f.err(); err != nil {
		return err
	}
	return f.Memory.Free(ctx, stream, n, token, hand)
}

func (f *flaky) Lookup(ctx context.Context, stream string) (cluster.Entry, error) {
	f.lookups.Add(1)
	if err := f.err(); err != nil {
		return cluster.Entry{}, err
	}
	return f.Memory.Lookup(ctx, stream)
}

// group is several servers that are one.
type group struct {
	registry *flaky
	keys     keys.Store
	nodes    []*testServer
}

var testSecret = cluster.Secret{[]byte(strings.Repeat("s", cluster.MinSecret))}

// awaitMove waits until the stream movie has another home than the node a.
func (g *group) awaitMove(t testing.TB) {
	t.Helper()
	eventually(t, "another node is the home", func() bool {
		e, err := g.registry.Lookup(t.Context(), "live/movie")
		return err == nil && e.Node.ID != "a"
	})
}

// startGroup starts so many nodes with one registry and one store of keys.
func startGroup(t testing.TB, n int, change ...func(*Options)) *group {
	t.Helper()
	return startRegions(t, make([]string, n), change...)
}

// startRegions is startGroup with a node for each region that is named.
func startRegions(t testing.TB, regions []string, change ...func(*Options)) *group {
	t.Helper()
	g := &group{registry: &flaky{Memory: cluster.NewMemory(nil)}, keys: keys.NewMemory(keys.Options{})}
	for i, region := range regions {
		g.nodes = append(g.nodes, start(t, append([]func(*Options){func(o *Options) {
			o.Keys = g.keys
			o.Cluster.Addr, o.Cluster.ID, o.Cluster.Region = "127.0.0.1:0", string(rune('a'+i)), region
			o.Cluster.Secret, o.Cluster.Registry = testSecret, g.registry
		}}, change...)...))
	}
	return g
}

// TestStreamAtOtherNodes publishes at one node and plays at another by everything that has a
// connection: all get what was published, and one feed serves them.
func TestStreamAtOtherNodes(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	watchers := []*watcher{watchRTMP(t, b, "movie")} // it waits for the stream
	e := publish(t, a, "movie")
	e.send(tags[:4]...)
	awaitPlayers(t, b, "movie", 1)
	watchers = append(watchers, watchFLV(t, b, "movie"), watchWS(t, b, "movie"), watchRTMP(t, a, "movie"))
	awaitPlayers(t, b, "movie", 3)
	awaitPlayers(t, a, "movie", 1)
	awaitAll(t, watchers, tags[3])
	e.send(tags[4:]...)
	e.unpublish()
	for _, w := range watchers {
		w.awaitEnd(t)
		beginsWell(t, w.name, w.got())
		sameTags(t, w.name, tags, w.got(), 0)
	}
	wantEqual(t, "feeds", a.logs.count("stream goes to another node\""), 1)
	eventually(t, "the stream is free", func() bool {
		_, err := g.registry.Lookup(t.Context(), "live/movie")
		return errors.Is(err, cluster.ErrNotFound)
	})
}

// TestStreamNowhere: what no node has is refused at once.
func TestStreamNowhere(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 2)
	began := time.Now()
	wantEqual(t, "status", call(t, http.MethodGet, g.nodes[1].url("http", "http-flv", "/live/none.flv")).status, http.StatusNotFound)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestIdleStreamOfAnotherNode is let go after its last viewer.
func TestIdleStreamOfAnotherNode(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2, func(o *Options) { o.Cluster.Idle = time.Second }), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	e := publish(t, a, "movie")
	e.send(tags[:4]...)
	w := watchFLV(t, b, "movie")
	w.await(t, tags[3])
	wantEqual(t, "streams at b", len(b.hub.Publications()), 1)
	w.leave()
	eventually(t, "the stream is let go", func() bool { return len(b.hub.Publications()) == 0 })
	e.send(tags[4:]...)
	wantEqual(t, "streams at a", len(a.hub.Publications()), 1)
}

// TestPublisherAtAnotherNode: the encoder of a stream that has its home elsewhere is taken there:
// as a second rendition, and as one that takes over.
func TestPublisherAtAnotherNode(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	first := publish(t, a, "movie")
	first.send(tags[:4]...)
	w := watchFLV(t, a, "movie")
	w.await(t, tags[3])

	second := publish(t, b, "movie")
	eventually(t, "the first encoder is told that it was taken over", func() bool { return first.trySend(tags[4]) != nil })
	later := marked(tags, 9)
	second.send(later...)
	w.await(t, later[len(later)-1])
	wantEqual(t, "streams at b", len(b.hub.Publications()), 0)

	_, err := tryPublish(t, b.url("rtmp", "rtmp", "/live/"+b.key("movie")+"?rendition=low"))
	if err != nil {
		t.Errorf("a second rendition: %v", err)
	}
	eventually(t, "two renditions at the home", func() bool { return len(a.hub.Publications()) == 2 })
	second.unpublish()
	w.awaitEnd(t)

	// What the home refuses, the encoder hears.
	g = startGroup(t, 2, func(o *Options) { o.Live.Takeover = false })
	publish(t, g.nodes[0], "movie")
	_, err = tryPublish(t, g.nodes[1].url("rtmp", "rtmp", "/live/"+g.nodes[1].key("movie")))
	refusedWith(t, "second publisher without takeover", err, rtmp.CodePublishBadName)
	wantContains(t, "the reason", err.Error(), "has a publisher already")
}

// TestHomeIsTaken: a node that was cut off ends what another has taken, and serves its viewers from
// there.
func TestHomeIsTaken(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	e := publish(t, a, "movie")
	e.send(tags[:4]...)
	w := watchFLV(t, a, "movie")
	w.await(t, tags[3])
	// The registry believes that a is gone, and b takes the stream.
	if err := g.registry.Leave(t.Context(), "a", a.node.self.Boot); err != nil {
		t.Fatal(err)
	}
	f := publish(t, b, "movie")
	later := marked(tags, 9)
	f.send(later...)
	eventually(t, "the encoder at a is told", func() bool { return e.trySend(tags[4]) != nil })
	f.send(later...)
	w.await(t, later[len(later)-1])
	f.unpublish()
	w.awaitEnd(t)
}

// TestNodesNeedTheSecret: nobody else gets anything, whatever the request, and loops end.
func TestNodesNeedTheSecret(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 1), clip(t)
	a := g.nodes[0]
	e := publish(t, a, "movie")
	e.send(tags[:4]...)
	status := func(secret cluster.Secret, at time.Time, signed, asked string, header ...string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url("http", "cluster", signed), nil)
		if err != nil {
			t.Fatal(err)
		}
		if secret != nil {
			secret.Sign(r, "b", "a", at)
		}
		if asked != signed {
			r.URL.Path = asked
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := httpClient().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	const feed = "/feed/live/movie"
	wrong := cluster.Secret{[]byte(strings.Repeat("w", cluster.MinSecret))}
	now := time.Now()
	for what, c := range map[string]struct{ got, want int }{
		"the secret":            {status(testSecret, now, feed, feed), 200},
		"no secret":             {status(nil, now, feed, feed), 401},
		"wrong secret":          {status(wrong, now, feed, feed), 401},
		"of yesterday":          {status(testSecret, now.Add(-time.Minute), feed, feed), 401},
		"of tomorrow":           {status(testSecret, now.Add(time.Minute), feed, feed), 401},
		"of another path":       {status(testSecret, now, "/feed/live/other", feed), 401},
		"files without secret":  {status(nil, now, "/hls/live/movie.m3u8", "/hls/live/movie.m3u8"), 401},
		"nothing at all":        {status(nil, now, "/", "/"), 401},
		"a stream that is not":  {status(testSecret, now, "/feed/live/none", "/feed/live/none"), 404},
		"through itself":        {status(testSecret, now, feed, feed, "Via", "x, a, b"), 508},
		"through too many":      {status(testSecret, now, feed, feed, "Via", "c, d, e, f, g"), 508},
		"publishing by nothing": {status(testSecret, now, "/publish/live/movie", "/publish/live/movie"), 404},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", what, c.got, c.want)
		}
	}
	replay, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url("http", "cluster", feed), nil)
	if err != nil {
		t.Fatal(err)
	}
	testSecret.Sign(replay, "b", "a", time.Now())
	for i, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		resp, err := httpClient().Do(replay)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		wantEqual(t, "status of request "+strconv.Itoa(i+1), resp.StatusCode, want)
	}
	tries := 0
	for status(nil, now, feed, feed) != http.StatusTooManyRequests {
		if tries++; tries > 100 {
			t.Fatal("nobody who guesses is slowed down")
		}
	}
	wantEqual(t, "a node from the same address", status(testSecret, time.Now(), feed, feed), 200)
}

// TestRegistryAway: what runs goes on without a registry, and who publishes then is known when it
// is back.
func TestRegistryAway(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	e := publish(t, a, "movie")
	e.send(tags[:4]...)
	w := watchFLV(t, b, "movie")
	awaitPlayers(t, b, "movie", 1)
	g.registry.away.Store(true)
	eventually(t, "both say that the registry is away", func() bool {
		return a.logs.count("the registry is away") == 1 && b.logs.count("the registry is away") == 1
	})
	e.send(tags[4:]...)
	w.await(t, tags[len(tags)-1])
	late := watchFLV(t, b, "movie")
	late.await(t, tags[len(tags)-1])
	other := publish(t, b, "other")
	other.send(tags[:4]...)
	watchFLV(t, b, "other").await(t, tags[3])

	g.registry.Flush()
	g.registry.away.Store(false)
	eventually(t, "the registry knows both", func() bool {
		movie, err := g.registry.Lookup(t.Context(), "live/movie")
		other, otherErr := g.registry.Lookup(t.Context(), "live/other")
		return err == nil && otherErr == nil && movie.Node.ID == "a" && other.Node.ID == "b" && other.Claim.Token > 0
	})
	watchFLV(t, a, "other").await(t, tags[3])
	e.unpublish()
	w.awaitEnd(t)
}

// TestTwins: a second server with the name of one that runs ends, and says why.
func TestTwins(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 1)
	eventually(t, "the node is known", func() bool {
		nodes, _ := g.registry.Nodes(t.Context())
		return len(nodes) == 1
	})
	twin := open(t, func(o *Options) {
		o.Cluster.Addr, o.Cluster.ID = "127.0.0.1:0", "a"
		o.Cluster.Secret, o.Cluster.Registry = testSecret, g.registry
	})
	if err := twin.Run(t.Context()); !errors.Is(err, cluster.ErrTwin) {
		t.Errorf("the twin ends with %v", err)
	}
}

// TestNodeDrains ends the home of a stream in order: its encoder may go on at once at another node,
// where numbers do not fall, and viewers there stay.
func TestNodeDrains(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2, func(o *Options) { o.HLS.SegmentDuration = time.Second }), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	e := publish(t, a, "movie")
	e.send(tags...)
	w := watchFLV(t, b, "movie")
	w.await(t, tags[len(tags)-1])
	used := func() (numbers cluster.Hand) {
		if e, err := g.registry.Lookup(t.Context(), "live/movie"); err == nil {
			numbers = e.Claim.Hand
		}
		return numbers
	}
	eventually(t, "HLS", func() bool {
		return call(t, http.MethodGet, b.url("http", "hls", "/live/movie/index.m3u8")).status == http.StatusOK && used().Segment > 0
	})
	before := used()
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	f := publish(t, b, "movie")
	later := marked(tags, 9)
	f.send(later...)
	w.await(t, later[len(later)-1])
	// Numbers go on by one, so that players know where the next segment belongs.
	eventually(t, "HLS at the next home", func() bool { return used().Segment > before.Segment && used().Begun > before.Begun })
	if after := used(); after.Segment > before.Segment+10 { // the clip has some, of which a told b in time or not
		t.Errorf("segment %d follows %d", after.Segment, before.Segment)
	}
	if nodes, err := g.registry.Nodes(t.Context()); err != nil || nodes[0].ID != "a" || nodes[0].Alive || nodes[0].State != cluster.Draining {
		t.Errorf("%+v, %v", nodes, err)
	}
	f.unpublish()
	w.awaitEnd(t)
}

// TestRevokedAtOtherNodes: a token that is revoked at one node opens nothing at another, and who
// watches there with it is disconnected.
func TestRevokedAtOtherNodes(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 2, func(o *Options) {
		o.Apps[0].ViewerAuth = ViewersWithToken
		o.Tickets.Keys = []ticket.KeyOptions{{ID: "a", Algorithm: "HS256", Secret: strings.Repeat("k", 32)}}
	})
	a, b := g.nodes[0], g.nodes[1]
	token, id, err := tokens{a.Server}.Sign(ticket.Wanted{Paths: []string{"live/movie"}})
	if err != nil {
		t.Fatal(err)
	}
	e := publish(t, a, "movie")
	e.send(clip(t)[:4]...)
	w := watchFLVAt(t, b.url("http", "http-flv", "/live/movie.flv?token="+token))
	awaitPlayers(t, b, "movie", 1)
	if err := (tokens{a.Server}).Revoke(id, time.Time{}); err != nil {
		t.Fatal(err)
	}
	w.awaitEnd(t)
	got := call(t, http.MethodGet, b.url("http", "http-flv", "/live/movie.flv?token="+token))
	wantEqual(t, "status", got.status, http.StatusForbidden)
	wantContains(t, "reason", got.body, "revoked")
}
