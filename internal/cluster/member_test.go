package cluster

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// unsteady is a registry that can be away, and whose clock can be ahead.
type unsteady struct {
	*Memory
	away  atomic.Bool
	mute  chan struct{} // if not nil, calls are answered when it has a value, or they are given up
	ahead time.Duration
	beats atomic.Int64 // streams in beats
}

// answers says whether a call is answered.
func (u *unsteady) answers(ctx context.Context) bool {
	if u.mute != nil {
		select {
		case <-u.mute:
		case <-ctx.Done():
			return false
		}
	}
	return !u.away.Load()
}

func (u *unsteady) Beat(ctx context.Context, n Node, held []Held) (Beaten, error) {
	if !u.answers(ctx) {
		return Beaten{}, ErrUnavailable
	}
	u.beats.Add(int64(len(held)))
	b, err := u.Memory.Beat(ctx, n, held)
	b.Ahead = u.ahead
	return b, err
}

func (u *unsteady) Claim(ctx context.Context, stream string, n Node) (Entry, error) {
	if !u.answers(ctx) {
		return Entry{}, ErrUnavailable
	}
	return u.Memory.Claim(ctx, stream, n)
}

func (u *unsteady) Free(ctx context.Context, stream string, n Node, token int64, hand Hand) error {
	if !u.answers(ctx) {
		return ErrUnavailable
	}
	return u.Memory.Free(ctx, stream, n, token, hand)
}

// member runs a member until the test ends, in a bubble of synctest.
func member(t *testing.T, r Registry, id string, lost *[]string) *Member {
	t.Helper()
	var mu sync.Mutex
	m := NewMember(MemberOptions{Registry: r, Self: node(id), Lost: func(stream string) {
		mu.Lock()
		defer mu.Unlock()
		*lost = append(*lost, stream)
	}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := m.Leave(context.Background()); err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return m
}

func publishAt(t *testing.T, m *Member, stream string) {
	t.Helper()
	if _, err := m.Claim(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	m.Begun(stream, true)
}

// TestMemberTwin: of two processes that begin at once under one name one ends, and so does one that
// began while nobody could tell; the other one and its streams stay.
func TestMemberTwin(t *testing.T) {
	for what, away := range map[string]bool{"at once": false, "while the registry is away": true} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &unsteady{Memory: NewMemory(nil)}
				var lost []string
				if away {
					r.away.Store(true)
				}
				ended := make(chan error, 2)
				var all []*Member
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				for _, boot := range []string{"x", "y"} {
					m := NewMember(MemberOptions{Registry: r, Self: node("a", boot), Lost: func(stream string) { lost = append(lost, stream) }})
					all = append(all, m)
					go func() { ended <- m.Run(ctx) }()
				}
				time.Sleep(3 * leaseTime)
				r.away.Store(false)
				time.Sleep(3 * leaseTime)
				select {
				case err := <-ended:
					if !errors.Is(err, ErrTwin) {
						t.Errorf("it ends with %v", err)
					}
				default:
					t.Fatal("both run")
				}
				claims := 0
				for _, m := range all {
					if _, err := m.Claim(ctx, "live/movie"); err == nil {
						claims++
						m.Begun("live/movie", true)
					} else if !errors.Is(err, ErrTwin) {
						t.Error(err)
					}
				}
				time.Sleep(3 * leaseTime)
				wantHome(t, r, "live/movie", "a")
				if claims != 1 || len(lost) != 0 || len(ended) != 0 {
					t.Errorf("%d claims, lost %q, %d more have ended", claims, lost, len(ended))
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestMemberHolds: a claim lasts from the first publisher to the end, through beats, and is given
// back when a publisher is refused.
func TestMemberHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &unsteady{Memory: NewMemory(nil)}
		var lost []string
		a, b := member(t, r, "a", &lost), member(t, r, "b", &lost)
		publishAt(t, a, "live/movie")
		if _, holds := a.Holds("live/movie"); !holds {
			t.Error("it does not know what it holds")
		}
		time.Sleep(time.Minute)
		if e, err := b.Claim(t.Context(), "live/movie"); !errors.Is(err, ErrHeld) || e.Node.ID != "a" {
			t.Errorf("another claim: %+v, %v", e, err)
		}
		if n := r.beats.Load(); n < 10 || n > 15 {
			t.Errorf("beats had the stream %d times in a minute", n)
		}
		// A second publisher that is refused takes nothing with it.
		if _, err := a.Claim(t.Context(), "live/movie"); err != nil {
			t.Fatal(err)
		}
		a.Begun("live/movie", false)
		wantHome(t, r, "live/movie", "a")
		a.Note("live/movie", Hand{Segment: 7})
		a.End("live/movie")
		synctest.Wait()
		wantHome(t, r, "live/movie", "")
		e, err := b.Claim(t.Context(), "live/movie")
		if err != nil || e.Claim.Hand.Segment != 7 {
			t.Errorf("the next home: %+v, %v", e, err)
		}
		b.Begun("live/movie", false)
		wantHome(t, r, "live/movie", "")
		if len(lost) > 0 {
			t.Errorf("lost %q", lost)
		}
	})
}

// TestMemberAway: without a registry a stream may begin and end, and the registry hears of both
// when it is back, empty.
func TestMemberAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &unsteady{Memory: NewMemory(nil)}
		var lost []string
		a := member(t, r, "a", &lost)
		publishAt(t, a, "live/ends")
		publishAt(t, a, "live/stays")
		r.away.Store(true)
		time.Sleep(time.Minute)
		if !a.Away() {
			t.Error("it does not know that the registry is away")
		}
		if _, err := a.Claim(t.Context(), "live/begins"); !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
		a.Assume("live/begins")
		a.Begun("live/begins", true)
		a.End("live/ends")
		synctest.Wait()
		if token, holds := a.Holds("live/begins"); !holds || token != 0 {
			t.Errorf("token %d, %v", token, holds)
		}
		r.Flush()
		r.away.Store(false)
		time.Sleep(2 * beatInterval)
		wantHome(t, r, "live/begins", "a")
		wantHome(t, r, "live/stays", "a")
		wantHome(t, r, "live/ends", "")
		if token, _ := a.Holds("live/begins"); token == 0 {
			t.Error("the registry's token is not known")
		}
	})
}

