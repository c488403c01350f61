package fanout

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"livego/internal/live"
	"livego/internal/media"
	"livego/internal/property"
)

func TestMain(m *testing.M) {
	property.Fix()
	goleak.VerifyTestMain(m)
}

// plainFormat frames messages as a checksum, a length, a type, a time and the body.
type plainFormat struct{ id int }

func (plainFormat) Overhead(int) int { return 13 }

func (plainFormat) AppendMessage(dst []byte, typ uint8, ts uint32, body []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(body))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	dst = append(dst, typ)
	dst = binary.BigEndian.AppendUint32(dst, ts)
	return append(dst, body...)
}

// message is what a checker reads.
type message struct {
	typ  uint8
	ts   uint32
	body []byte
}

func (m message) key() bool    { return m.typ == 9 && m.body[0] == 'K' }
func (m message) header() bool { return m.body[0] == 'H' }

const control = 0xff

// readMessage reads one message; the checksum shows that nothing was torn.
func readMessage(r io.Reader) (message, error) {
	var h [13]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return message{}, err
	}
	body := make([]byte, binary.BigEndian.Uint32(h[4:]))
	if _, err := io.ReadFull(r, body); err != nil {
		return message{}, fmt.Errorf("torn message: %w", err)
	}
	if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(h[:]) {
		return message{}, errors.New("checksum is wrong: the stream was torn")
	}
	return message{typ: h[8], ts: binary.BigEndian.Uint32(h[9:]), body: body}, nil
}

// checker verifies the rules of a delivered stream: it starts and resumes at key frames after
// headers, and time never falls.
type checker struct {
	messages, gaps int
	last           map[uint8]uint32
	lastNumber     uint32
	headers        bool
}

func (c *checker) check(m message) error {
	if m.typ == control {
		return nil
	}
	if c.last == nil {
		c.last = map[uint8]uint32{}
	}
	if m.ts < c.last[m.typ] {
		return fmt.Errorf("time of type %d falls from %d to %d", m.typ, c.last[m.typ], m.ts)
	}
	c.last[m.typ] = m.ts
	if m.header() {
		c.headers = true
		return nil
	}
	n := binary.BigEndian.Uint32(m.body[1:])
	switch {
	case c.messages == 0 || n != c.lastNumber+1:
		if !m.key() {
			return fmt.Errorf("message %d follows %d but is no key frame", n, c.lastNumber)
		}
		if !c.headers {
			return errors.New("no headers before the first key frame")
		}
		if c.messages > 0 {
			c.gaps++
		}
	}
	c.lastNumber = n
	c.messages++
	return nil
}

// source publishes numbered units: a picture of the given size and an audio frame per step.
type source struct {
	t            testing.TB
	hub          *live.Hub
	pub          *live.Publisher
	stream       *live.Publication
	video, audio *media.Track
	n            uint32
	at           time.Duration
	size         int
	arrived      int64 // when the first unit comes, if not in real time
	endless      bool  // the first key frame is the only one
}

// newFanout makes one that uses io_uring where it can.
func newFanout(opt Options) *Fanout {
	opt.Rings = true
	return New(opt)
}

func newSource(t testing.TB, opt live.Options) *source {
	t.Helper()
	opt.Takeover, opt.Grace = true, 10*time.Second
	s := &source{t: t, hub: live.NewHub(opt), size: 1000}
	name := live.Name{App: "live", Stream: "x"}
	var err error
	if s.pub, err = s.hub.Publish(name, func(error) {}); err != nil {
		t.Fatal(err)
	}
	s.stream, _ = s.hub.Lookup(name)
	s.video = &media.Track{Kind: media.Video, Codec: media.H264}
	s.audio = &media.Track{Kind: media.Audio, Codec: media.AAC}
	t.Cleanup(s.hub.Close)
	return s
}

func (s *source) write(units ...media.AccessUnit) {
	s.t.Helper()
	if err := s.pub.Write(units); err != nil {
		s.t.Fatal(err)
	}
}

func (s *source) headers() {
	s.write(
		media.AccessUnit{Track: s.video, Header: media.SequenceHeader, MessageType: 9, Body: []byte("Hvideo")},
		media.AccessUnit{Track: s.audio, Header: media.SequenceHeader, MessageType: 8, Body: []byte("Haudio")})
}

