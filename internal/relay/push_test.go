package relay

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livego/internal/fanout"
	"livego/internal/live"
	"livego/internal/media"
	"livego/internal/rtmp"
)

// patient is how long tests wait for what must come.
const patient = time.Minute

// target is another server, which takes whatever is published.
type target struct {
	url string
	// began is told each publisher's name, took each message, ended why a publisher was over.
	began chan string
	took  chan rtmp.Message
	ended chan error
	// refuse, if set, is why nobody may publish.
	refuse error
	over   <-chan struct{} // closed at the end
}

func newTarget(t *testing.T, config *tls.Config) *target {
	t.Helper()
	s := &target{began: make(chan string, 100), took: make(chan rtmp.Message, 100_000), ended: make(chan error, 100)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	scheme := "rtmp://"
	if config != nil {
		scheme = "rtmps://"
	}
	s.url = scheme + l.Addr().String() + "/live/key"
	ctx, cancel := context.WithCancel(context.Background())
	s.over = ctx.Done()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if config != nil {
				nc = tls.Server(nc, config)
			}
			all.Go(func() { _ = rtmp.Serve(ctx, nc, rtmp.ServerOptions{}, s) })
		}
	})
	t.Cleanup(func() { l.Close(); cancel(); all.Wait() })
	return s
}

func (s *target) Connect(context.Context, *rtmp.ConnectRequest) error { return nil }
func (s *target) Play(context.Context, *rtmp.PlayRequest, *rtmp.PlayStream) error {
	return errors.New("nothing to play")
}
func (s *target) Stray(uint32, uint8) {}

func (s *target) Publish(_ context.Context, r *rtmp.PublishRequest) (rtmp.Publication, error) {
	if s.refuse != nil {
		return nil, s.refuse
	}
	s.began <- r.Name
	return s, nil
}

func (s *target) Message(m rtmp.Message) error {
	m.Body = bytes.Clone(m.Body)
	select {
	case s.took <- m:
	case <-s.over:
	}
	return nil
}
func (s *target) Close(cause error) { s.ended <- cause }

// await returns what comes from a channel.
func await[T any](t *testing.T, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patient):
		t.Fatal("timed out: ", what)
	}
	return v
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for until := time.Now().Add(patient); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("timed out: ", what)
		}
	}
}

// encoder publishes a stream of pictures, each of them a key frame.
type encoder struct {
	hub  *live.Hub
	pub  *live.Publisher
	n    int
	size int
}

var videoTrack = func() *media.Track { return &media.Track{Kind: media.Video, Codec: media.H264, Parsed: true} }

