package edge

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/http1"
)

// looped is a request in a loop of http1, which must not block.
type looped struct {
	*httptest.ResponseRecorder
	t     *testing.T
	cache *Cache
	file  File

	outcome    http1.Outcome
	kept, keep any
	change     <-chan struct{}
	left       func()
	share      func()
	elsewhere  bool
	err        error
}

var _ http1.Waiter = (*looped)(nil)

func (l *looped) Wait(change <-chan struct{}, _ time.Duration, left func()) http1.Outcome {
	if told := l.outcome; told != http1.Waiting {
		l.outcome = http1.Waiting
		return told
	}
	l.change, l.left = change, left
	return http1.Waiting
}

func (l *looped) Keep(v any)        { l.keep = v }
func (l *looped) Kept() any         { return l.kept }
func (l *looped) Waits() bool       { return l.change != nil || l.elsewhere }
func (l *looped) Share(each func()) { l.share = each }
func (l *looped) Elsewhere()        { l.elsewhere = true }

// serve calls the handler, as the loop does for the first time and after each wait.
func (l *looped) serve(outcome http1.Outcome) {
	if l.left != nil {
		l.left()
	}
	l.outcome, l.change, l.left = outcome, nil, nil
	l.kept, l.keep = l.keep, nil
	l.err = l.cache.Serve(l, httptest.NewRequestWithContext(l.t.Context(), http.MethodGet, "/", nil), l.file, nil)
}

// resume goes on if what the request waits for is there.
func (l *looped) resume() {
	l.t.Helper()
	select {
	case <-l.change:
		l.serve(http1.Waiting)
	default:
		l.t.Fatal("the request waits on")
	}
}

// ask begins so many requests for a file, which are to wait.
func ask(t *testing.T, c *Cache, f File, n int) (all []*looped) {
	t.Helper()
	for range n {
		l := &looped{ResponseRecorder: httptest.NewRecorder(), t: t, cache: c, file: f}
		l.serve(http1.Waiting)
		if l.change == nil {
			t.Fatalf("it does not wait: %d, %v", l.Code, l.err)
		}
		all = append(all, l)
	}
	return all
}

// TestManyInLoops: many requests that wait without blocking cost one request to the file's home,
// whatever that answers, also if it may not be kept.
func TestManyInLoops(t *testing.T) {
	for _, c := range []struct {
		name   string
		o      *origin
		status int
		body   string
	}{
		{"a file", &origin{header: control("max-age=10")}, 200, "f false 1"},
		{"a file that nobody may keep", &origin{header: control("no-cache")}, 200, "f false 1"},
		{"no file", &origin{header: control("no-store"), status: 404}, 404, "f false 1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c.o.delay = time.Second
			cache := newCache(c.o, 0)
			defer cache.Close()
			all := ask(t, cache, File{Path: "f"}, 1000)
			if n := cache.holds.Waiting(); n != 1000 {
				t.Errorf("%s: %d wait", c.name, n)
			}
			time.Sleep(2 * time.Second)
			for _, l := range all {
				if l.resume(); l.err != nil || l.Code != c.status || l.Body.String() != c.body || l.share == nil {
					t.Fatalf("%s: %v, %d %q", c.name, l.err, l.Code, l.Body)
				}
			}
			before := cache.Stats().Sent
			all[0].share()
			if s := cache.Stats(); c.o.asked.Load() != 1 || s.Misses != 1 || s.Coalesced != 999 || s.Sent-before != uint64(len(c.body)) {
				t.Errorf("%s: asked %d times, %+v", c.name, c.o.asked.Load(), s)
			}
			if n := cache.holds.Waiting(); n != 0 {
				t.Errorf("%s: %d wait on", c.name, n)
			}
		})
	}
}

// TestLeavingLoops: who leaves, or has waited long enough, takes nothing from those who stay, and
// asks for nothing again. When the last one has left nothing is fetched any more.
func TestLeavingLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{delay: time.Minute}
		cache := newCache(o, 0)
		defer cache.Close()
		all := ask(t, cache, File{Path: "f"}, 3)
		all[0].serve(http1.Gone)
		all[1].serve(http1.Late)
		if !errors.Is(all[0].err, context.Canceled) || !errors.Is(all[1].err, errLate) {
			t.Errorf("%v, %v", all[0].err, all[1].err)
		}
		cache.mu.Lock()
		if f := cache.flights[File{Path: "f"}]; f == nil || f.waiters != 1 {
			t.Errorf("one waits on: %+v", f)
		}
		cache.mu.Unlock()
		all[2].serve(http1.Gone)
		synctest.Wait()
		if cache.asking != 0 || len(cache.flights) != 0 || cache.holds.Waiting() != 0 || o.asked.Load() != 1 {
			t.Errorf("%d under way, %d wait, asked %d times", cache.asking, cache.holds.Waiting(), o.asked.Load())
		}
	})
}

// TestMuteHome: a home that says nothing, or that fails, is heard of by all who wait, in time.
func TestMuteHome(t *testing.T) {
	for name, o := range map[string]*origin{"mute": {delay: time.Hour}, "failing": {delay: time.Second, err: errAnswer}} {
		synctest.Test(t, func(t *testing.T) {
			cache := newCache(o, 0)
			defer cache.Close()
			all := ask(t, cache, File{Path: "f"}, 100)
			time.Sleep(fetchTimeout)
			synctest.Wait()
			for _, l := range all {
				if l.resume(); l.err == nil || l.Waits() || l.share != nil {
					t.Fatalf("%s: %v", name, l.err)
				}
			}
			if s := cache.Stats(); o.asked.Load() != 1 || s.Failed != 1 || cache.holds.Waiting() != 0 {
				t.Errorf("%s: asked %d times, %+v", name, o.asked.Load(), s)
			}
		})
	}
}

// TestNoRoomToWait: whoever finds no room to wait is told so, and what only he wanted is not
// fetched.
func TestNoRoomToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{delay: time.Second}
		cache := New(o.fetch, 0, http1.NewHolds(2, time.Minute)) // one for an address
		defer cache.Close()
		waits := ask(t, cache, File{Path: "f"}, 1)
		for _, path := range []string{"f", "g"} {
			l := &looped{ResponseRecorder: httptest.NewRecorder(), t: t, cache: cache, file: File{Path: path}}
			if l.serve(http1.Waiting); !errors.Is(l.err, ErrBusy) || l.Waits() {
				t.Errorf("%s: %v", path, l.err)
			}
		}
		cache.mu.Lock()
		if _, there := cache.flights[File{Path: "g"}]; there {
			t.Error("what nobody waits for is fetched")
		}
		cache.mu.Unlock()
		time.Sleep(2 * time.Second)
		if waits[0].resume(); waits[0].err != nil || waits[0].Body.String() == "" {
			t.Error(waits[0].err)
		}
	})
}

// TestLargeFilesLeaveLoops: what passes through is net/http's.
func TestLargeFilesLeaveLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := newCache(&origin{delay: time.Second, size: maxBody}, 0)
		defer cache.Close()
		l := ask(t, cache, File{Path: "large"}, 1)[0]
		time.Sleep(2 * time.Second)
		if l.resume(); l.err != nil || !l.elsewhere || l.Body.Len() > 0 {
			t.Errorf("%v, elsewhere: %v, %d bytes", l.err, l.elsewhere, l.Body.Len())
		}
	})
}
