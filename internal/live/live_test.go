package live

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"livego/internal/media"
	"livego/internal/property"
)

func TestMain(m *testing.M) {
	property.Fix()
	goleak.VerifyTestMain(m)
}

var name = Name{App: "live", Stream: "movie"}

// encoder makes the units of one publisher session.
type encoder struct {
	video, audio *media.Track
}

func newEncoder() *encoder {
	return &encoder{video: &media.Track{Kind: media.Video, Codec: media.H264}, audio: &media.Track{Kind: media.Audio, Codec: media.AAC}}
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func (e *encoder) headers() []media.AccessUnit {
	return []media.AccessUnit{
		{Track: e.video, Header: media.SequenceHeader, Body: []byte("video header")},
		{Track: e.audio, Header: media.SequenceHeader, Body: []byte("audio header")},
	}
}

func (e *encoder) picture(at int, key bool) media.AccessUnit {
	return media.AccessUnit{Track: e.video, RandomAccess: key, DTS: ms(at), PTS: ms(at + 40), Body: make([]byte, 1000), Data: []byte{1}}
}

func (e *encoder) sound(at int) media.AccessUnit {
	return media.AccessUnit{Track: e.audio, RandomAccess: true, DTS: ms(at), PTS: ms(at), Body: make([]byte, 100), Data: []byte{1}}
}

// kept is how much the publications of newHub keep.
const kept = 5 * time.Second

// newHub makes a hub as a server has it that nobody configured.
func newHub(opt Options) *Hub {
	opt.Takeover, opt.Grace = true, cmp.Or(opt.Grace, 10*time.Second)
	if opt.OnPublication == nil {
		opt.OnPublication = func(pub *Publication) { pub.Keep(kept) }
	}
	return NewHub(opt)
}

func publish(t *testing.T, h *Hub) *Publisher {
	t.Helper()
	p, err := h.Publish(name, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t *testing.T, p *Publisher, units ...media.AccessUnit) {
	t.Helper()
	if err := p.Write(units); err != nil {
		t.Fatal(err)
	}
}

// gops writes n GOPs of one second, with a picture and a sound each 100 ms, from time at.
func (e *encoder) gops(t *testing.T, p *Publisher, at, n int) {
	t.Helper()
	for i := range n * 10 {
		write(t, p, e.picture(at+i*100, i%10 == 0), e.sound(at+i*100+20))
	}
}

func drain(t *testing.T, r *Reader) ([]media.AccessUnit, error) {
	t.Helper()
	var all []media.AccessUnit
	buf := make([]media.AccessUnit, 7)
	for {
		n, err := r.Poll(buf)
		all = append(all, buf[:n]...)
		if n == 0 || err != nil {
			return all, err
		}
	}
}

func samples(units []media.AccessUnit) []media.AccessUnit {
	return slices.DeleteFunc(slices.Clone(units), func(u media.AccessUnit) bool { return u.Header != media.Sample })
}

// checkRising fails if the time of a track falls or a sequence number is out of order.
func checkRising(t *testing.T, units []media.AccessUnit) {
	t.Helper()
	last := map[*media.Track]time.Duration{}
	for i, u := range units {
		if u.DTS < last[u.Track] {
			t.Fatalf("unit %d of the %v track goes back from %v to %v", i, u.Track.Kind, last[u.Track], u.DTS)
		}
		last[u.Track] = u.DTS
	}
}

func TestJoinStartsWithHeadersAndRandomAccessPoint(t *testing.T) {
	for _, c := range []struct {
		gops      int
		wantFirst time.Duration
	}{{1, ms(4000)}, {2, ms(3000)}, {3, ms(2000)}, {100, 0}, {-1, 0}} {
		h := newHub(Options{})
		p, e := publish(t, h), newEncoder()
		write(t, p, e.headers()...)
		e.gops(t, p, 0, 5)
		pub, _ := h.Lookup(name)
		got, err := drain(t, pub.NewReader(ReaderOptions{GOPs: c.gops}))
		if err != nil {
			t.Fatal(err)
		}
		if got[0].Header != media.SequenceHeader || got[1].Header != media.SequenceHeader {
			t.Errorf("gops %d: begins with %v %v, want two sequence headers", c.gops, got[0].Header, got[1].Header)
		}
		first := samples(got)[0]
		if first.DTS != c.wantFirst || !first.Join || first.Track != e.video {
			t.Errorf("gops %d: first sample at %v, join %v; want %v", c.gops, first.DTS, first.Join, c.wantFirst)
		}
		checkRising(t, got)
		if snd := samples(got)[1]; snd.Track != e.audio {
			t.Errorf("gops %d: no audio beside the first picture", c.gops)
		}
		h.Close()
	}
}

func TestReaderWithoutGOPsWaitsForNextRandomAccessPoint(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	e.gops(t, p, 0, 2)
	pub, _ := h.Lookup(name)
	r := pub.NewReader(ReaderOptions{GOPs: 0})
	write(t, p, e.picture(2000, false), e.sound(2010))
	if got, _ := drain(t, r); len(got) != 0 {
		t.Fatalf("got %d units before a random access point", len(got))
	}
	write(t, p, e.picture(2100, true), e.sound(2110))
	if got, _ := drain(t, r); len(got) != 2 || got[0].DTS != ms(2100) {
		t.Fatalf("got %v", got)
	}
}

func TestSessionStartsAtRandomAccessPoint(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	pub, _ := h.Lookup(name)
	r := pub.NewReader(ReaderOptions{})
	p.Expect(1, 1)
	write(t, p, e.headers()...)
	write(t, p, e.sound(0), e.picture(10, false), e.sound(20), e.sound(60), e.picture(50, true), e.sound(80))
	got, _ := drain(t, r)
	want := []time.Duration{ms(50), ms(60), ms(80)}
	got = samples(got)
	if len(got) != len(want) {
		t.Fatalf("got %d samples, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].DTS != want[i] {
			t.Errorf("sample %d at %v, want %v", i, got[i].DTS, want[i])
		}
	}
}

func TestAudioOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(Options{})
		defer h.Close()
		p, e := publish(t, h), newEncoder()
		pub, _ := h.Lookup(name)
		r := pub.NewReader(ReaderOptions{GOPs: -1})
		for i := range 100 {
			write(t, p, e.sound(i*50))
			time.Sleep(50 * time.Millisecond)
		}
		got, _ := drain(t, r)
		if len(got) != 100 || !got[0].Join || got[0].DTS != 0 {
			t.Fatalf("got %d units, first join %v at %v; want all 100 from 0", len(got), got[0].Join, got[0].DTS)
		}
		joins := 0
		for _, u := range got {
			if u.Join {
				joins++
			}
		}
		if joins != 5 {
			t.Errorf("%d join units in 5 s, want 5", joins)
		}
	})
}

