package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"livego/internal/redisconn"
)

// backend is a registry with what a test does to it behind its back.
type backend struct {
	Registry
	// expire ends a node's lease, as time does.
	expire func(id string)
	// flush loses all data.
	flush func()
	// advance lets time pass, where it can be made to; else nil.
	advance func(time.Duration)
}

// forEach runs the test on every kind of registry.
func forEach(t *testing.T, test func(t *testing.T, b backend)) {
	t.Run("memory", func(t *testing.T) {
		clock := &ticking{now: time.Now()}
		m := NewMemory(clock.time)
		test(t, backend{Registry: m, flush: m.Flush, advance: clock.advance, expire: func(id string) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.nodes[id].beaten = clock.time().Add(-leaseTime)
		}})
	})
	t.Run("miniredis", func(t *testing.T) {
		m := miniredis.RunT(t)
		b := onRedis(t, m.Addr())
		b.advance = m.FastForward
		test(t, b)
	})
	for name, start := range map[string]func(*testing.T) string{
		"redis-server": redisServer, "redis-cluster": redisCluster, "redis-sentinel": redisSentinel,
	} {
		t.Run(name, func(t *testing.T) { test(t, onRedis(t, start(t))) })
	}
}

// onRedis returns the registry at an address, which is empty.
func onRedis(t *testing.T, addr string) backend {
	t.Helper()
	client, err := redisconn.Open(addr, "")
	if err != nil {
		t.Fatal(err)
	}
	r := newRedisRegistry(client, "")
	t.Cleanup(func() { _ = r.Close() })
	b := backend{Registry: r, expire: func(id string) {
		if err := client.Del(context.Background(), r.prefix+":node:"+id).Err(); err != nil {
			t.Error(err)
		}
	}, flush: func() {
		if err := flushAll(client); err != nil {
			t.Error(err)
		}
	}}
	b.flush()
	return b
}

func flushAll(client redis.UniversalClient) error {
	ctx := context.Background()
	if masters, ok := client.(*redis.ClusterClient); ok {
		return masters.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() })
	}
	return client.FlushAll(ctx).Err()
}

// ticking is a clock that moves by what it is told, and a little by itself.
type ticking struct {
	mu  sync.Mutex
	now time.Time
}

func (c *ticking) time() time.Time {
	c.advance(time.Microsecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *ticking) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// node returns a node's first life, or a later one.
func node(id string, boot ...string) Node {
	return Node{ID: id, Boot: id + strings.Join(append([]string{"-1"}, boot...), ""), Addr: id + ".example:7100", State: Ready}
}

func claim(t *testing.T, r Registry, stream string, n Node) Entry {
	t.Helper()
	e, err := r.Claim(t.Context(), stream, n)
	if err != nil {
		t.Fatalf("claim of %s by %s: %v", stream, n.ID, err)
	}
	if e.Stream != stream || e.Node.ID != n.ID || e.Node.Boot != n.Boot || e.Claim.Token <= 0 {
		t.Fatalf("claim of %s by %s gives %+v", stream, n.ID, e)
	}
	return e
}

func beat(t *testing.T, r Registry, n Node, held ...Held) Beaten {
	t.Helper()
	b, err := r.Beat(t.Context(), n, held)
	if err != nil {
		t.Fatalf("beat of %s: %v", n.ID, err)
	}
	return b
}

// home returns the node that has a stream, empty for none.
func home(t *testing.T, r Registry, stream string) string {
	t.Helper()
	e, err := r.Lookup(t.Context(), stream)
	if errors.Is(err, ErrNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	if e.Stream != stream || !e.Node.Alive || e.Node.Addr != e.Node.ID+".example:7100" {
		t.Errorf("lookup of %s: %+v", stream, e)
	}
	return e.Node.ID
}

func wantHome(t *testing.T, r Registry, stream, want string) {
	t.Helper()
	if got := home(t, r, stream); got != want {
		t.Errorf("home of %s: %q, want %q", stream, got, want)
	}
}

func TestClaimIsExclusiveWhileTheLeaseLives(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		a, c := node("a"), node("c")
		wantHome(t, b, "live/movie", "")
		first := claim(t, b, "live/movie", a)
		if again := claim(t, b, "live/movie", a); again.Claim.Token != first.Claim.Token {
			t.Error("the home's own claim changes its token")
		}
		held, err := b.Claim(t.Context(), "live/movie", c)
		if !errors.Is(err, ErrHeld) || held.Node.ID != "a" || held.Node.Addr != a.Addr {
			t.Errorf("claim of a stream that lives: %+v, %v", held, err)
		}
		other := claim(t, b, "live/other", c)
		if other.Claim.Token <= first.Claim.Token {
			t.Errorf("tokens do not rise: %d, %d", first.Claim.Token, other.Claim.Token)
		}
		b.expire("a")
		wantHome(t, b, "live/movie", "")
		second := claim(t, b, "live/movie", c)
		if second.Claim.Token <= other.Claim.Token {
			t.Errorf("tokens do not rise: %d, %d", other.Claim.Token, second.Claim.Token)
		}
		wantHome(t, b, "live/movie", "c")
	})
}