func (s *source) body(kind byte, size int) []byte {
	b := make([]byte, max(size, 5))
	b[0] = kind
	binary.BigEndian.PutUint32(b[1:], s.n)
	s.n++
	return b
}

// step publishes one picture, a key frame each tenth time, and one audio frame, 40 ms of media.
func (s *source) step() {
	kind, typ := byte('P'), uint8(9)
	number := int(s.at / (40 * time.Millisecond))
	key := number == 0 || number%10 == 0 && !s.endless
	if key {
		kind = 'K'
	}
	v := s.body(kind, s.size)
	a := s.body('A', 100)
	now := time.Now().UnixNano()
	if s.arrived != 0 {
		now = s.arrived + int64(s.at)
	}
	s.write(media.AccessUnit{Track: s.video, RandomAccess: key, MessageType: typ, DTS: s.at, PTS: s.at, Body: v, Data: v, Arrived: now},
		media.AccessUnit{Track: s.audio, RandomAccess: true, MessageType: 8, DTS: s.at, PTS: s.at, Body: a, Data: a, Arrived: now})
	s.at += 40 * time.Millisecond
}

func (s *source) steps(n int) {
	for range n {
		s.step()
	}
}

// pair returns the two ends of a TCP connection on loopback.
func pair(t testing.TB) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	type result struct {
		c   net.Conn
		err error
	}
	accepted := make(chan result, 1)
	go func() {
		c, err := l.Accept()
		accepted <- result{c, err}
	}()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r := <-accepted
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() { r.c.Close(); client.Close() })
	return r.c, client
}

// tlsPair is pair with TLS, which has no raw socket to write to.
func tlsPair(t testing.TB) (server, client net.Conn) {
	s, c := pair(t)
	cert := testCertificate(t)
	server = tls.Server(s, &tls.Config{Certificates: []tls.Certificate{cert}})
	client = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- server.(*tls.Conn).Handshake() }()
	if err := client.(*tls.Conn).Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return server, client
}

// play adds a player and starts it with an empty preamble.
func play(f *Fanout, s *live.Publication, o PlayerOptions) *Player {
	p := joining(f, s, o)
	p.Start(nil)
	return p
}

// joining adds a player that is yet to start.
func joining(f *Fanout, s *live.Publication, o PlayerOptions) *Player {
	p, err := f.Play(s, o)
	if err != nil {
		panic(err)
	}
	return p
}

// watching runs watch beside the test.
func watching(t *testing.T, client io.Reader) <-chan checker {
	watched := make(chan checker, 1)
	go func() {
		c, err := watch(client)
		if err != nil {
			t.Error(err)
		}
		watched <- c
	}()
	return watched
}

// watch reads a player's end to its finish.
func watch(r io.Reader) (c checker, err error) {
	br := bufio.NewReaderSize(r, 1<<16)
	for {
		m, err := readMessage(br)
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err == nil {
			err = c.check(m)
		}
		if err != nil {
			return c, err
		}
	}
}

func wait(t testing.TB, p *Player) error {
	t.Helper()
	select {
	case <-p.Done():
		return p.Err()
	case <-time.After(20 * time.Second):
		t.Fatal("the player does not end")
		return nil
	}
}

// eventually polls until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

var transports = []struct {
	name string
	pair func(testing.TB) (net.Conn, net.Conn)
}{{"tcp", pair}, {"held", heldPair}, {"tls", tlsPair}}

// held is a Holder that checks that it is given up once.
type held struct {
	net.Conn
	t     testing.TB
	holds atomic.Int32
}

func (h *held) NetConn() net.Conn { return h.Conn }
func (h *held) Hold() bool        { return h.holds.Add(1) == 1 }
func (h *held) Release() {
	if h.holds.Add(-1) != 0 {
		h.t.Error("released more often than held")
	}
}

func heldPair(t testing.TB) (server, client net.Conn) {
	s, client := pair(t)
	h := &held{Conn: s, t: t}
	t.Cleanup(func() {
		if n := h.holds.Load(); n != 0 {
			t.Errorf("held %d times at the end", n)
		}
	})
	return h, client
}