// TestVideoThatNeverStarts does not hold up the audio for good: without any picture for two
// seconds, without one that can be decoded for ten. It may come later.
func TestVideoThatNeverStarts(t *testing.T) {
	for _, c := range []struct {
		name     string
		pictures bool
		wait     time.Duration
	}{{"no picture", false, noVideo}, {"no random access point", true, videoGone}} {
		synctest.Test(t, func(t *testing.T) {
			h := newHub(Options{})
			defer h.Close()
			p, e := publish(t, h), newEncoder()
			pub, _ := h.Lookup(name)
			r := pub.NewReader(ReaderOptions{})
			p.Expect(1, 1)
			write(t, p, e.headers()...)
			for at := 0; ms(at) < c.wait+time.Second; at += 20 {
				if c.pictures {
					write(t, p, e.picture(at, false))
				}
				write(t, p, e.sound(at))
				time.Sleep(20 * time.Millisecond)
			}
			got, _ := drain(t, r)
			if got = samples(got); len(got) != 50 || got[0].Track != e.audio || !got[0].Join {
				t.Fatalf("%s: %d samples", c.name, len(got))
			}
			at := int((c.wait + time.Second) / time.Millisecond)
			e.gops(t, p, at, 1)
			got, _ = drain(t, r)
			if got = samples(got); len(got) != 20 || got[0].Track != e.video || !got[0].Join {
				t.Errorf("%s: %d samples when it comes", c.name, len(got))
			}
			checkRising(t, got)
		})
	}
}

func TestVideoThatStopsLeavesAudioJoinable(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	e.gops(t, p, 0, 2)
	for i := range 3000 {
		write(t, p, e.sound(2000+i*20))
	}
	pub, _ := h.Lookup(name)
	got, _ := drain(t, pub.NewReader(ReaderOptions{GOPs: 1}))
	if lag := ms(2000+2999*20) - got[0].DTS; lag > 2*time.Second {
		t.Errorf("a joiner begins %v behind", lag)
	}
	if n := pub.Bytes(); n > 1<<20 {
		t.Errorf("ring holds %d bytes", n)
	}
}

