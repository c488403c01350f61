package live

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"livego/internal/media"
)

// TestTimerOfAnEarlierLoss: a grace timer that fires while the publisher comes back must not end
// the stream at its next loss.
func TestTimerOfAnEarlierLoss(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	first, e := publish(t, h), newEncoder()
	e.gops(t, first, 0, 1)
	pub, _ := h.Lookup(name)
	first.Lose(io.EOF)
	second := publish(t, h)
	second.Lose(io.EOF)
	h.expire(pub, first) // the first timer had fired, and waited for the locks since
	if _, ok := h.Lookup(name); !ok {
		t.Fatal("the stream ended at the beginning of its grace time")
	}
	h.expire(pub, second)
	if _, ok := h.Lookup(name); ok {
		t.Error("the stream goes on after its grace time")
	}
}

func kinds(tracks []*media.Track) (all string) {
	for _, t := range tracks {
		all += t.Kind.String() + " "
	}
	return all
}

// TestTracksAtATakeover: until the new session's tracks are settled, those of the one before are
// what players will find.
func TestTracksAtATakeover(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	first, e := publish(t, h), newEncoder()
	first.Expect(1, 1)
	write(t, first, e.headers()...)
	e.gops(t, first, 0, 1)
	pub, _ := h.Lookup(name)

	second, e2 := publish(t, h), newEncoder()
	second.Expect(1, 1)
	write(t, second, e2.headers()[0])
	if got := kinds(pub.Tracks()); got != "video audio " {
		t.Errorf("before the second session has all its headers: %s", got)
	}
	write(t, second, e2.headers()[1])
	if got := pub.Tracks(); kinds(got) != "video audio " || got[0] != e2.video || got[1] != e2.audio {
		t.Errorf("the second session's tracks: %s", kinds(got))
	}
}

// TestTracksAfterALoss are those of the last session, whatever the ring holds of others.
func TestTracksAfterALoss(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	first, e := publish(t, h), newEncoder()
	write(t, first, e.headers()...)
	e.gops(t, first, 0, 1)
	pub, _ := h.Lookup(name)
	second, e2 := publish(t, h), newEncoder()
	second.Expect(1, 0)
	write(t, second, e2.headers()[0], e2.picture(0, true), e2.picture(40, false))
	write(t, second, media.AccessUnit{Track: &media.Track{Kind: media.Audio, Err: "no track yet"}, Header: media.Command, Body: []byte{1}})
	second.Lose(io.EOF)
	if got := pub.Tracks(); len(got) != 1 || got[0] != e2.video {
		t.Errorf("tracks: %s", kinds(got))
	}
}

// TestStragglerOfTheOldTimeline: when time goes back, units of another track that are still on the
// old timeline follow the new one.
func TestStragglerOfTheOldTimeline(t *testing.T) {
	for _, jump := range []int{-1000_000, 1000_000} {
		h := newHub(Options{})
		p, e := publish(t, h), newEncoder()
		e.gops(t, p, 2000_000, 1) // ends at 2000.920 s
		pub, _ := h.Lookup(name)
		r := pub.NewReader(ReaderOptions{GOPs: -1})
		at := 2001_000 + jump
		write(t, p, e.picture(at, true), e.sound(2000_941), e.sound(2000_962), e.picture(at+40, false), e.sound(at+20), e.picture(at+80, false), e.sound(at+60))
		got, _ := drain(t, r)
		checkRising(t, got)
		got = samples(got)
		discontinuities := 0
		for i, u := range got {
			if u.Discontinuity {
				discontinuities++
			}
			if i > 0 && u.DTS-got[i-1].DTS > time.Second {
				t.Errorf("jump of %d ms: a gap of %v", jump, u.DTS-got[i-1].DTS)
			}
		}
		if discontinuities != 1 {
			t.Errorf("jump of %d ms: %d discontinuities", jump, discontinuities)
		}
		h.Close()
	}
}

// TestHeldUnitsOfAnotherTimeline: what is held back until the first key frame and is far ahead of
// it belongs to another timeline.
func TestHeldUnitsOfAnotherTimeline(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	p.Expect(1, 1)
	write(t, p, e.headers()...)
	pub, _ := h.Lookup(name)
	r := pub.NewReader(ReaderOptions{GOPs: -1})
	write(t, p, e.sound(500_000), e.sound(500_020), e.sound(0), e.picture(0, true), e.sound(20), e.picture(40, false), e.sound(40))
	got, _ := drain(t, r)
	got = samples(got)
	if len(got) != 5 {
		t.Errorf("%d samples, want 5", len(got))
	}
	for _, u := range got {
		if u.DTS > time.Second {
			t.Errorf("a sample at %v", u.DTS)
		}
	}
}