func TestPlayerGetsEverythingFromKeyFrameToTrailer(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			src := newSource(t, live.Options{})
			f := newFanout(Options{GOPs: 1})
			src.headers()
			src.steps(25)
			server, client := tr.pair(t)
			ended := make(chan error, 1)
			p := joining(f, src.stream, PlayerOptions{
				Conn: server, Format: plainFormat{},
				Trailer: plainFormat{}.AppendMessage(nil, control, 0, []byte("bye")),
				OnEnd:   func(err error) { ended <- err },
			})
			p.Start(plainFormat{}.AppendMessage(nil, control, 0, []byte("hello")))
			r := bufio.NewReader(client)
			if m, err := readMessage(r); err != nil || string(m.body) != "hello" {
				t.Fatalf("preamble: %v %v", m, err)
			}
			var c checker
			for i := range 2 {
				m, err := readMessage(r)
				if err != nil || !m.header() || m.ts != 800 {
					t.Fatalf("header %d: %+v %v", i, m, err)
				}
				if err := c.check(m); err != nil {
					t.Fatal(err)
				}
			}
			src.steps(75)
			src.pub.Unpublish()
			for {
				m, err := readMessage(r)
				if err != nil {
					t.Fatal(err)
				}
				if m.typ == control {
					if string(m.body) != "bye" {
						t.Fatalf("got %q", m.body)
					}
					break
				}
				if err := c.check(m); err != nil {
					t.Fatal(err)
				}
			}
			// 100 steps in all; the cached GOP begins at step 20.
			if c.messages != 160 || c.gaps != 0 {
				t.Errorf("%d messages, %d gaps; want 160 and none", c.messages, c.gaps)
			}
			if err := wait(t, p); !errors.Is(err, ErrStreamEnded) {
				t.Error(err)
			}
			if err := <-ended; !errors.Is(err, ErrStreamEnded) {
				t.Error(err)
			}
			st := p.Stats()
			if st.Video != 80*1000 || st.Audio != 80*100 || st.Jumps != 0 {
				t.Errorf("stats %+v", st)
			}
			f.Wait()
			if n := f.Stats(); n.Feeds != 0 || n.Players != 0 {
				t.Errorf("left over: %+v", n)
			}
		})
	}
}

func TestWithoutGOPCachePlayerWaitsForKeyFrame(t *testing.T) {
	src := newSource(t, live.Options{})
	f := newFanout(Options{GOPs: 0})
	src.headers()
	src.steps(15)
	server, client := pair(t)
	p := joining(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	p.Start(plainFormat{}.AppendMessage(nil, control, 0, []byte("x")))
	r := bufio.NewReader(client)
	if _, err := readMessage(r); err != nil {
		t.Fatal(err)
	}
	src.steps(15)
	src.pub.Unpublish()
	go func() { <-p.Done(); server.Close() }()
	c, err := watch(r)
	if err != nil || c.messages != 20 {
		t.Errorf("%d messages, %v; want the last 10 pictures and their audio", c.messages, err)
	}
	f.Wait()
}

func TestSlowPlayerJumpsForwardToKeyFrame(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			src := newSource(t, live.Options{})
			src.size = 20_000
			f := newFanout(Options{GOPs: 1, PlayerBytes: 1 << 20, WriteTimeout: time.Minute})
			src.headers()
			src.step()
			slowServer, slowClient := tr.pair(t)
			fastServer, fastClient := pair(t)
			slow := play(f, src.stream, PlayerOptions{Conn: slowServer, Format: plainFormat{}})
			fast := play(f, src.stream, PlayerOptions{Conn: fastServer, Format: plainFormat{}})
			type result struct {
				c   checker
				err error
			}
			fastDone := make(chan result, 1)
			go func() {
				c, err := watch(fastClient)
				fastDone <- result{c, err}
			}()
			eventually(t, "both join", func() bool { return slow.Stats().Sent > 0 && fast.Stats().Sent > 0 })
			// 40 MB pass while one of them does not read.
			for range 200 {
				src.steps(10)
				want := uint64(src.n) / 2 * 100
				eventually(t, "the fast player keeps up", func() bool { return fast.Stats().Audio >= want })
			}
			if n := f.Stats().LogBytes; n > 8<<20 {
				t.Errorf("the log holds %d bytes for a stopped player", n)
			}
			slowDone := make(chan result, 1)
			go func() {
				c, err := watch(slowClient)
				slowDone <- result{c, err}
			}()
			eventually(t, "the slow player jumps", func() bool { return slow.Stats().Jumps > 0 })
			src.steps(30)
			src.pub.Unpublish()
			go func() { <-slow.Done(); slowServer.Close() }()
			go func() { <-fast.Done(); fastServer.Close() }()
			s, q := <-slowDone, <-fastDone
			if s.err != nil || q.err != nil {
				t.Fatal(s.err, q.err)
			}
			if s.c.gaps == 0 || s.c.gaps > int(slow.Stats().Jumps) {
				t.Errorf("the slow player saw %d gaps, %d jumps counted", s.c.gaps, slow.Stats().Jumps)
			}
			if got, skipped := s.c.messages, slow.Stats().Skipped; got+int(skipped) != 2*2031 {
				t.Errorf("the slow player got %d messages and skipped %d of %d", got, skipped, 2*2031)
			}
			if q.c.gaps != 0 || q.c.messages != 2*2031 {
				t.Errorf("the fast player saw %d gaps and %d messages", q.c.gaps, q.c.messages)
			}
			if got, want := slow.Stats().Audio, uint64(s.c.messages)/2*100; got != want {
				t.Errorf("the slow player's audio: %d bytes counted, %d seen", got, want)
			}
			f.Wait()
		})
	}
}

