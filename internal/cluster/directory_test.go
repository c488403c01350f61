package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/pause"
)

// counted is a registry that counts look-ups, takes its time, and can be away.
type counted struct {
	*Memory
	lookups atomic.Int64
	away    atomic.Bool
	delay   time.Duration
}

func (c *counted) Lookup(ctx context.Context, stream string) (Entry, error) {
	c.lookups.Add(1)
	e, err := c.Memory.Lookup(ctx, stream)
	time.Sleep(c.delay)
	if c.away.Load() {
		return Entry{}, ErrUnavailable
	}
	return e, err
}

// keepAlive beats for a node until the test is over.
func keepAlive(t *testing.T, r Registry, n Node) {
	ctx, cancel := context.WithCancel(t.Context())
	var beating sync.WaitGroup
	beating.Go(func() {
		for ctx.Err() == nil {
			_, _ = r.Beat(ctx, n, nil)
			_ = pause.For(ctx, beatInterval)
		}
	})
	t.Cleanup(func() { cancel(); beating.Wait() })
}

// TestDirectoryAsksOnce: a thousand who ask at once cost one question, and one a second after that,
// also for what is not there.
func TestDirectoryAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &counted{Memory: NewMemory(nil), delay: time.Millisecond}
		keepAlive(t, r, node("a"))
		claim(t, r.Memory, "live/movie", node("a"))
		d := NewDirectory(r)
		for round := range 3 {
			var asking sync.WaitGroup
			for range 1000 {
				asking.Go(func() {
					if e, err := d.Lookup(t.Context(), "live/movie"); err != nil || e.Node.ID != "a" {
						t.Errorf("%+v, %v", e, err)
					}
					if _, err := d.Lookup(t.Context(), "live/none"); !errors.Is(err, ErrNotFound) {
						t.Error(err)
					}
				})
			}
			asking.Wait()
			if got := r.lookups.Load(); got != int64(2*(round+1)) {
				t.Errorf("round %d: %d questions", round, got)
			}
			time.Sleep(lookupTime)
		}
	})
}

// TestConfirm: what the home says of itself does instead of asking, for a while, and not if
// something has changed, or somebody else says it.
func TestConfirm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &counted{Memory: NewMemory(nil)}
		keepAlive(t, r, node("a"))
		token := claim(t, r.Memory, "live/movie", node("a")).Claim.Token
		d := NewDirectory(r)
		asked := func(wait time.Duration, node string, token int64) int64 {
			before := r.lookups.Load()
			for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(lookupTime / 2) {
				if _, err := d.Lookup(t.Context(), "live/movie"); err != nil {
					t.Error(err)
				}
				d.Confirm("live/movie", node, token)
			}
			return r.lookups.Load() - before
		}
		if n := asked(2*confirmMost, "a", token); n < 2 || n > 3 {
			t.Errorf("asked %d times while the home says that it is", n)
		}
		for who, n := range map[string]int64{"another node": asked(confirmMost, "b", token), "another claim": asked(confirmMost, "a", token-1)} {
			if n < int64(confirmMost/lookupTime)/2 { // what it was told before counts for a while
				t.Errorf("asked %d times while %s says so", n, who)
			}
		}
		d.forget(Change{Stream: "live/movie"})
		d.Confirm("live/movie", "a", token)
		if n := asked(time.Millisecond, "a", token); n != 1 {
			t.Errorf("asked %d times after a change", n)
		}
	})
}

// TestChanged: who waits for a stream hears of its next home, of what may have been missed, and
// that it was forgotten among too many.
func TestChanged(t *testing.T) {
	d := NewDirectory(NewMemory(nil))
	told := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	a, b := d.Changed("live/a"), d.Changed("live/b")
	if again := d.Changed("live/a"); again != a {
		t.Error("two who wait for one stream are told apart")
	}
	d.forget(Change{Stream: "live/a", Node: "x"})
	if !told(a) || told(b) || told(d.Changed("live/a")) {
		t.Error("a change of one stream")
	}
	d.forget(Change{})
	if !told(b) {
		t.Error("changes may have been missed")
	}
	b = d.Changed("live/b")
	for i := range maxNames {
		d.Changed(fmt.Sprint("live/", i))
	}
	if !told(b) {
		t.Error("a stream that is forgotten")
	}
}

