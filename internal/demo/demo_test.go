package demo

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"livego/internal/rtmp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestClip checks that the clip can loop: a round is as long as the code says, begins with a key
// frame, and no track has a gap where rounds meet.
func TestClip(t *testing.T) {
	tags, err := readClip()
	if err != nil {
		t.Fatal(err)
	}
	if len(clip) > 1<<20 {
		t.Errorf("the clip has %d bytes", len(clip))
	}
	first, last := map[uint8]uint32{}, map[uint8]uint32{}
	for i, tag := range tags {
		if isHeader(tag) {
			continue
		}
		if _, ok := first[tag.Type]; !ok {
			first[tag.Type] = tag.TimestampMS
			if tag.Type == rtmp.TypeVideo && tag.Body[0] != 0x17 { // AVC, key frame
				t.Errorf("the first picture begins with %#x", tag.Body[0])
			}
		}
		if tag.TimestampMS < last[tag.Type] {
			t.Errorf("time falls at tag %d", i)
		}
		last[tag.Type] = tag.TimestampMS
	}
	for kind, interval := range map[uint8]uint32{rtmp.TypeVideo: 34, rtmp.TypeAudio: 22} {
		seam := uint32(clipLength.Milliseconds()) + first[kind] - last[kind]
		if seam == 0 || seam > interval {
			t.Errorf("type %d: %d ms between the last frame and the first one of the next round", kind, seam)
		}
	}
}

// sink is an RTMP server that takes one stream, closes each connection after some messages, and
// refuses after some connections.
type sink struct {
	mu          sync.Mutex
	connections int
	messages    []rtmp.Message
}

const (
	messagesPerConnection = 12
	connectionsServed     = 2
)

func (s *sink) Stray(uint32, uint8) {}

func (s *sink) Connect(context.Context, *rtmp.ConnectRequest) error { return nil }

func (s *sink) Publish(_ context.Context, r *rtmp.PublishRequest) (rtmp.Publication, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.connections++; s.connections > connectionsServed || r.Name != "key" {
		return nil, &rtmp.StatusError{Code: "NetStream.Publish.Denied"}
	}
	return &taker{sink: s}, nil
}

func (s *sink) Play(context.Context, *rtmp.PlayRequest, *rtmp.PlayStream) error {
	return errors.New("nothing to play")
}

type taker struct {
	sink *sink
	got  int
}

func (t *taker) Message(m rtmp.Message) error {
	t.sink.mu.Lock()
	defer t.sink.mu.Unlock()
	m.Body = bytes.Clone(m.Body)
	t.sink.messages = append(t.sink.messages, m)
	if t.got++; t.got == messagesPerConnection {
		return errors.New("enough")
	}
	return nil
}

func (*taker) Close(error) {}

// TestRun publishes to a server that loses the first connection and in the end refuses: Run
// connects again, then gives up.
func TestRun(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { _ = rtmp.Serve(t.Context(), conn, rtmp.ServerOptions{}, s) })
		}
	})
	onAir := 0
	options := Options{
		URL:   "rtmp://" + listener.Addr().String() + "/live/key",
		OnAir: func() { onAir++ },
		Log:   slog.New(slog.DiscardHandler),
	}
	err = Run(t.Context(), options)
	listener.Close()
	connections.Wait()
	var refusal *rtmp.StatusError
	if !errors.As(err, &refusal) || refusal.Code != "NetStream.Publish.Denied" {
		t.Fatalf("Run returns %v", err)
	}
	if onAir != connectionsServed {
		t.Errorf("it was on air %d times", onAir)
	}
	if len(s.messages) != connectionsServed*messagesPerConnection {
		t.Fatalf("%d messages came", len(s.messages))
	}
	tags, err := readClip()
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range s.messages {
		want := tags[i%messagesPerConnection]
		if got.Type != want.Type || got.TimestampMS != want.TimestampMS || !bytes.Equal(got.Body, want.Body) {
			t.Errorf("message %d: type %d at %d ms, want type %d at %d ms", i, got.Type, got.TimestampMS, want.Type, want.TimestampMS)
		}
	}
}

// TestRunEnds ends the context while nobody listens.
func TestRunEnds(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	cause := errors.New("the test's cause")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, cause)
	defer cancel()
	if err := Run(ctx, Options{URL: "rtmp://" + address + "/live/key", Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, cause) {
		t.Errorf("Run returns %v", err)
	}
}