func TestStoppedReaderIsClosed(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			src := newSource(t, live.Options{})
			src.size = 50_000
			f := newFanout(Options{GOPs: 1, WriteTimeout: 200 * time.Millisecond})
			server, _ := tr.pair(t)
			p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
			src.headers()
			src.steps(400)
			if err := wait(t, p); !errors.Is(err, ErrStalled) {
				t.Error(err)
			}
			f.Wait()
		})
	}
}

func TestPausedPlayerIsNotStalled(t *testing.T) {
	src := newSource(t, live.Options{})
	f := newFanout(Options{GOPs: 1, WriteTimeout: 50 * time.Millisecond, PlayerBytes: 50_000})
	server, client := pair(t)
	p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	src.headers()
	src.step()
	eventually(t, "player joins", func() bool { return p.Stats().Audio == 100 })
	src.steps(14)
	done := make(chan error, 1)
	var c checker
	go func() {
		var err error
		c, err = watch(client)
		done <- err
	}()
	eventually(t, "player is up to date", func() bool { return p.Stats().Audio == 1500 })
	before := p.Stats().Sent
	p.Pause(true)
	if err := p.Post(plainFormat{}.AppendMessage(nil, control, 0, []byte("paused"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "control goes out in a pause", func() bool { return p.Stats().Sent == before+19 })
	src.steps(100)
	if got := p.Stats(); got.Audio != 1500 {
		t.Errorf("a paused player got media: %+v", got)
	}
	p.Pause(false)
	eventually(t, "the player resumes", func() bool { return p.Stats().Audio > 1500 })
	if p.Stats().Jumps != 1 {
		t.Errorf("%d jumps after a long pause, want 1", p.Stats().Jumps)
	}
	p.Close(errors.New("enough"))
	if err := wait(t, p); err.Error() != "enough" {
		t.Error(err)
	}
	server.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if c.gaps != 1 {
		t.Errorf("%d gaps", c.gaps)
	}
	f.Wait()
}

func TestControlGoesOutBetweenMessages(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			src := newSource(t, live.Options{})
			src.size = 200_000
			f := newFanout(Options{GOPs: 1, PlayerBytes: 1 << 30})
			src.headers()
			server, client := tr.pair(t)
			p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
			const pings = 100
			src.step()
			eventually(t, "player joins", func() bool { return p.Stats().Sent > 0 })
			go func() {
				defer src.pub.Unpublish()
				for range pings {
					src.steps(2)
					if err := p.Post(plainFormat{}.AppendMessage(nil, control, 7, []byte("pong"))); err != nil {
						t.Error(err)
					}
				}
			}()
			go func() { <-p.Done(); server.Close() }()
			got := 0
			var c checker
			r := bufio.NewReader(client)
			for {
				m, err := readMessage(r)
				if errors.Is(err, io.EOF) {
					break
				}
				if err == nil {
					err = c.check(m)
				}
				if err != nil {
					t.Fatal(err)
				}
				if m.typ == control {
					got++
				}
			}
			if got != pings || c.messages != 2+4*pings {
				t.Errorf("%d of %d control messages, %d media messages", got, pings, c.messages)
			}
			f.Wait()
		})
	}
}