// TestDirectoryHearsOfChanges: a new home is found at once, though the answer before is young.
func TestDirectoryHearsOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &counted{Memory: NewMemory(nil)}
		d := NewDirectory(r)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = d.Run(ctx) })
		synctest.Wait()
		if _, err := d.Lookup(ctx, "live/movie"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		claim(t, r.Memory, "live/movie", node("a"))
		if e, err := d.Lookup(ctx, "live/movie"); err != nil || e.Node.ID != "a" {
			t.Errorf("%+v, %v", e, err)
		}
		_ = r.Leave(ctx, "a", node("a").Boot)
		if _, err := d.Lookup(ctx, "live/movie"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		cancel()
		running.Wait()
	})
}

func TestFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &counted{Memory: NewMemory(nil)}
		d := NewDirectory(r)
		_, _ = d.Lookup(t.Context(), "live/movie")
		claim(t, r.Memory, "live/movie", node("a"))
		time.Sleep(time.Millisecond)
		if e, err := d.Fresh(t.Context(), "live/movie"); err != nil || e.Node.ID != "a" {
			t.Errorf("%+v, %v", e, err)
		}
	})
}

// TestAwayRegistry: what was known goes on to be the answer for a while, and what was not is an
// error.
func TestAwayRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &counted{Memory: NewMemory(nil)}
		claim(t, r.Memory, "live/movie", node("a"))
		d := NewDirectory(r)
		_, _ = d.Lookup(t.Context(), "live/movie")
		r.away.Store(true)
		time.Sleep(time.Minute)
		if e, err := d.Lookup(t.Context(), "live/movie"); err != nil || e.Node.ID != "a" {
			t.Errorf("a known stream: %+v, %v", e, err)
		}
		if _, err := d.Lookup(t.Context(), "live/none"); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
		time.Sleep(staleTime)
		if _, err := d.Lookup(t.Context(), "live/movie"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("after a long time: %v", err)
		}
	})
}

// TestMuteRegistry: while the registry takes questions and does not answer, who asks for what was
// known waits for a moment once, and who knows nothing for as long as the registry may take.
func TestMuteRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const opTime = 2 * time.Second
		r := &counted{Memory: NewMemory(nil)}
		claim(t, r.Memory, "live/movie", node("a"))
		d := NewDirectory(r)
		_, _ = d.Lookup(t.Context(), "live/movie")
		r.away.Store(true)
		r.delay = opTime
		time.Sleep(time.Minute)
		began, waited := time.Now(), time.Duration(0)
		for time.Since(began) < time.Minute {
			asked := time.Now()
			if e, err := d.Lookup(t.Context(), "live/movie"); err != nil || e.Node.ID != "a" {
				t.Fatalf("a known stream: %+v, %v", e, err)
			}
			waited += time.Since(asked)
			time.Sleep(100 * time.Millisecond)
		}
		if waited > lookPatience {
			t.Errorf("who asks for a known stream waits for %v in a minute", waited)
		}
		if n := r.lookups.Load(); n > int64(time.Minute/opTime)+2 {
			t.Errorf("%d questions", n)
		}
		asked := time.Now()
		if _, err := d.Lookup(t.Context(), "live/none"); !errors.Is(err, ErrUnavailable) || time.Since(asked) > opTime {
			t.Errorf("an unknown stream: %v after %v", err, time.Since(asked))
		}
		time.Sleep(opTime)
		synctest.Wait()
		r.away.Store(false)
		r.delay = 0
		keepAlive(t, r, node("b"))
		_ = r.Leave(t.Context(), "a", node("a").Boot)
		claim(t, r.Memory, "live/movie", node("b"))
		_, _ = d.Lookup(t.Context(), "live/movie")
		synctest.Wait()
		if e, err := d.Lookup(t.Context(), "live/movie"); err != nil || e.Node.ID != "b" {
			t.Errorf("after its return: %+v, %v", e, err)
		}
	})
}

