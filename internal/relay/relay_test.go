package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"livego/internal/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		direction Direction
		url       string
		good      bool
	}{
		{Push, "rtmp://h/live/key", true},
		{Push, "rtmps://user:password@h:1/live/key?a=b", true},
		{Push, "rtmp://[::1]/live/key", true},
		{Pull, "rtmp://h/live/room", true},
		{Pull, "http://h/live/room.flv", true},
		{Pull, "https://h/live/room.flv?token=x", true},
		{Push, "http://h/live/room.flv", false},
		{Pull, "http://", false},
		{Push, "rtmp://h/onlyapp", false},
		{Push, "rtmp://h", false},
		{Push, "rtmp:///live/key", false},
		{Push, "srt://h/live/key", false},
		{Pull, "file:///etc/passwd", false},
		{Push, "", false},
		{Push, "rtmp://h/live/" + strings.Repeat("x", maxURL), false},
	} {
		err := Check(Relay{Direction: c.direction, App: "live", Stream: "movie", URL: c.url})
		if (err == nil) != c.good || err != nil && !errors.Is(err, ErrBadURL) {
			t.Errorf("%s %.80q: %v", c.direction, c.url, err)
		}
	}
}

// TestShown: what lists and logs show holds neither password nor key nor query.
func TestShown(t *testing.T) {
	for url, want := range map[string]string{
		"rtmp://user:password@h:1/live/key?token=x": "rtmp://h:1/live/…",
		"rtmp://h/live/a/b/key":                     "rtmp://h/live/…",
		"http://h/live/room.flv?token=x":            "http://h/live/room.flv",
	} {
		if got := Shown(url); got != want {
			t.Errorf("%s is shown as %s, want %s", url, got, want)
		}
	}
}

// TestBackoff: a server that is away is tried ever more rarely, for ever, and the log is told once.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var tries []time.Duration
		began := time.Now()
		var logs strings.Builder
		r := New(Options{
			Log: slog.New(slog.NewTextHandler(&logs, nil)), Subscribe: live.NewHub(live.Options{}).Subscribe,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				tries = append(tries, time.Since(began))
				return nil, errors.New("nobody is there")
			},
		})
		if err := r.Try(t.Context(), Relay{Pull, "live", "movie", "rtmp://h/live/movie"}); err == nil || !strings.Contains(err.Error(), "nobody is there") {
			t.Errorf("a first connection that fails: %v", err)
		}
		if len(r.List()) != 0 {
			t.Errorf("it is kept: %+v", r.List())
		}
		if err := r.Start(Relay{Pull, "live", "movie", "rtmp://h/live/movie"}, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		s := r.List()[0]
		if s.State != Failed || s.Error != "nobody is there" || s.Tries < 100 || s.Tries > 260 {
			t.Errorf("after an hour: %+v", s)
		}
		if n := strings.Count(logs.String(), "relay interrupted"); n != 2 {
			t.Errorf("%d lines of the log: %s", n, logs.String())
		}
		r.Close()
		mu.Lock()
		defer mu.Unlock()
		for i := 2; i < len(tries); i++ {
			if gap := tries[i] - tries[i-1]; gap < minBackoff/2 || gap > maxBackoff {
				t.Errorf("try %d came %v after the one before", i, gap)
			}
		}
	})
}

// TestBounds: a stream comes from one place, and goes to so many at most.
func TestBounds(t *testing.T) {
	r := New(Options{Log: slog.New(slog.DiscardHandler), Subscribe: live.NewHub(live.Options{}).Subscribe})
	defer r.Close()
	for i := range maxPerStream + 1 {
		err := r.Start(Relay{Push, "live", "movie", fmt.Sprintf("rtmp://h/live/%d", i)}, false)
		if i < maxPerStream && err != nil || i == maxPerStream && !errors.Is(err, ErrTooMany) {
			t.Errorf("push %d: %v", i, err)
		}
	}
	if err := r.Start(Relay{Push, "live", "movie", "rtmp://h/live/0"}, false); !errors.Is(err, ErrRunning) {
		t.Errorf("the same push again: %v", err)
	}
	if ended, err := r.Stop(Relay{Direction: Push, App: "live", Stream: "movie"}); err != nil || len(ended) != maxPerStream {
		t.Errorf("%d were stopped, %v", len(ended), err)
	}
	if _, err := r.Stop(Relay{Direction: Push, App: "live", Stream: "movie"}); !errors.Is(err, ErrUnknown) {
		t.Errorf("stopping none: %v", err)
	}
}