func TestControlQueueIsBounded(t *testing.T) {
	src := newSource(t, live.Options{})
	src.size = 100_000
	f := newFanout(Options{GOPs: 1, WriteTimeout: time.Minute})
	src.headers()
	server, _ := pair(t)
	p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	src.steps(200)
	var err error
	for range 100_000 {
		if err = p.Post(make([]byte, 100)); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrControlFull) {
		t.Error(err)
	}
	if err := wait(t, p); !errors.Is(err, ErrControlFull) {
		t.Error(err)
	}
	f.Wait()
}

func TestStopLeavesTheConnectionAtAMessageBoundary(t *testing.T) {
	src := newSource(t, live.Options{})
	src.size = 100_000
	f := newFanout(Options{GOPs: 1})
	src.headers()
	server, client := pair(t)
	p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	src.steps(200)
	cause := errors.New("something else")
	p.Stop(cause)
	next := make(chan error, 1)
	go func() {
		<-p.Done()
		_, err := server.Write(plainFormat{}.AppendMessage(nil, control, 0, []byte("next")))
		next <- err
		server.Close()
	}()
	if _, err := watch(client); err != nil {
		t.Error(err)
	}
	if err := <-next; err != nil {
		t.Error(err)
	}
	if err := p.Err(); !errors.Is(err, cause) {
		t.Error(err)
	}
	f.Wait()
}

func TestDeadlineOfTheSessionDoesNotEndThePlayer(t *testing.T) {
	src := newSource(t, live.Options{})
	f := newFanout(Options{GOPs: 1})
	src.headers()
	server, client := pair(t)
	if err := server.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	src.steps(5)
	if m, err := readMessage(client); err != nil || !m.header() {
		t.Errorf("%v %v", m, err)
	}
	src.pub.Unpublish()
	if err := wait(t, p); !errors.Is(err, ErrStreamEnded) {
		t.Error(err)
	}
	f.Wait()
}

func TestPeerThatLeavesIsNoticed(t *testing.T) {
	src := newSource(t, live.Options{})
	f := newFanout(Options{GOPs: 1})
	src.headers()
	server, client := pair(t)
	p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	src.steps(10)
	client.Close()
	eventually(t, "the player ends", func() bool { src.step(); return p.Err() != nil })
	if !errors.Is(p.Err(), ErrGone) {
		t.Error(p.Err())
	}
	f.Wait()
}

func TestPlayerToldOfFewerTracksEnds(t *testing.T) {
	src := newSource(t, live.Options{})
	f := newFanout(Options{GOPs: 1})
	for i := range 30 {
		a := src.body('A', 100)
		src.write(media.AccessUnit{Track: src.audio, RandomAccess: true, MessageType: 8, DTS: time.Duration(i) * 50 * time.Millisecond, Body: a, Data: a})
	}
	src.pub.Expect(0, 1)
	s1, _ := pair(t)
	audioOnly := play(f, src.stream, PlayerOptions{Conn: s1, Format: plainFormat{}, Kinds: []media.Kind{media.Audio}})
	s2, _ := pair(t)
	both := play(f, src.stream, PlayerOptions{Conn: s2, Format: plainFormat{}, Kinds: []media.Kind{media.Audio, media.Video}})
	eventually(t, "audio flows", func() bool { return audioOnly.Stats().Audio > 0 && both.Stats().Audio > 0 })
	src.at = 2 * time.Second
	src.headers()
	src.steps(20)
	if err := wait(t, audioOnly); !errors.Is(err, ErrTracksChanged) {
		t.Error(err)
	}
	s3, _ := pair(t)
	late := play(f, src.stream, PlayerOptions{Conn: s3, Format: plainFormat{}, Kinds: []media.Kind{media.Audio}})
	if err := wait(t, late); !errors.Is(err, ErrTracksChanged) {
		t.Error(err)
	}
	if both.Err() != nil {
		t.Error(both.Err())
	}
	src.pub.Unpublish()
	f.Wait()
}