// TestMemberMute: while the registry takes calls and answers none, publishers begin and end without
// waiting for it, and it hears of them when it is back.
func TestMemberMute(t *testing.T) {
	r := &unsteady{Memory: NewMemory(nil), mute: make(chan struct{})}
	m := NewMember(MemberOptions{Registry: r, Self: node("a"), Lost: func(stream string) { t.Error("lost: ", stream) }})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = m.Run(ctx) })
	r.away.Store(true)
	r.mute <- struct{}{} // a beat fails, and then nothing is answered
	for !m.Away() {
		runtime.Gosched()
	}
	for range 3 {
		if _, err := m.Claim(ctx, "live/movie"); !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
		m.Assume("live/movie")
		m.Begun("live/movie", true)
		m.End("live/movie")
	}
	m.Assume("live/movie")
	m.Begun("live/movie", true)
	r.away.Store(false)
	close(r.mute)
	for token := int64(0); token == 0; token, _ = m.Holds("live/movie") {
		runtime.Gosched()
	}
	wantHome(t, r, "live/movie", "a")
	cancel()
	running.Wait()
	if err := m.Leave(context.Background()); err != nil {
		t.Error(err)
	}
}

// late is a registry that takes a claim of which it says nothing.
type late struct{ *unsteady }

func (l late) Claim(ctx context.Context, stream string, n Node) (Entry, error) {
	_, _ = l.Memory.Claim(ctx, stream, n)
	return Entry{}, ErrUnavailable
}