// TestZombie: a node that comes back after its lease was over hears that its stream is gone, and
// overwrites nothing.
func TestZombie(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		a, c := node("a"), node("c")
		old := claim(t, b, "live/movie", a)
		b.expire("a")
		claim(t, b, "live/movie", c)
		got := beat(t, b, a, Held{Stream: "live/movie", Token: old.Claim.Token})
		if diff := cmp.Diff([]string{"live/movie"}, got.Lost); diff != "" {
			t.Error(diff)
		}
		wantHome(t, b, "live/movie", "c")
		if err := b.Free(t.Context(), "live/movie", a, old.Claim.Token, Hand{}); err != nil {
			t.Error(err)
		}
		wantHome(t, b, "live/movie", "c")
	})
}

// TestDied: a stream of a node that died is nowhere, but that is said of it for a while; not of one
// that was given back, or whose node lives again.
func TestDied(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		a := node("a")
		e := claim(t, b, "live/over", a)
		claim(t, b, "live/movie", a)
		if err := b.Free(t.Context(), "live/over", a, e.Claim.Token, Hand{}); err != nil {
			t.Fatal(err)
		}
		b.expire("a")
		for stream, died := range map[string]bool{"live/movie": true, "live/over": false, "live/never": false} {
			if e, err := b.Lookup(t.Context(), stream); !errors.Is(err, ErrNotFound) || errors.Is(err, ErrDied) != died || e != (Entry{}) {
				t.Errorf("lookup of %s: %+v, %v", stream, e, err)
			}
		}
		if all, err := b.Streams(t.Context(), 10); err != nil || len(all) != 0 {
			t.Errorf("streams: %+v, %v", all, err)
		}
		if _, ok := b.Registry.(*Memory); ok {
			b.advance(mourning)
			if _, err := b.Lookup(t.Context(), "live/movie"); err != ErrNotFound {
				t.Errorf("later: %v", err)
			}
		}
		beat(t, b, node("a", "again"))
		if _, err := b.Lookup(t.Context(), "live/movie"); err != ErrNotFound {
			t.Errorf("while the node lives again: %v", err)
		}
	})
}

// TestNewLife: a node that was started again does not have what its life before had.
func TestNewLife(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		old := claim(t, b, "live/movie", node("a"))
		again := node("a", "again")
		b.expire("a")
		beat(t, b, again)
		wantHome(t, b, "live/movie", "")
		if e := claim(t, b, "live/movie", again); e.Claim.Token <= old.Claim.Token {
			t.Errorf("token %d after %d", e.Claim.Token, old.Claim.Token)
		}
	})
}

// TestTwoLives: of two processes under one name the one that has the lease keeps it, and all its
// streams, for as long as it lives; the other one takes nothing.
func TestTwoLives(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		first, second := node("a"), node("a", "twin")
		claim(t, b, "live/movie", first)
		if _, err := b.Beat(t.Context(), second, []Held{{Stream: "live/other", Token: 0}}); !errors.Is(err, ErrTwin) {
			t.Errorf("beat of the twin: %v", err)
		}
		for _, stream := range []string{"live/movie", "live/other"} {
			if _, err := b.Claim(t.Context(), stream, second); !errors.Is(err, ErrTwin) {
				t.Errorf("claim of %s by the twin: %v", stream, err)
			}
		}
		wantHome(t, b, "live/movie", "a")
		wantHome(t, b, "live/other", "")
		if e, err := b.Lookup(t.Context(), "live/movie"); err != nil || e.Node.Boot != first.Boot {
			t.Errorf("%+v, %v", e, err)
		}
		beat(t, b, first)
		b.expire("a")
		beat(t, b, second)
		if _, err := b.Beat(t.Context(), first, nil); !errors.Is(err, ErrTwin) {
			t.Errorf("beat of the one whose lease was over: %v", err)
		}
	})
}

// TestLostRegistry: an empty Redis learns all by beats; tokens stay, and new ones are above them.
func TestLostRegistry(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		a, c := node("a"), node("c")
		e := claim(t, b, "live/movie", a)
		b.flush()
		got := beat(t, b, a, Held{Stream: "live/movie", Token: e.Claim.Token}, Held{Stream: "live/local", Token: 0})
		if len(got.Lost) != 0 || len(got.Tokens) != 1 || got.Tokens["live/local"] <= e.Claim.Token {
			t.Errorf("%+v", got)
		}
		wantHome(t, b, "live/movie", "a")
		wantHome(t, b, "live/local", "a")
		if next := claim(t, b, "live/next", c); next.Claim.Token <= got.Tokens["live/local"] {
			t.Errorf("token %d after %d", next.Claim.Token, got.Tokens["live/local"])
		}
	})
}