func TestFeedEndsAtTheLimitOfItsTime(t *testing.T) {
	const limit = time.Hour
	src := newSource(t, live.Options{})
	f := newFanout(Options{GOPs: 1})
	src.headers()
	src.at = limit - 2*limitMargin - 8*time.Second // a key frame
	src.steps(1)
	watchOne := func() (*Player, <-chan uint32) {
		server, client := pair(t)
		p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}, TimeLimit: limit})
		first := make(chan uint32, 1)
		go func() {
			m, _ := readMessage(client)
			first <- m.ts
			_, _ = io.Copy(io.Discard, client)
		}()
		go func() { <-p.Done(); server.Close() }()
		return p, first
	}
	p, first := watchOne()
	if ts := <-first; ts != uint32(src.at/time.Millisecond)-40 {
		t.Errorf("first time %d", ts)
	}
	for src.at < limit-limitMargin-8*time.Second {
		src.at += 8*time.Second - 40*time.Millisecond // each of these is a key frame, and no jump
		src.steps(1)
	}
	if err := p.Err(); err != nil {
		t.Fatalf("the feed ended %v before its limit: %v", limit-src.at, err)
	}
	src.steps(260)
	if err := wait(t, p); !errors.Is(err, ErrTimeLimit) {
		t.Fatal(err)
	}
	p, first = watchOne()
	if ts := <-first; ts != 0 {
		t.Errorf("the new feed begins at %d", ts)
	}
	src.steps(60)
	src.pub.Unpublish()
	if err := wait(t, p); !errors.Is(err, ErrStreamEnded) {
		t.Errorf("the rebased feed ended: %v", err)
	}
	f.Wait()
}

// TestChurn joins, leaves, pauses and posts from many goroutines while media flows over several
// shards; every byte stream is checked.
func TestChurn(t *testing.T) {
	src := newSource(t, live.Options{})
	src.size = 5000
	f := newFanout(Options{GOPs: 2, MaxShards: 3, PlayerBytes: 200_000, MaxBatch: 20 * time.Millisecond})
	src.headers()
	src.steps(30)
	stop := make(chan struct{})
	var viewers, publisher sync.WaitGroup
	publisher.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				src.step()
			}
		}
	})
	for i := range 16 {
		viewers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			for range 12 {
				churnOnce(t, f, src.stream, rnd)
			}
		})
	}
	viewers.Wait()
	close(stop)
	publisher.Wait()
	src.pub.Unpublish()
	f.Wait()
}

func churnOnce(t *testing.T, f *Fanout, s *live.Publication, rnd *rand.Rand) {
	server, client := pair(t)
	p := play(f, s, PlayerOptions{Conn: server, Format: plainFormat{rnd.IntN(2)}})
	r := bufio.NewReaderSize(client, 1<<16)
	var c checker
	for n := rnd.IntN(300); n > 0; n-- {
		m, err := readMessage(r)
		if err == nil {
			err = c.check(m)
		}
		if err != nil {
			t.Error(err)
			break
		}
		switch rnd.IntN(100) {
		case 0:
			p.Pause(true)
			p.Pause(false)
		case 1:
			if err := p.Post(plainFormat{}.AppendMessage(nil, control, 0, []byte("c"))); err != nil {
				t.Error(err)
			}
		case 2:
			p.Stats()
			f.Stats()
		}
	}
	if rnd.IntN(2) == 0 {
		client.Close()
	}
	p.Close(errors.New("left"))
	wait(t, p)
	server.Close()
	client.Close()
}

func TestSecondShardDelivers(t *testing.T) {
	src := newSource(t, live.Options{})
	f := newFanout(Options{GOPs: 1, MaxShards: 2})
	src.headers()
	src.steps(10)
	const n = playersPerShard + 20
	var wg sync.WaitGroup
	for range n {
		server, client := pair(t)
		p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
		wg.Go(func() { <-p.Done(); server.Close() })
		wg.Go(func() {
			if c, err := watch(client); err != nil || c.messages < 2*100 || c.gaps != 0 {
				t.Errorf("%d messages, %d gaps, %v", c.messages, c.gaps, err)
			}
		})
		eventually(t, "player joins", func() bool { return p.Stats().Sent > 0 })
	}
	src.steps(100)
	src.pub.Unpublish()
	wg.Wait()
	f.Wait()
}