// TestLateClaim: a claim that the registry took without an answer does not stay when the publisher
// has gone.
func TestLateClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &unsteady{Memory: NewMemory(nil)}
		var lost []string
		a := member(t, late{r}, "a", &lost)
		for _, stream := range []string{"live/ends", "live/stays"} {
			if _, err := a.Claim(t.Context(), stream); !errors.Is(err, ErrUnavailable) {
				t.Fatal(err)
			}
			a.Assume(stream)
			a.Begun(stream, true)
		}
		a.End("live/ends")
		wantHome(t, r, "live/ends", "a")
		time.Sleep(2 * fullBeat)
		synctest.Wait()
		wantHome(t, r, "live/ends", "")
		wantHome(t, r, "live/stays", "a")
	})
}

// TestMemberLoses: of two homes the one with the lower token hears of it with its next beats.
func TestMemberLoses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &unsteady{Memory: NewMemory(nil)}
		var lost []string
		a, b := member(t, r, "a", &lost), member(t, r, "b", &lost)
		publishAt(t, a, "live/movie")
		_ = r.Leave(t.Context(), "a", a.opt.Self.Boot) // as a process that was stopped
		publishAt(t, b, "live/movie")
		time.Sleep(fullBeat + beatInterval)
		synctest.Wait()
		if len(lost) != 1 || lost[0] != "live/movie" {
			t.Errorf("lost %q", lost)
		}
		if _, holds := a.Holds("live/movie"); holds {
			t.Error("both hold it")
		}
		wantHome(t, r, "live/movie", "b")
	})
}

// TestMemberSkew: a node whose clock is far from the registry's takes nothing.
func TestMemberSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &unsteady{Memory: NewMemory(nil), ahead: -maxAhead - time.Second}
		var lost []string
		a := member(t, r, "a", &lost)
		if _, err := a.Claim(t.Context(), "live/movie"); !errors.Is(err, ErrSkew) {
			t.Errorf("%v, want ErrSkew", err)
		}
	})
}

func TestSecret(t *testing.T) {
	first, second := strings.Repeat("1", MinSecret), strings.Repeat("2", MinSecret)
	parse := func(text string) Secret {
		t.Helper()
		s, err := ParseSecret(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	now := time.Unix(1_800_000_000, 0)
	request := func() *http.Request {
		r, _ := http.NewRequest(http.MethodGet, "http://h/feed/live/a%20b?rendition=x", nil)
		return r
	}
	for what, c := range map[string]struct {
		signs, checks Secret
		change        func(*http.Request)
		at            time.Duration
		ok            bool
	}{
		"same":          {parse(first), parse(first), nil, 0, true},
		"old and new":   {parse(first), parse(second + "," + first), nil, 0, true},
		"new and old":   {parse(first + ", " + second), parse(first), nil, 30 * time.Second, true},
		"other":         {parse(first), parse(second), nil, 0, false},
		"late":          {parse(first), parse(first), nil, 31 * time.Second, false},
		"early":         {parse(first), parse(first), nil, -31 * time.Second, false},
		"other method":  {parse(first), parse(first), func(r *http.Request) { r.Method = http.MethodPost }, 0, false},
		"other path":    {parse(first), parse(first), func(r *http.Request) { r.URL.Path = "/feed/live/ab"; r.URL.RawPath = "" }, 0, false},
		"other query":   {parse(first), parse(first), func(r *http.Request) { r.URL.RawQuery = "" }, 0, false},
		"nothing":       {parse(first), parse(first), func(r *http.Request) { r.Header.Del("Authorization") }, 0, false},
		"other node":    {parse(first), parse(first), replaced("node=n", "node=m"), 0, false},
		"strange node":  {parse(first), parse(first), replaced("node=n", "node=n!"), 0, false},
		"no code":       {parse(first), parse(first), replaced("mac=", "max="), 0, false},
		"other version": {parse(first), parse(first), replaced("v1", "v2"), 0, false},
	} {
		r := request()
		c.signs.Sign(r, "n", "me", now)
		if c.change != nil {
			c.change(r)
		}
		node, _, err := c.checks.Check(r, "me", now.Add(c.at))
		if (err == nil) != c.ok || c.ok && node != "n" || !c.ok && !errors.Is(err, ErrUnauthorized) {
			t.Errorf("%s: %q, %v", what, node, err)
		}
	}
	r := request()
	parse(first).Sign(r, "n", "another", now)
	if _, _, err := parse(first).Check(r, "me", now); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("for another node: %v", err)
	}
	for _, bad := range []string{"", "short", first + ",", first + ",short"} {
		if _, err := ParseSecret(bad); err == nil || strings.Contains(err.Error(), first) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestCodes: no request is accepted twice while it could be, and a flood is no end of memory.
func TestCodes(t *testing.T) {
	var c codes
	now := time.Unix(1_800_000_000, 0)
	if !c.accept("a", now) || c.accept("a", now) || c.accept("a", now.Add(codeLife)) || !c.accept("a", now.Add(codeLife+1)) {
		t.Error("it is not that of once")
	}
	for i := range maxCodes - 1 {
		if !c.accept(strconv.Itoa(i), now.Add(codeLife+1)) {
			t.Fatalf("request %d is refused", i)
		}
	}
	if c.accept("b", now.Add(codeLife+2)) {
		t.Error("there is no end")
	}
	if !c.accept("b", now.Add(2*codeLife+2)) || len(c.order) != 1 || len(c.seen) != 1 {
		t.Errorf("%d and %d are left", len(c.order), len(c.seen))
	}
}

func replaced(old, fresh string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, fresh, 1))
	}
}