// TestTwoHomes: of two nodes that took a stream while the registry was away the higher token wins,
// in whatever order they beat.
func TestTwoHomes(t *testing.T) {
	for name, order := range map[string][]int{"winner first": {1, 0, 1}, "loser first": {0, 1, 0}} {
		t.Run(name, func(t *testing.T) {
			forEach(t, func(t *testing.T, b backend) {
				nodes := []Node{node("a"), node("c")}
				early := claim(t, b, "live/movie", nodes[0])
				b.expire("a")
				late := claim(t, b, "live/movie", nodes[1])
				b.flush()
				tokens := []int64{early.Claim.Token, late.Claim.Token}
				lost := map[string]bool{}
				for _, i := range order {
					for _, stream := range beat(t, b, nodes[i], Held{Stream: "live/movie", Token: tokens[i]}).Lost {
						lost[nodes[i].ID+stream] = true
					}
				}
				if diff := cmp.Diff(map[string]bool{"alive/movie": true}, lost); diff != "" {
					t.Error(diff)
				}
				wantHome(t, b, "live/movie", "c")
			})
		})
	}
}

// TestLocalHome: a stream that was taken without the registry is lost to one that has a home.
func TestLocalHome(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		a, c := node("a"), node("c")
		claim(t, b, "live/movie", a)
		got := beat(t, b, c, Held{Stream: "live/movie", Token: 0})
		if len(got.Lost) != 1 || len(got.Tokens) != 0 {
			t.Errorf("%+v", got)
		}
		wantHome(t, b, "live/movie", "a")
	})
}

func TestFreeHandsOver(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		a, c := node("a"), node("c")
		e := claim(t, b, "live/movie", a)
		hand := Hand{Segment: 7, Discontinuity: 3, Begun: 123456, Over: true, Noted: time.Unix(1_790_000_000, 5).UTC()}
		if err := b.Free(t.Context(), "live/movie", a, e.Claim.Token+1, hand); err != nil {
			t.Error(err)
		}
		wantHome(t, b, "live/movie", "a") // another token frees nothing
		if err := b.Free(t.Context(), "live/movie", a, e.Claim.Token, hand); err != nil {
			t.Error(err)
		}
		wantHome(t, b, "live/movie", "")
		got := claim(t, b, "live/movie", c)
		if got.Claim.Hand != hand || got.Claim.Token <= e.Claim.Token {
			t.Errorf("the next home gets %+v", got.Claim)
		}
		b.expire("c")
		if got := claim(t, b, "live/movie", a); got.Claim.Hand != hand {
			t.Errorf("after a home that died: %+v", got.Claim)
		}
	})
}

// TestHomeDiesWithHand: what a home told in its beats is there for the next one, and a beat that
// tells nothing forgets nothing.
func TestHomeDiesWithHand(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		a, c := node("a"), node("c")
		e := claim(t, b, "live/movie", a)
		hand := Hand{Segment: 7, Begun: 123456, Noted: time.Unix(1_790_000_000, 5).UTC()}
		beat(t, b, a, Held{Stream: "live/movie", Token: e.Claim.Token, Hand: hand}, Held{Stream: "live/local", Hand: hand})
		beat(t, b, a, Held{Stream: "live/movie", Token: e.Claim.Token})
		b.expire("a")
		for _, stream := range []string{"live/movie", "live/local"} {
			if got := claim(t, b, stream, c); got.Claim.Hand != hand {
				t.Errorf("%s: the next home gets %+v", stream, got.Claim)
			}
		}
	})
}

func TestNodes(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		a, c := node("a"), node("c")
		a.State, a.Load, a.Region, a.Started = Draining, 0.5, "eu", time.Unix(1_790_000_000, 0).UTC()
		beat(t, b, c)
		beat(t, b, a)
		b.expire("c")
		got, err := b.Nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a.Alive = true
		if diff := cmp.Diff([]Node{a, c}, got); diff != "" {
			t.Error(diff)
		}
		if err := b.Leave(t.Context(), "a", "another life"); err != nil {
			t.Error(err)
		}
		claim(t, b, "live/movie", a)
		if err := b.Leave(t.Context(), "a", a.Boot); err != nil {
			t.Error(err)
		}
		if got, _ := b.Nodes(t.Context()); len(got) != 2 || got[0].Alive {
			t.Errorf("after leaving: %+v", got)
		}
		wantHome(t, b, "live/movie", "")
	})
}