func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(Options{})
		defer h.Close()
		p, e := publish(t, h), newEncoder()
		pub, _ := h.Lookup(name)
		r := pub.NewReader(ReaderOptions{GOPs: -1, Settled: true})
		write(t, p, e.headers()[0], e.picture(0, true))
		synctest.Wait()
		if got, _ := drain(t, r); len(got) != 0 || pub.isSettled() {
			t.Fatal("settled before the audio came")
		}
		start := time.Now()
		<-pub.Settled()
		if took := time.Since(start); took != settleTime {
			t.Errorf("settled after %v", took)
		}
		if got, _ := drain(t, r); len(got) != 2 {
			t.Errorf("got %d units", len(got))
		}
	})
	h := newHub(Options{})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	pub, _ := h.Lookup(name)
	p.Expect(1, 1)
	write(t, p, e.headers()...)
	if !pub.isSettled() {
		t.Error("not settled although all named tracks are there")
	}
	if len(pub.Tracks()) != 2 {
		t.Errorf("tracks: %v", pub.Tracks())
	}
}

// TestKinds: what the metadata names is believed for a while.
func TestKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(Options{})
		defer h.Close()
		p, e := publish(t, h), newEncoder()
		pub := p.Publication()
		closed := func() bool {
			select {
			case <-pub.Named():
				return true
			default:
				return false
			}
		}
		want := func(video, audio bool) {
			t.Helper()
			if v, a := pub.Kinds(); v != video || a != audio {
				t.Errorf("video %v, audio %v", v, a)
			}
		}
		p.Expect(1, 0)
		if want(true, false); closed() {
			t.Error("settled by metadata that names one kind")
		}
		p.Expect(1, 1)
		if want(true, true); !closed() || pub.isSettled() {
			t.Error("not named, or settled before anything came")
		}
		write(t, p, e.headers()[0], e.picture(0, true))
		time.Sleep(nameTime - time.Second)
		want(true, true)
		time.Sleep(2 * time.Second)
		want(true, false)
		write(t, p, e.headers()[1])
		want(true, true)
	})
}

func TestTakeoverKeepsReadersAndTimeRising(t *testing.T) {
	evicted := make(chan error, 1)
	h := newHub(Options{})
	defer h.Close()
	p1, err := h.Publish(name, func(err error) { evicted <- err })
	if err != nil {
		t.Fatal(err)
	}
	e1, e2 := newEncoder(), newEncoder()
	write(t, p1, e1.headers()...)
	e1.gops(t, p1, 5000, 2)
	pub, _ := h.Lookup(name)
	r := pub.NewReader(ReaderOptions{GOPs: -1})
	p2 := publish(t, h)
	if err := <-evicted; !errors.Is(err, ErrTakenOver) {
		t.Fatalf("evicted with %v", err)
	}
	if err := p1.Write([]media.AccessUnit{e1.sound(7000)}); !errors.Is(err, ErrTakenOver) {
		t.Fatalf("the loser's write: %v", err)
	}
	p1.Lose(io.EOF) // must not disturb the winner
	write(t, p2, e2.headers()...)
	write(t, p2, e2.sound(0), e2.picture(0, false))
	e2.gops(t, p2, 100, 1)

	got, err := drain(t, r)
	if err != nil {
		t.Fatal(err)
	}
	checkRising(t, got)
	first := slices.IndexFunc(got, func(u media.AccessUnit) bool { return u.Epoch == 2 })
	if got[first].Header != media.SequenceHeader || got[first+1].Header != media.SequenceHeader {
		t.Error("the new session does not begin with its headers")
	}
	u := got[first+2]
	if !u.Join || !u.Discontinuity || u.Track != e2.video {
		t.Errorf("first sample of the new session: join %v, discontinuity %v, %v", u.Join, u.Discontinuity, u.Track.Kind)
	}
	// The first session's largest time is 6.920 s, its pictures are 100 ms apart.
	if want := ms(7020); u.DTS != want {
		t.Errorf("new session begins at %v, want %v", u.DTS, want)
	}
	if d := u.PTS - u.DTS; d != ms(40) {
		t.Errorf("composition time became %v", d)
	}
}

func TestFlappingPublishersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(Options{})
		defer h.Close()
		publish(t, h)
		for range maxTakeovers {
			publish(t, h)
		}
		if _, err := h.Publish(name, nil); !errors.Is(err, ErrFlapping) {
			t.Fatalf("takeover too many: %v", err)
		}
		time.Sleep(takeoverWindow - time.Second)
		if _, err := h.Publish(name, nil); !errors.Is(err, ErrFlapping) {
			t.Fatalf("within the penalty: %v", err)
		}
		time.Sleep(time.Second)
		publish(t, h)
	})
}

func TestNoTakeover(t *testing.T) {
	h := NewHub(Options{Grace: 10 * time.Second})
	defer h.Close()
	publish(t, h)
	if _, err := h.Publish(name, nil); !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v", err)
	}
}

func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(Options{Grace: 10 * time.Second})
		defer h.Close()
		p, e := publish(t, h), newEncoder()
		write(t, p, e.headers()...)
		e.gops(t, p, 0, 1)
		pub, _ := h.Lookup(name)
		r := pub.NewReader(ReaderOptions{GOPs: -1})
		p.Lose(io.EOF)
		if pub.OnAir() {
			t.Error("on air in grace")
		}
		if _, err := drain(t, r); !errors.Is(err, media.ErrSuspended) {
			t.Fatalf("a reader in grace gets %v", err)
		}
		if _, err := drain(t, r); err != nil {
			t.Fatalf("told twice: %v", err)
		}
		time.Sleep(9 * time.Second)
		p2 := publish(t, h)
		e2 := newEncoder()
		write(t, p2, e2.headers()...)
		e2.gops(t, p2, 0, 1)
		got, err := drain(t, r)
		if err != nil || len(samples(got)) != 20 {
			t.Fatalf("after the return: %d samples, %v", len(samples(got)), err)
		}
		if s2, _ := h.Lookup(name); s2 != pub {
			t.Error("the stream did not survive")
		}

		p2.Lose(io.EOF)
		time.Sleep(11 * time.Second)
		<-pub.Done()
		if _, ok := h.Lookup(name); ok {
			t.Error("still listed after the grace time")
		}
		_, err = drain(t, r)
		if !errors.Is(err, io.EOF) {
			t.Errorf("at the end a reader gets %v", err)
		}
	})
}

// TestCause: a stream that has ended says why; one whose publisher was lost without a reason says
// that.
func TestCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(Options{})
		defer h.Close()
		revoked := errors.New("revoked")
		for _, c := range []struct {
			end  func(*Publisher)
			want error
		}{
			{func(p *Publisher) { p.Unpublish() }, ErrUnpublished},
			{func(p *Publisher) { p.Lose(io.EOF) }, io.EOF},
			{func(p *Publisher) { p.Lose(nil) }, ErrLost},
			{func(p *Publisher) { p.Lose(nil); p.Publication().Evict(revoked) }, revoked},
			{func(*Publisher) { h.Close() }, ErrClosed},
		} {
			p, e := publish(t, h), newEncoder()
			e.gops(t, p, 0, 1)
			if err := p.Publication().Cause(); err != nil {
				t.Errorf("on air: %v", err)
			}
			c.end(p)
			time.Sleep(11 * time.Second)
			<-p.Publication().Done()
			if err := p.Publication().Cause(); !errors.Is(err, c.want) {
				t.Errorf("ended by %v, want %v", err, c.want)
			}
		}
	})
}

// unlocked is where a hub logs to, and checks that it does not hold its lock meanwhile: a log may
// be slow.
type unlocked struct {
	t     *testing.T
	hub   *Hub
	lines int
}

func (u *unlocked) Write(line []byte) (int, error) {
	if u.lines++; !u.hub.mu.TryLock() {
		u.t.Errorf("under the lock: %s", line)
	} else {
		u.hub.mu.Unlock()
	}
	return len(line), nil
}

func TestLogsWithoutLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &unlocked{t: t}
		h := newHub(Options{Log: slog.New(slog.NewTextHandler(log, nil))})
		log.hub = h
		first := publish(t, h)
		newEncoder().gops(t, first, 0, 1)
		second := publish(t, h) // takes over
		newEncoder().gops(t, second, 0, 1)
		second.Lose(io.EOF)
		time.Sleep(11 * time.Second) // it expires
		third := publish(t, h)
		newEncoder().gops(t, third, 0, 1)
		third.Lose(io.EOF)
		third.Publication().Evict(errors.New("gone"))
		publish(t, h).Unpublish()
		publish(t, h)
		h.Close()
		if log.lines != 7 {
			t.Errorf("%d lines: this test does not make the hub log all it can", log.lines)
		}
	})
}

func TestUnpublishEndsAtOnce(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	e.gops(t, p, 0, 1)
	pub, _ := h.Lookup(name)
	r := pub.NewReader(ReaderOptions{GOPs: 1})
	p.Unpublish()
	got, err := drain(t, r)
	if err == nil {
		_, err = drain(t, r)
	}
	if len(got) != 20 || !errors.Is(err, io.EOF) {
		t.Errorf("%d units, then %v", len(got), err)
	}
	if len(h.Publications()) != 0 {
		t.Error("still listed")
	}
}

func TestSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(Options{})
		defer h.Close()
		ctx := context.Background()
		if _, err := h.Subscribe(ctx, name, 0); !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := h.Subscribe(ctx, name, 3*time.Second); !errors.Is(err, ErrNotFound) || time.Since(start) != 3*time.Second {
			t.Fatal(err, time.Since(start))
		}
		cause := errors.New("player left")
		cctx, cancel := context.WithCancelCause(ctx)
		time.AfterFunc(time.Second, func() { cancel(cause) })
		if _, err := h.Subscribe(cctx, name, 3*time.Second); !errors.Is(err, cause) {
			t.Fatal(err)
		}
		if len(h.waiting) != 0 {
			t.Errorf("%d waiting lists left", len(h.waiting))
		}
		time.AfterFunc(time.Second, func() { publish(t, h) })
		if pub, err := h.Subscribe(ctx, name, 3*time.Second); err != nil || pub.Name() != name {
			t.Fatal(err)
		}
	})
}

func TestTimeJumps(t *testing.T) {
	for _, c := range []struct {
		name string
		to   int
		disc bool
	}{
		{"small gap", 9000, false},
		{"hours forward", 1000 + 3*3600*1000, true},
		{"back", 0, true},
		{"slightly back", 1200, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(Options{})
			defer h.Close()
			p, e := publish(t, h), newEncoder()
			pub, _ := h.Lookup(name)
			r := pub.NewReader(ReaderOptions{})
			e.gops(t, p, 0, 2)
			e.gops(t, p, c.to, 2)
			got, _ := drain(t, r)
			checkRising(t, got)
			if len(got) != 80 {
				t.Fatalf("%d units, want all 80", len(got))
			}
			discs := 0
			for _, u := range got {
				if u.Discontinuity {
					discs++
				}
			}
			if (discs == 1) != c.disc || discs > 1 || int(p.Jumps()) != discs {
				t.Errorf("%d discontinuities, %d jumps", discs, p.Jumps())
			}
			if end := got[len(got)-1].DTS; end > 30*time.Second {
				t.Errorf("stream time ends at %v", end)
			}
			// Audio stays where it was beside the video.
			last := got[len(got)-2:]
			if d := last[1].DTS - last[0].DTS; d != ms(20) && c.disc {
				t.Errorf("audio is %v beside the video, was 20 ms", d)
			}
		})
	}
}

func TestRingBounds(t *testing.T) {
	h := newHub(Options{Memory: 200_000, GOPs: 1})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	write(t, p, e.headers()...)
	pub, _ := h.Lookup(name)
	slow := pub.NewReader(ReaderOptions{})
	const pictures = 700 // less than noAccess
	for i := range pictures {
		write(t, p, e.picture(i*40, i == 0))
		if i == 0 {
			_, _ = drain(t, slow)
		}
	}
	if n := pub.Bytes(); n > 200_000 {
		t.Errorf("ring accounts for %d bytes", n)
	}
	if got, _ := drain(t, slow); len(got) != 0 {
		t.Errorf("an overtaken reader gets %d units although no random access point is there", len(got))
	}
	write(t, p, e.picture(pictures*40, true))
	got, _ := drain(t, slow)
	if s := samples(got); len(s) != 1 || !s[0].Join || !s[0].Discontinuity {
		t.Errorf("after the next random access point: %d samples, %v %v", len(s), s[0].Join, s[0].Discontinuity)
	}
	if len(got) != 3 {
		t.Errorf("got %d units, want the headers of both tracks too", len(got))
	}
	if slow.Skipped() == 0 {
		t.Error("nothing counted as skipped")
	}

}