// TestDirectoryKeepsToTheHigherToken: a registry that lost something does not send anybody back.
func TestDirectoryKeepsToTheHigherToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewMemory(nil)
		keepAlive(t, r, node("a"))
		keepAlive(t, r, node("b"))
		d := NewDirectory(r)
		old := claim(t, r, "live/movie", node("a"))
		_ = r.Free(t.Context(), "live/movie", node("a"), old.Claim.Token, Hand{})
		claim(t, r, "live/movie", node("b"))
		if e, err := d.Lookup(t.Context(), "live/movie"); err != nil || e.Node.ID != "b" {
			t.Fatalf("%+v, %v", e, err)
		}
		r.Flush()
		time.Sleep(2 * lookupTime)
		beat(t, r, node("a"), Held{Stream: "live/movie", Token: old.Claim.Token})
		if e, err := d.Fresh(t.Context(), "live/movie"); err != nil || e.Node.ID != "b" {
			t.Errorf("%+v, %v", e, err)
		}
	})
}

// TestLostBeforeItBegan: a node that lost a stream while a publisher was about to begin there is
// told so when it has begun, and nothing is held.
func TestLostBeforeItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &unsteady{Memory: NewMemory(nil)}
		var lost []string
		a, b := member(t, r, "a", &lost), member(t, r, "b", &lost)
		if _, err := a.Claim(t.Context(), "live/movie"); err != nil {
			t.Fatal(err)
		}
		if !a.Claims("live/movie") || b.Claims("live/movie") {
			t.Error("it is not said who claims the stream")
		}
		if err := r.Leave(t.Context(), "a", node("a").Boot); err != nil { // its lease was over
			t.Fatal(err)
		}
		publishAt(t, b, "live/movie")
		if _, err := a.Claim(t.Context(), "live/movie"); !errors.Is(err, ErrHeld) { // for another rendition
			t.Fatal(err)
		}
		a.Begun("live/movie", true)
		synctest.Wait()
		if len(lost) != 1 || a.Claims("live/movie") {
			t.Errorf("lost: %v", lost)
		}
		wantHome(t, r, "live/movie", "b")
	})
}