// TestHeldUnitsAreBounded in bytes too: a session that never starts holds no more than a ring.
func TestHeldUnitsAreBounded(t *testing.T) {
	h := newHub(Options{Memory: 1 << 20})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	p.Expect(1, 1)
	write(t, p, e.headers()...)
	for i := range 500 {
		u := e.sound(i * 20)
		u.Body = make([]byte, 100_000)
		write(t, p, u)
	}
	held := 0
	for _, u := range p.held {
		held += len(u.unit.Body)
	}
	if held > 1<<20 {
		t.Errorf("%d bytes are held back", held)
	}
	if p.held[0].unit.Header != media.SequenceHeader || p.held[1].unit.Header != media.SequenceHeader {
		t.Error("the headers are gone")
	}
	// Headers alone are bounded as well: the newest of each track counts.
	for i := range 500 {
		write(t, p, media.AccessUnit{Track: &media.Track{Kind: media.Audio}, Header: media.SequenceHeader, Body: make([]byte, 100_000), DTS: ms(i)})
	}
	held = 0
	for _, u := range p.held {
		held += len(u.unit.Body)
	}
	if held > 1<<20 {
		t.Errorf("%d bytes of headers are held back", held)
	}
	pub, _ := h.Lookup(name)
	r := pub.NewReader(ReaderOptions{})
	write(t, p, e.picture(10_000, true))
	got, _ := drain(t, r)
	if len(got) < 3 || got[0].Track != e.video || got[0].Header != media.SequenceHeader {
		t.Errorf("the video header did not survive: %d units", len(got))
	}
}

// TestSharedHeaderGoesOutOnce: a message with the headers of several tracks is copied once and
// stays one message.
func TestSharedHeaderGoesOutOnce(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p := publish(t, h)
	t0, t1 := &media.Track{Kind: media.Video}, &media.Track{Kind: media.Video, ID: 1}
	pub, _ := h.Lookup(name)
	r := pub.NewReader(ReaderOptions{})
	picture := []byte("picture")
	write(t, p, media.AccessUnit{Track: t0, RandomAccess: true, Body: picture, Data: picture})
	body := []byte("headers of many tracks")
	write(t, p,
		media.AccessUnit{Track: t0, Header: media.SequenceHeader, Body: body},
		media.AccessUnit{Track: t1, Header: media.SequenceHeader, Body: body, Shared: true})
	got, _ := drain(t, r)
	if len(got) != 3 || got[1].Shared || !got[2].Shared || &got[1].Body[0] != &got[2].Body[0] || &got[1].Body[0] == &body[0] {
		t.Fatalf("got %+v", got)
	}
}

// TestStreamOfAPublisher is the one that it feeds, also when that is gone from the hub.
func TestStreamOfAPublisher(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p := publish(t, h)
	pub, _ := h.Lookup(name)
	p.Unpublish()
	if p.Publication() != pub {
		t.Error("another stream")
	}
}

// TestChurn publishes, takes over, loses and ends one stream from several goroutines while readers
// come and go. What each reader gets is in order, begins with a join unit and does not go back in
// time.
func TestChurn(t *testing.T) {
	h := newHub(Options{Grace: time.Millisecond, GOPs: 2, Memory: 200_000})
	stop := make(chan struct{})
	var all sync.WaitGroup
	running := func() bool {
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
	for range 3 {
		all.Go(func() {
			for e := newEncoder(); running(); e = newEncoder() {
				p, err := h.Publish(name, func(error) {})
				if errors.Is(err, ErrFlapping) {
					pub, ok := h.Lookup(name)
					if ok { // forgive it
						pub.mu.Lock()
						pub.takeovers, pub.refuseUntil = nil, time.Time{}
						pub.mu.Unlock()
					}
					continue
				}
				if err != nil {
					if running() || !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
				p.Expect(rand.IntN(2), 1)
				_ = p.Write(e.headers())
				at := rand.IntN(100_000)
				for i := range rand.IntN(200) {
					if p.Write([]media.AccessUnit{e.picture(at+i*40, i%10 == 5), e.sound(at + i*40 + 7)}) != nil {
						break
					}
				}
				if rand.IntN(3) == 0 {
					p.Unpublish()
				} else {
					p.Lose(io.EOF)
				}
			}
		})
	}
	for i := range 6 {
		all.Go(func() {
			for running() {
				readSome(t, h, ReaderOptions{GOPs: i%4 - 1, Lazy: i%2 == 0, Settled: i == 3})
			}
		})
	}
	timer := time.NewTimer(time.Second)
	<-timer.C
	close(stop)
	h.Close()
	all.Wait()
}

// readSome reads a stream to its end, or for a while.
func readSome(t *testing.T, h *Hub, opt ReaderOptions) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	pub, err := h.Subscribe(ctx, name, time.Second)
	if err != nil {
		return
	}
	r := pub.NewReader(opt)
	defer r.Close()
	units := make([]media.AccessUnit, 7)
	last := map[trackKey]time.Duration{}
	var seq uint64
	joined := false
	for {
		n, err := r.Read(ctx, units)
		for _, u := range units[:n] {
			key := trackKey{u.Track.Kind, u.Track.ID}
			if u.DTS < last[key] {
				t.Errorf("time goes back from %v to %v", last[key], u.DTS)
			}
			last[key] = u.DTS
			if u.Header != media.Sample {
				continue
			}
			if !joined && !u.Join {
				t.Error("begins with a unit that is no place to join")
			}
			if joined && u.Seq <= seq {
				t.Errorf("unit %d after %d", u.Seq, seq)
			}
			seq, joined = u.Seq, true
		}
		if err != nil && !errors.Is(err, media.ErrSuspended) {
			return
		}
	}
}