// TestRingDuration: the ring keeps the newest GOP, what it was asked to keep, and more for a reader
// that is behind than for those who join.
func TestRingDuration(t *testing.T) {
	h := NewHub(Options{GOPs: 1})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	pub := p.Publication()
	wantSpan := func(what string, least time.Duration) {
		t.Helper()
		span := pub.ring.at(pub.ring.next-1).DTS - pub.ring.at(pub.ring.first).DTS
		if span < least || span > least+time.Second {
			t.Errorf("%s: the ring holds %v, want %v", what, span, least)
		}
	}
	e.gops(t, p, 0, 100)
	wantSpan("nobody reads", 0)
	slow := pub.NewReader(ReaderOptions{GOPs: 1})
	defer slow.Close()
	e.gops(t, p, 100_000, 9)
	wantSpan("a reader is behind", 9*time.Second)
	if all, _ := drain(t, slow); len(all) < 9*20 || slow.Skipped() > 0 {
		t.Errorf("a reader that was 9 s behind gets %d units, %d are skipped", len(all), slow.Skipped())
	}
	e.gops(t, p, 109_000, 20)
	wantSpan("it is further behind", ringLag)
	if _, _ = drain(t, slow); slow.Skipped() == 0 {
		t.Error("a reader that was 20 s behind skips nothing")
	}
	write(t, p, e.sound(129_000))
	wantSpan("it has caught up", 0)
	pub.Keep(kept)
	pub.Keep(time.Second)
	slow.Close()
	e.gops(t, p, 129_000, 20)
	defer pub.NewReader(ReaderOptions{GOPs: -1}).Close()
	wantSpan("more is to be kept", kept)
}

// TestRingFits: a reader that was behind leaves no memory behind it.
func TestRingFits(t *testing.T) {
	h := NewHub(Options{GOPs: 1})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	pub := p.Publication()
	e.gops(t, p, 0, 5)
	usual := len(pub.ring.units)
	slow := pub.NewReader(ReaderOptions{GOPs: 1})
	e.gops(t, p, 5000, 9)
	if n := len(pub.ring.units); n < 180 {
		t.Fatalf("the ring has room for %d units", n)
	}
	slow.Close()
	e.gops(t, p, 14_000, 3)
	if n := len(pub.ring.units); n > usual {
		t.Errorf("the ring has room for %d units, as before for %d", n, usual)
	}
}

// TestRingOfSeveralTracks: who picks a track may begin a GOP before the others do.
func TestRingOfSeveralTracks(t *testing.T) {
	h := NewHub(Options{GOPs: 1})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	e.gops(t, p, 0, 2)
	several := e.picture(2000, true)
	several.Multitrack = true
	write(t, p, several)
	e.gops(t, p, 3000, 5)
	if n := len(p.Publication().ring.joins); n != 2 {
		t.Errorf("the ring holds %d GOPs, want 2", n)
	}
}

// TestNoOtherKeyFrame: where the only random access point is no longer in memory, who comes gets
// pictures without one in the end.
func TestNoOtherKeyFrame(t *testing.T) {
	h := newHub(Options{Memory: 200_000, GOPs: 1})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	write(t, p, e.headers()...)
	pub, _ := h.Lookup(name)
	for i := range 2000 {
		write(t, p, e.picture(i*40, i == 0))
		if i != 700 && i != 1999 {
			continue
		}
		r := pub.NewReader(ReaderOptions{GOPs: 1})
		got, _ := drain(t, r)
		r.Close()
		if begun := samples(got); i == 700 && len(got) > 0 || i > 700 && (len(begun) == 0 || !begun[0].Join || begun[0].RandomAccess || len(got) < len(begun)+2) {
			t.Errorf("after %d pictures a reader gets %d units", i+1, len(got))
		}
	}
}