func begin(t *testing.T, hub *live.Hub) *encoder {
	t.Helper()
	pub, err := hub.Publish(live.Name{App: "live", Stream: "movie"}, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	e := &encoder{hub: hub, pub: pub, size: 1000}
	data, video := &media.Track{Kind: media.Data}, videoTrack()
	body := []byte(metadataName + "\x03\x00\x00\x09")
	e.write(media.AccessUnit{Track: data, Header: media.Metadata, MessageType: rtmp.TypeDataAMF0, Body: body, Data: body})
	e.write(media.AccessUnit{Track: video, Header: media.SequenceHeader, MessageType: rtmp.TypeVideo, Body: []byte{0x17, 0}})
	return e
}

func (e *encoder) write(u media.AccessUnit) {
	u.Arrived = time.Now().UnixNano()
	e.pub.Write([]media.AccessUnit{u})
}

// picture writes the next picture, whose body has its number.
func (e *encoder) picture() {
	body := append([]byte{0x17, 1, 0, 0, 0, byte(e.n >> 8), byte(e.n)}, make([]byte, e.size)...)
	at := time.Duration(e.n) * 40 * time.Millisecond
	e.write(media.AccessUnit{
		Track: videoTrack(), RandomAccess: true, DTS: at, PTS: at, MessageType: rtmp.TypeVideo, Body: body, Data: body,
	})
	e.n++
}

// pushing returns relays over a hub, with a fan-out.
func pushing(t *testing.T, o fanout.Options) (*Relays, *live.Hub) {
	t.Helper()
	hub := live.NewHub(live.Options{})
	o.GOPs = 1
	f := fanout.New(o)
	r := New(Options{Log: slog.New(slog.DiscardHandler), Subscribe: hub.Subscribe, Fanout: f})
	t.Cleanup(func() { hub.Close(); r.Close(); f.Wait() })
	return r, hub
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// number is that of a picture, -1 of any other message.
func number(m rtmp.Message) int {
	if m.Type != rtmp.TypeVideo || m.Body[1] != 1 {
		return -1
	}
	return int(m.Body[5])<<8 | int(m.Body[6])
}

// take takes pictures from number first on until one is last, without a gap.
func (s *target) take(t *testing.T, first, last int) {
	t.Helper()
	for want := first; want <= last; {
		m := await(t, "a picture", s.took)
		if n := number(m); n >= 0 {
			if n != want {
				t.Fatalf("picture %d, want %d", n, want)
			}
			want++
		}
	}
}

// TestPush: another server gets what it is to keep for its players, all pictures and the end of the
// stream, over and over.
func TestPush(t *testing.T) {
	secure := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	for name, config := range map[string]*tls.Config{"rtmp": nil, "rtmps": secure} {
		t.Run(name, func(t *testing.T) {
			to := newTarget(t, config)
			r, hub := pushing(t, fanout.Options{})
			relay := Relay{Push, "live", "movie", to.url}
			if err := r.Try(t.Context(), relay); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				e := begin(t, hub)
				e.picture()
				if got := await(t, "a publisher", to.began); got != "key" {
					t.Errorf("published as %s", got)
				}
				meta, header := await(t, "metadata", to.took), await(t, "the header", to.took)
				if meta.Type != rtmp.TypeDataAMF0 || string(meta.Body) != setDataFrame+metadataName+"\x03\x00\x00\x09" || header.Type != rtmp.TypeVideo || header.Body[1] != 0 {
					t.Errorf("it begins with %v and %v", meta, header)
				}
				for range 99 {
					e.picture()
				}
				e.pub.Unpublish()
				to.take(t, 0, 99)
				if err := await(t, "the end", to.ended); !errors.Is(err, rtmp.ErrUnpublished) {
					t.Errorf("the publisher ended with %v", err)
				}
			}
			eventually(t, "the next stream is waited for", func() bool { s, _ := r.Status(relay); return s.State == Waiting })
			s, _ := r.Status(relay)
			if least := uint64(2 * 100 * 1000); s.Bytes < least || s.Bytes > least*11/10 || s.Tries != 2 || s.Error != "" || s.Skipped != 0 {
				t.Errorf("%+v", s)
			}
			if all := r.Stats()[0]; all.Bytes != s.Bytes || all.Failures != 0 {
				t.Errorf("%+v", all)
			}
		})
	}
}

// TestPushRefused: what the other server says is the relay's error.
func TestPushRefused(t *testing.T) {
	to := newTarget(t, nil)
	to.refuse = &rtmp.StatusError{Code: rtmp.CodePublishDenied, Description: "Not you."}
	r, hub := pushing(t, fanout.Options{})
	begin(t, hub).picture()
	if err := r.Try(t.Context(), Relay{Push, "live", "movie", to.url}); err == nil || !strings.Contains(err.Error(), "Not you.") {
		t.Errorf("%v", err)
	}
}

// TestPushStalled: a server that takes nothing more is given up after the write timeout; one that
// is slow loses pictures, and others nothing.
func TestPushStalled(t *testing.T) {
	mute, slow, good := newTarget(t, nil), newTarget(t, nil), newTarget(t, nil)
	mute.took, slow.took = make(chan rtmp.Message), make(chan rtmp.Message)
	r, hub := pushing(t, fanout.Options{PlayerBytes: 1 << 20, WriteTimeout: 10 * time.Second})
	e := begin(t, hub)
	e.size = 100_000
	e.picture()
	status := func(to *target) Status { s, _ := r.Status(Relay{Push, "live", "movie", to.url}); return s }
	for _, to := range []*target{mute, slow, good} {
		if err := r.Start(Relay{Push, "live", "movie", to.url}, false); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the push runs", func() bool { return status(to).State == Running })
	}
	going, stop := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	defer reading.Wait()
	defer stop()
	may := make(chan struct{}, 1) // read a picture
	reading.Go(func() {
		for {
			select {
			case <-may:
			case <-going.Done():
				return
			}
			select {
			case <-slow.took:
			case <-going.Done():
				return
			}
		}
	})
	good.take(t, 0, 0) // a push that runs may begin a moment later, and then with a newer picture
	at := 1
	eventually(t, "the slow server loses pictures, the mute one is given up", func() bool {
		e.picture()
		good.take(t, at, at)
		if at++; at%5 == 0 { // however fast this machine is
			select {
			case may <- struct{}{}:
			default:
			}
		}
		return status(slow).Skipped > 0 && status(mute).State == Failed
	})
	if s := status(mute); !strings.Contains(s.Error, "write timeout") {
		t.Errorf("mute: %+v", s)
	}
	if s := status(slow); s.State != Running {
		t.Errorf("slow: %+v", s)
	}
	if s := status(good); s.Skipped != 0 || s.Error != "" {
		t.Errorf("good: %+v", s)
	}
}

// TestPushBroken: a connection that breaks is made again.
func TestPushBroken(t *testing.T) {
	to := newTarget(t, nil)
	r, hub := pushing(t, fanout.Options{})
	var conns []net.Conn
	var mu sync.Mutex
	r.opt.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, nc)
		return nc, err
	}
	e := begin(t, hub)
	e.picture()
	if err := r.Start(Relay{Push, "live", "movie", to.url}, false); err != nil {
		t.Fatal(err)
	}
	await(t, "a publisher", to.began)
	to.take(t, 0, 0)
	mu.Lock()
	_ = conns[0].(*net.TCPConn).CloseRead() // it reads the end
	mu.Unlock()
	await(t, "the end", to.ended)
	await(t, "a publisher", to.began)
	e.picture()
	var got []int
	for !slices.Contains(got, 1) {
		got = append(got, number(await(t, "a picture", to.took)))
	}
	if s := r.List()[0]; s.State != Running || s.Tries != 2 || !strings.Contains(s.Error, "connection") {
		t.Errorf("%+v", s)
	}
}