func TestLogBlocksAreFoundAndDropped(t *testing.T) {
	l := newFeedLog()
	track := &media.Track{Kind: media.Video}
	var want bytes.Buffer
	now := int64(0)
	body := bytes.Repeat([]byte{'x'}, 3000)
	for i := range 1000 {
		now += int64(10 * time.Millisecond)
		u := media.AccessUnit{Track: track, MessageType: 9, Body: body, Arrived: now, DTS: time.Duration(now), Join: i%50 == 0}
		l.append(plainFormat{}, &u, uint32(i), nil)
		want.Write(plainFormat{}.AppendMessage(nil, 9, uint32(i), body))
		l.publish(retention{most: int64(2 * time.Second), mostBytes: 1 << 30, allowance: 1 << 30})
	}
	x := l.index.Load()
	if held := now - x.blocks[0].entries[0].arrived; held < int64(2*time.Second) || held > int64(4*time.Second) {
		t.Errorf("the log holds %v", time.Duration(held))
	}
	var got bytes.Buffer
	for b := x.blocks[0]; b != nil; {
		got.Write(b.rest(0))
		b, _ = x.after(b)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()[x.blocks[0].base:]) {
		t.Error("the blocks do not hold what was appended")
	}
	if x.joins[0].block.seq < x.blocks[0].seq || len(x.joins) < 4 {
		t.Errorf("%d joins", len(x.joins))
	}
	if _, lost := x.after(&block{seq: 0}); !lost {
		t.Error("a dropped block is not reported as lost")
	}
}

// TestRetention: a log keeps what joiners and players that are a little behind need, not the whole
// lag that players may have.
func TestRetention(t *testing.T) {
	keep := retention{spare: 10, most: 30, mostBytes: 1000, first: 7}
	for _, tc := range []struct {
		name      string
		seq       uint64
		age, back int64
		want      bool
	}{
		{"new", 9, 0, 0, true},
		{"spare, needed by nobody", 6, 10, 500, true},
		{"older, needed by nobody", 6, 11, 500, false},
		{"older, needed", 7, 11, 500, true},
		{"oldest, needed", 7, 30, 1000, true},
		{"too old", 7, 31, 500, false},
		{"too far back", 7, 30, 1001, false},
		{"new, but too far back", 9, 0, 1001, false},
	} {
		if got := keep.keeps(&block{seq: tc.seq}, tc.age, tc.back); got != tc.want {
			t.Errorf("%s: kept %v", tc.name, got)
		}
	}
}

// TestLogIsBoundedWithoutKeyFrames: what is kept for joiners has a bound, also in a GOP that does
// not end.
func TestLogIsBoundedWithoutKeyFrames(t *testing.T) {
	const bound = 1 << 20
	src := newSource(t, live.Options{})
	src.size, src.arrived, src.endless = 100_000, 1e9, true
	f := newFanout(Options{GOPs: 1, Memory: 2 * bound, PlayerLag: time.Second, PlayerBytes: bound})
	src.headers()
	src.steps(1)
	server, client := pair(t)
	p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	watched := watching(t, client)
	for i := range 10 {
		src.steps(10) // 1 MB
		eventually(t, "the player has it", func() bool { return p.Stats().Audio >= uint64(100*(10*i+11)) })
		if st := f.Stats(); st.LogBytes > 3*bound {
			t.Fatalf("the log holds %d bytes after %d MB without a key frame", st.LogBytes, i+1)
		}
	}
	src.pub.Unpublish()
	_ = wait(t, p)
	server.Close()
	if c := <-watched; c.gaps != 0 || p.Stats().Jumps != 0 {
		t.Errorf("%d gaps, %d jumps", c.gaps, p.Stats().Jumps)
	}
	f.Wait()
}