func TestLazyReadersWakeWithPictures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(Options{})
		defer h.Close()
		p, e := publish(t, h), newEncoder()
		pub, _ := h.Lookup(name)
		r := pub.NewReader(ReaderOptions{Lazy: true})
		p.Expect(1, 1)
		write(t, p, e.headers()...)
		sound := func(at int) {
			u := e.sound(at)
			u.Arrived = time.Now().UnixNano()
			write(t, p, u)
		}
		woken := func() bool {
			synctest.Wait()
			select {
			case <-r.Ready():
				return true
			default:
				return false
			}
		}
		wait := func() time.Duration { return r.Wait(time.Now()) }
		wantRead := func(want int) {
			t.Helper()
			if wait() != 0 {
				t.Fatalf("has to wait %v", wait())
			}
			units, _ := drain(t, r)
			if units = samples(units); len(units) != want {
				t.Fatalf("%d units, want %d", len(units), want)
			}
			if again := r.Doze(time.Now()); again < 33*time.Millisecond || again > audioWait {
				t.Fatalf("looks again after %v", again)
			}
		}
		for i := range 30 {
			write(t, p, e.picture(i*33, i == 0))
			if !woken() {
				t.Fatal("a picture does not wake")
			}
			wantRead(min(i, 1) + 1)
			time.Sleep(20 * time.Millisecond)
			sound(i*33 + 20)
			if woken() {
				t.Fatal("audio wakes before the picture")
			}
			time.Sleep(13 * time.Millisecond)
		}
		time.Sleep(7 * time.Millisecond)
		if left := wait(); left <= 0 || left > maxPictureWait-20*time.Millisecond {
			t.Errorf("audio that came 20 ms ago has %v left", left)
		}
		time.Sleep(wait())
		wantRead(1)
		if wait() != forever {
			t.Error("it is to look again though there was nothing")
		}
		sound(1100)
		if !woken() {
			t.Error("who has found nothing is not woken by audio")
		}
		if left := wait(); left < 33*time.Millisecond || left > maxPictureWait {
			t.Errorf("audio that has just come has %v left", left)
		}
		sound(1120)
		if woken() {
			t.Error("more audio wakes who waits for a picture")
		}
		time.Sleep(wait())
		wantRead(2)
	})
}

// A unit that came later than now, because the clock was set back, is not waited for.
func TestLazyReadersAndTheClock(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	pub, _ := h.Lookup(name)
	r := pub.NewReader(ReaderOptions{Lazy: true})
	write(t, p, e.headers()...)
	write(t, p, e.picture(0, true))
	_, _ = drain(t, r)
	u := e.sound(20)
	u.Arrived = time.Now().Add(time.Hour).UnixNano()
	write(t, p, u)
	if wait := r.Wait(time.Now()); wait != 0 {
		t.Errorf("waits %v", wait)
	}
}

// TestLazyReadersWaitForPictures reads as HLS does: audio comes with the next picture, or after a
// while without one.
func TestLazyReadersWaitForPictures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(Options{})
		defer h.Close()
		p, e := publish(t, h), newEncoder()
		pub, _ := h.Lookup(name)
		r := pub.NewReader(ReaderOptions{Lazy: true})
		p.Expect(1, 1)
		write(t, p, e.headers()...)
		type arrival struct {
			dts, after time.Duration
		}
		began := time.Now()
		var got []arrival
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			units := make([]media.AccessUnit, 16)
			for {
				n, err := r.Read(ctx, units)
				if err != nil {
					return
				}
				for _, u := range units[:n] {
					if u.Header == media.Sample {
						got = append(got, arrival{u.DTS, time.Since(began)})
					}
				}
			}
		}()
		sound := func(at int) {
			u := e.sound(at)
			u.Arrived = time.Now().UnixNano()
			write(t, p, u)
		}
		at := func(ms int) { time.Sleep(time.Until(began.Add(time.Duration(ms) * time.Millisecond))) }
		for i := range 3 {
			at(i * 33)
			write(t, p, e.picture(i*33, i == 0))
			at(i*33 + 20)
			sound(i*33 + 20)
		}
		at(300)
		sound(300) // nothing came for long
		at(310)
		sound(310) // goes with the one before
		at(1000)
		cancel()
		synctest.Wait()
		if len(got) != 8 {
			t.Fatalf("got %v", got)
		}
		for _, a := range got {
			if wait := a.after - a.dts; wait < 0 || wait > maxPictureWait {
				t.Errorf("the unit at %v came after %v", a.dts, wait)
			}
		}
		for i, want := range []time.Duration{0, 33, 33, 66, 66} {
			if got[i].after != want*time.Millisecond {
				t.Errorf("unit %d came at %v, want %v", i, got[i].after, want*time.Millisecond)
			}
		}
		if got[6].after != got[7].after || got[6].after <= 330*time.Millisecond {
			t.Errorf("the last two came at %v and %v", got[6].after, got[7].after)
		}
	})
}