func TestDirectoryIsBounded(t *testing.T) {
	d := NewDirectory(NewMemory(nil))
	for i := range maxNames + 100 {
		_, _ = d.Lookup(t.Context(), fmt.Sprint("live/", i))
	}
	if len(d.places) != maxNames || d.recent.Len() != maxNames {
		t.Errorf("%d names, %d in order", len(d.places), d.recent.Len())
	}
}

// TestForgottenWhileAsked: a name that is asked for is not forgotten for newer ones. Who waits for
// its answer would have to ask again.
func TestForgottenWhileAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &counted{Memory: NewMemory(nil), delay: time.Second}
		claim(t, r.Memory, "live/movie", node("a"))
		d := NewDirectory(r)
		var asking sync.WaitGroup
		asking.Go(func() {
			if e, err := d.Lookup(t.Context(), "live/movie"); err != nil || e.Node.ID != "a" {
				t.Errorf("%+v, %v", e, err)
			}
		})
		synctest.Wait()
		for i := range maxNames {
			_ = d.Changed(fmt.Sprint("live/", i))
		}
		asking.Wait()
		if n := r.lookups.Load(); n != 1 || len(d.places) != maxNames {
			t.Errorf("%d questions, %d names", n, len(d.places))
		}
	})
}

// TestImpatient: who gives up waiting does not take the answer from the others.
func TestImpatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &counted{Memory: NewMemory(nil), delay: time.Second}
		claim(t, r.Memory, "live/movie", node("a"))
		d := NewDirectory(r)
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		var asking sync.WaitGroup
		asking.Go(func() {
			if _, err := d.Lookup(ctx, "live/movie"); !errors.Is(err, gone) {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel(gone)
		if e, err := d.Lookup(t.Context(), "live/movie"); err != nil || e.Node.ID != "a" {
			t.Errorf("%+v, %v", e, err)
		}
		asking.Wait()
	})
}

// TestFlood: names that nobody has, as fast as anybody can ask for them, cost the registry a
// thousand questions a second and 64 at a time; streams that were there lately are found meanwhile.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &counted{Memory: NewMemory(nil), delay: 50 * time.Millisecond}
		keepAlive(t, r, node("a"))
		claim(t, r.Memory, "live/movie", node("a"))
		d := NewDirectory(r)
		if _, err := d.Lookup(t.Context(), "live/movie"); err != nil {
			t.Fatal(err)
		}
		const seconds, each = 5, 5000
		var asking sync.WaitGroup
		var refused, unknown atomic.Int64
		before := r.lookups.Load()
		for second := range seconds {
			for i := range each {
				asking.Go(func() {
					switch _, err := d.Lookup(t.Context(), fmt.Sprint("live/none", second, "-", i)); {
					case errors.Is(err, ErrFlood):
						refused.Add(1)
					case errors.Is(err, ErrNotFound):
						unknown.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			time.Sleep(time.Second)
			if e, err := d.Fresh(t.Context(), "live/movie"); err != nil || e.Node.ID != "a" {
				t.Errorf("in second %d: %+v, %v", second, e, err)
			}
		}
		asking.Wait()
		asked := r.lookups.Load() - before - seconds
		if asked > (seconds+2)*newNames || unknown.Load() < seconds*newNames || unknown.Load()+refused.Load() != seconds*each {
			t.Errorf("%d questions, %d were answered, %d were refused", asked, unknown.Load(), refused.Load())
		}
	})
}