// TestSave tells what is to be kept: not what stands in the configuration.
func TestSave(t *testing.T) {
	var kept []Relay
	r := New(Options{Log: slog.New(slog.DiscardHandler), Subscribe: live.NewHub(live.Options{}).Subscribe, Save: func(all []Relay) { kept = all }})
	static, ours := Relay{Push, "live", "a", "rtmp://h/live/a"}, Relay{Push, "live", "b", "rtmp://h/live/b"}
	_ = r.Start(static, true)
	_ = r.Start(ours, false)
	if len(kept) != 1 || kept[0] != ours {
		t.Errorf("kept %v", kept)
	}
	r.Close()
	if len(kept) != 1 {
		t.Errorf("the end of the server forgets relays: %v", kept)
	}
}

// TestStartWhileStops: a pull that is started while the one before it ends waits for that, as they
// would be two publishers of one stream; and what it becomes is not that one's affair.
func TestStartWhileStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var dials atomic.Int32
		r := New(Options{
			Log: slog.New(slog.DiscardHandler), Subscribe: live.NewHub(live.Options{}).Subscribe,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				if dials.Add(1) == 1 {
					<-release // it is slow to end
				}
				return nil, errors.New("nobody is there")
			},
		})
		first, second := Relay{Pull, "live", "movie", "rtmp://h/live/a"}, Relay{Pull, "live", "movie", "rtmp://h/live/b"}
		tried, stopped := make(chan error, 1), make(chan error, 1)
		go func() { tried <- r.Try(t.Context(), first) }()
		synctest.Wait()
		go func() {
			_, err := r.Stop(first)
			stopped <- err
		}()
		synctest.Wait()
		if err := r.Start(second, false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := dials.Load(); n != 1 {
			t.Errorf("%d connections before the first pull has ended", n)
		}
		close(release)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		<-tried
		synctest.Wait()
		if n := dials.Load(); n != 2 {
			t.Errorf("%d connections after the first pull has ended", n)
		}
		if all := r.List(); len(all) != 1 || all[0].Relay != second {
			t.Errorf("relays: %+v", all)
		}
		r.Close()
	})
}

// TestShare: a push of the configuration goes on when the next life of its stream begins before the
// last one has let go of it, and ends with the last that does.
func TestShare(t *testing.T) {
	r := New(Options{Log: slog.New(slog.DiscardHandler), Subscribe: live.NewHub(live.Options{}).Subscribe})
	defer r.Close()
	push := Relay{Push, "live", "movie", "rtmp://h/live/key"}
	var lives []func(bool)
	for range 3 {
		letGo, err := r.Share(push)
		if err != nil {
			t.Fatal(err)
		}
		lives = append(lives, letGo)
	}
	for i, letGo := range lives {
		if n := len(r.List()); n != 1 {
			t.Errorf("%d relays before life %d lets go", n, i)
		}
		letGo(i == 1)
	}
	if n := len(r.List()); n != 0 {
		t.Errorf("%d relays after all have let go", n)
	}
	// What the API stops stays so for the lives that share it, and one of the API is not shared.
	letGo, err := r.Share(push)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Stop(push); err != nil {
		t.Error(err)
	}
	if err := r.Start(push, false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Share(push); !errors.Is(err, ErrRunning) {
		t.Errorf("sharing a relay of the API: %v", err)
	}
	letGo(false)
	if n := len(r.List()); n != 1 {
		t.Errorf("%d relays: one that is not its own has ended with a life", n)
	}
}