// TestTrailerIsTheLastWord: what the session says once the end is on its way is not sent, such as
// the answer to a client's answer.
func TestTrailerIsTheLastWord(t *testing.T) {
	src := newSource(t, live.Options{})
	src.headers()
	src.steps(1)
	f := newFanout(Options{GOPs: 1})
	server, _ := pair(t)
	p := joining(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}, Trailer: []byte("bye")})
	src.pub.Unpublish()
	eventually(t, "the feed ends", func() bool { return p.feed.ended.Load() != nil })
	last := ""
	for { // not started: the test is the owner of the writes
		b, err := p.next()
		if err != nil {
			break
		}
		last = string(b)
		if last == "bye" {
			_ = p.Post([]byte("late"))
		}
		p.wrote(b, len(b))
	}
	if last != "bye" {
		t.Errorf("%q came last", last)
	}
	p.Start(nil)
	_ = wait(t, p)
	f.Wait()
}

// TestPlayerThatEndedHoldsNoLog: its session may know it for long, with the figures that it had.
func TestPlayerThatEndedHoldsNoLog(t *testing.T) {
	src := newSource(t, live.Options{})
	src.headers()
	src.steps(5)
	f := newFanout(Options{GOPs: 1})
	server, client := pair(t)
	go func() { _, _ = io.Copy(io.Discard, client) }()
	p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	eventually(t, "all is there", func() bool { return p.Stats().Audio == 500 })
	p.Stop(ErrGone)
	_ = wait(t, p)
	if st := p.Stats(); p.atBlock.Load() != nil || st.Audio != 500 || st.Video != 5000 {
		t.Errorf("it holds a block: %v; it got %+v", p.atBlock.Load() != nil, st)
	}
	f.Wait()
}

// TestBlockOfASlowPlayerIsKept: a player that is behind, but not too far, misses nothing.
func TestBlockOfASlowPlayerIsKept(t *testing.T) {
	src := newSource(t, live.Options{})
	src.size, src.arrived = 60_000, 1e9
	f := newFanout(Options{GOPs: 1, PlayerLag: time.Hour, PlayerBytes: 1 << 30})
	src.headers()
	src.steps(1)
	server, client := pair(t)
	p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	eventually(t, "the player begins", func() bool { return p.Stats().Audio > 0 })
	src.steps(200) // 12 MB, far more than sockets hold, in 8 s
	src.pub.Unpublish()
	watched := watching(t, client)
	_ = wait(t, p)
	server.Close()
	if c := <-watched; c.gaps != 0 || c.messages != 402 || p.Stats().Jumps != 0 {
		t.Errorf("%d messages, %d gaps, %d jumps", c.messages, c.gaps, p.Stats().Jumps)
	}
	f.Wait()
}

func TestDeliveryDoesNotAllocate(t *testing.T) {
	src := newSource(t, live.Options{Memory: 1 << 20})
	src.headers()
	src.steps(10)
	f := newFanout(Options{GOPs: 1})
	fd := newFeed(f, feedKey{pub: src.stream, format: plainFormat{}}, &budget{memory: int64(f.opt.Memory)})
	defer fd.reader.Close()
	fd.players = 1 << 20
	fd.collect()
	for range 20 {
		server, client := heldPair(t)
		go func() { _, _ = io.Copy(io.Discard, client) }()
		newPlayer(fd, fd.shards[0], PlayerOptions{Conn: server, Format: plainFormat{}}).Start(nil)
	}
	fd.shards[0].service()
	units := []media.AccessUnit{{Track: src.video, MessageType: 9, Body: src.body('P', 500), Data: []byte{1}}}
	at := src.at
	allocs := testing.AllocsPerRun(2000, func() {
		at += 40 * time.Millisecond
		units[0].DTS, units[0].Arrived = at, int64(at)
		_ = src.pub.Write(units)
		fd.step(time.Now(), time.Time{})
	})
	// One picture to 20 players. What is left are the log's blocks, per time and not per player.
	if allocs > 0.5 {
		t.Errorf("%.2f allocations per picture", allocs)
	}
	if st := fd.shards[0].players[0].Stats(); st.Video == 0 || len(fd.shards[0].players) != 20 {
		t.Errorf("nothing was delivered: %+v", st)
	}
	players := slices.Clone(fd.shards[0].players)
	for _, p := range players {
		p.Close(ErrGone)
	}
	fd.shards[0].service()
	for _, p := range players { // one that just catches up ends by itself
		for over := false; !over; {
			select {
			case <-p.Done():
				over = true
			case <-fd.shards[0].wake:
				fd.shards[0].service()
			}
		}
	}
}