// TestManyStreams: more than one batch, names with odd characters, and all are listed.
func TestManyStreams(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		a, held := node("a"), []Held{}
		for i := range 2*maxBatch + 7 {
			held = append(held, Held{Stream: fmt.Sprintf("live/a b{%d}:é", i), Token: 0})
		}
		got := beat(t, b, a, held...)
		if len(got.Tokens) != len(held) {
			t.Fatalf("%d tokens for %d streams", len(got.Tokens), len(held))
		}
		all, err := b.Streams(t.Context(), 10_000)
		if err != nil || len(all) != len(held) {
			t.Errorf("%d streams, %v", len(all), err)
		}
		if few, err := b.Streams(t.Context(), 5); err != nil || len(few) != 5 {
			t.Errorf("%d streams, %v", len(few), err)
		}
		wantHome(t, b, held[3].Stream, "a")
		b.expire("a")
		if none, err := b.Streams(t.Context(), 10_000); err != nil || len(none) != 0 {
			t.Errorf("%d streams of a node that is gone, %v", len(none), err)
		}
	})
}

func TestWatch(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		changes := make(chan Change, 100)
		ctx, cancel := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() { _ = b.Watch(ctx, func(c Change) { changes <- c }) })
		want := func(want Change) {
			t.Helper()
			for {
				select {
				case got := <-changes:
					if got == want {
						return
					}
				case <-time.After(10 * time.Second):
					t.Fatalf("nothing is told of %+v", want)
				}
			}
		}
		want(Change{})
		a := node("a")
		e := claim(t, b, "live/a b", a)
		want(Change{"live/a b", "a"})
		_ = b.Free(t.Context(), "live/a b", a, e.Claim.Token, Hand{})
		want(Change{"live/a b", "a"})
		_ = b.Leave(t.Context(), "a", a.Boot)
		want(Change{"", "a"})
		cancel()
		watching.Wait()
	})
}

// TestClock: a beat tells how far the clocks are apart.
func TestClock(t *testing.T) {
	m := miniredis.RunT(t)
	b := onRedis(t, m.Addr())
	m.SetTime(time.Now().Add(time.Hour))
	if ahead := beat(t, b, node("a")).Ahead; ahead < 59*time.Minute || ahead > 61*time.Minute {
		t.Errorf("the registry is ahead by %v, want 1 h", ahead)
	}
}

// TestSlowAnswer: an answer that was long on its way says no more of the clock than it can.
func TestSlowAnswer(t *testing.T) {
	sent := time.UnixMicro(1_800_000_000_000_000)
	for _, c := range []struct{ at, took, want time.Duration }{
		{0, 0, 0}, {time.Millisecond, 2 * time.Millisecond, 0}, {0, 2 * time.Second, 0}, {2 * time.Second, 2 * time.Second, 0},
		{6 * time.Second, time.Second, 5 * time.Second}, {-6 * time.Second, time.Second, -6 * time.Second},
	} {
		var b Beaten
		reply := []any{fmt.Sprint(sent.Add(c.at).UnixMicro()), []any{}, []any{}}
		if err := b.read(reply, sent, c.took); err != nil || b.Ahead != c.want {
			t.Errorf("%v after it was sent, and %v long: ahead by %v (%v), want %v", c.at, c.took, b.Ahead, err, c.want)
		}
	}
}

// TestLeaseExpires by time alone.
func TestLeaseExpires(t *testing.T) {
	m := miniredis.RunT(t)
	b := onRedis(t, m.Addr())
	claim(t, b, "live/movie", node("a"))
	m.FastForward(leaseTime - time.Millisecond)
	wantHome(t, b, "live/movie", "a")
	m.FastForward(2 * time.Millisecond)
	wantHome(t, b, "live/movie", "")
	m.FastForward(keepHand + staleNode)
	if keys := m.Keys(); len(keys) > 4 {
		t.Errorf("a day later there is %q", keys)
	}
}

// TestUnavailable: a registry that is away is an error of its own, in time.
func TestUnavailable(t *testing.T) {
	m := miniredis.RunT(t)
	r, err := OpenRedis(m.Addr(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	m.Close()
	ctx, a := t.Context(), node("a")
	_, beatErr := r.Beat(ctx, a, nil)
	_, claimErr := r.Claim(ctx, "live/movie", a)
	_, lookupErr := r.Lookup(ctx, "live/movie")
	_, nodesErr := r.Nodes(ctx)
	_, streamsErr := r.Streams(ctx, 1)
	for _, err := range []error{beatErr, claimErr, lookupErr, nodesErr, streamsErr, r.Free(ctx, "s", a, 1, Hand{}), r.Leave(ctx, "a", "b")} {
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
	}
}