func TestSharedBodyGoesOutOnce(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p := publish(t, h)
	body := []byte("many tracks")
	t0, t1 := &media.Track{Kind: media.Video}, &media.Track{Kind: media.Video, ID: 1}
	pub, _ := h.Lookup(name)
	r := pub.NewReader(ReaderOptions{})
	many := func(at int, key0, key1 bool) []media.AccessUnit {
		return []media.AccessUnit{
			{Track: t0, DTS: ms(at), RandomAccess: key0, Body: body, Data: body[:1]},
			{Track: t1, DTS: ms(at), RandomAccess: key1, Body: body, Data: body[1:2], Shared: true},
		}
	}
	write(t, p, many(0, true, false)...)
	write(t, p, many(40, false, true)...)
	got, _ := drain(t, r)
	if len(got) != 3 || got[0].Shared || got[1].Shared || !got[2].Shared {
		t.Fatalf("got %+v", got)
	}
}

func TestHeaderBodiesAreCopied(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	body := []byte("header")
	write(t, p, media.AccessUnit{Track: e.video, Header: media.SequenceHeader, Body: body}, e.picture(0, true))
	body[0] = 'X'
	pub, _ := h.Lookup(name)
	got, _ := drain(t, pub.NewReader(ReaderOptions{GOPs: 1}))
	if string(got[0].Body) != "header" {
		t.Error("the ring holds on to the message of a header")
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	h := newHub(Options{Memory: 1 << 20})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	pub, _ := h.Lookup(name)
	pub.NewReader(ReaderOptions{})
	e.gops(t, p, 0, 30)
	units := []media.AccessUnit{e.picture(0, false), e.sound(0)}
	at := 30_000
	if n := testing.AllocsPerRun(1000, func() {
		at += 33
		units[0].DTS, units[1].DTS = ms(at), ms(at)
		units[0].RandomAccess = at%30 == 0
		if err := p.Write(units); err != nil {
			t.Fatal(err)
		}
	}); n > 0.1 {
		t.Errorf("%.2f allocations per picture", n)
	}
}

// TestShare: the ring holds the bytes that somebody else holds too, and only for the unit whose
// they are.
func TestShare(t *testing.T) {
	h := NewHub(Options{GOPs: 1})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	units := e.headers()
	for i := range 3 {
		body := []byte{1, 2, 3, 4, 5, 6, byte(i)}
		units = append(units, media.AccessUnit{Track: e.video, RandomAccess: i == 0, DTS: ms(i * 40), PTS: ms(i * 40), Body: body, Data: body[5:7]})
	}
	twin := units[4]
	twin.Shared = true
	repaired := media.AccessUnit{Track: e.video, DTS: ms(200), PTS: ms(200), Body: []byte{1, 2, 3}, Data: []byte("other")}
	write(t, p, append(units, twin, repaired)...)
	pub, _ := h.Lookup(name)
	read := func() []media.AccessUnit {
		r := pub.NewReader(ReaderOptions{GOPs: 1})
		defer r.Close()
		all, _ := drain(t, r)
		return samples(all)
	}
	before := read()
	var moves []Moved
	for i := range before {
		moves = append(moves, Moved{Seq: before[i].Seq, From: before[i].Body, To: slices.Clone(before[i].Body)})
	}
	moves[0].From = slices.Clone(moves[0].From) // of somebody else
	r := pub.NewReader(ReaderOptions{})
	defer r.Close()
	r.Share(append(moves, Moved{Seq: 1 << 40, From: []byte{1}, To: []byte{1}}))
	for i, u := range read() {
		if !slices.Equal(u.Body, before[i].Body) || !slices.Equal(u.Data, before[i].Data) {
			t.Errorf("unit %d: %v %v, was %v %v", i, u.Body, u.Data, before[i].Body, before[i].Data)
		}
		moved := &u.Body[0] != &before[i].Body[0]
		if moved != (i != 0 && i != 4) || moved && &u.Data[0] != &u.Body[5] {
			t.Errorf("unit %d is moved: %v", i, moved)
		}
	}
}
