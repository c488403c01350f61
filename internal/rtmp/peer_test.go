package rtmp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"livego/internal/amf"
)

// peer is a client written by hand, with nothing of the code under test but the chunk reader.
type peer struct {
	t     testing.TB
	nc    net.Conn
	in    *chunkReader
	chunk int // size of outgoing chunks
}

// newPeer performs the handshake.
func newPeer(t testing.TB, nc net.Conn) *peer {
	t.Helper()
	p := newPeerAfterHandshake(t, nc)
	p.write(append([]byte{3}, make([]byte, 1536)...))
	if _, err := io.ReadFull(nc, make([]byte, 1+2*1536)); err != nil {
		t.Fatal("handshake:", err)
	}
	p.write(make([]byte, 1536))
	return p
}

func newPeerAfterHandshake(t testing.TB, nc net.Conn) *peer {
	p := &peer{t: t, nc: nc, chunk: 128}
	p.in = newChunkReader(nc, func(uint32) error { return nil })
	p.in.allowMedia(defaultMaxMessageSize)
	return p
}

// connectedPeer is through with connect, to app live.
func connectedPeer(t testing.TB, nc net.Conn) *peer {
	t.Helper()
	p := newPeer(t, nc)
	p.command(0, "connect", 1, amf.Object{{Name: "app", Value: "live"}, {Name: "tcUrl", Value: "rtmp://h/live"}})
	p.expectCommand("_result")
	return p
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// send writes a message with a type 0 header.
func (p *peer) send(typ, csid byte, streamID uint32, body []byte) {
	p.t.Helper()
	b := []byte{csid, 0, 0, 0, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body)), typ}
	b = binary.LittleEndian.AppendUint32(b, streamID)
	for len(body) > p.chunk {
		b = append(append(b, body[:p.chunk]...), 0xc0|csid)
		body = body[p.chunk:]
	}
	p.write(append(b, body...))
}

func (p *peer) setChunkSize(n int) {
	p.t.Helper()
	p.send(1, 2, 0, binary.BigEndian.AppendUint32(nil, uint32(n)))
	p.chunk = n
}

func (p *peer) command(streamID uint32, values ...any) {
	p.t.Helper()
	p.send(20, 3, streamID, amf.Append(nil, values...))
}

func (p *peer) publish(streamID uint32, name string) {
	p.t.Helper()
	p.command(streamID, "publish", 3, nil, name, "live")
	p.expectStatus(streamID, "NetStream.Publish.Start")
}

// expectCommand returns the arguments of the next command, which must have this name.
func (p *peer) expectCommand(name string) (streamID uint32, values []any) {
	p.t.Helper()
	for {
		m, err := p.in.read()
		if err != nil {
			p.t.Fatalf("waiting for %s: %v", name, err)
		}
		if m.Type != 20 {
			continue
		}
		values, err := amf.DecodeAll(m.Body)
		if err != nil {
			p.t.Fatal(err)
		}
		if values[0] != name {
			p.t.Fatalf("command %v, want %s", values, name)
		}
		return m.StreamID, values
	}
}

// expectStatus skips to the next command, which must be an onStatus of this code on this stream.
func (p *peer) expectStatus(streamID uint32, code string) (level string) {
	p.t.Helper()
	id, values := p.expectCommand("onStatus")
	info := amf.Properties(values[len(values)-1])
	if id != streamID || info.String("code") != code {
		p.t.Fatalf("status on stream %d: %v; want %s on %d", id, values, code, streamID)
	}
	return info.String("level")
}

// expectMessage skips to the next message of this type.
func (p *peer) expectMessage(typ uint8) Message {
	p.t.Helper()
	for {
		m, err := p.in.read()
		if err != nil {
			p.t.Fatalf("waiting for message type %d: %v", typ, err)
		}
		if m.Type == typ {
			return m
		}
	}
}

// expectEnd wants nothing but protocol control and then the end of the connection, not a reset.
func (p *peer) expectEnd() {
	p.t.Helper()
	for {
		m, err := p.in.read()
		if err == io.EOF {
			return
		}
		if err != nil {
			p.t.Fatalf("end of the connection: %v", err)
		}
		if m.Type > typeSetPeerBandwidth {
			p.t.Fatalf("message type %d instead of the end: %q", m.Type, m.Body)
		}
	}
}

// testHandler accepts everything unless told otherwise, and records.
type testHandler struct {
	connect func(*ConnectRequest) error
	publish func(*PublishRequest) error
	play    func(context.Context, *PlayRequest, *PlayStream) error
	message func(Message) error

	mu           sync.Mutex
	connected    []*ConnectRequest
	published    []*PublishRequest
	publications []*testPublication
	strays       []string
}

func (h *testHandler) Connect(_ context.Context, r *ConnectRequest) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.connected = append(h.connected, r)
	if h.connect != nil {
		return h.connect(r)
	}
	return nil
}

func (h *testHandler) Publish(_ context.Context, r *PublishRequest) (Publication, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.published = append(h.published, r)
	if h.publish != nil {
		if err := h.publish(r); err != nil {
			return nil, err
		}
	}
	p := &testPublication{h: h, closed: make(chan error, 2), messages: make(chan Message, 1000)}
	h.publications = append(h.publications, p)
	return p, nil
}

func (h *testHandler) Play(ctx context.Context, r *PlayRequest, s *PlayStream) error {
	if h.play != nil {
		return h.play(ctx, r, s)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func (h *testHandler) Stray(streamID uint32, messageType uint8) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.strays = append(h.strays, fmt.Sprint(messageType, " on ", streamID))
}

func (h *testHandler) publication(i int) *testPublication {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.publications[i]
}

type testPublication struct {
	h        *testHandler
	closed   chan error
	messages chan Message
}

func (p *testPublication) Message(m Message) error {
	if p.h.message != nil {
		if err := p.h.message(m); err != nil {
			return err
		}
	}
	select {
	case p.messages <- m:
		return nil
	default:
		return errors.New("nobody reads the publication")
	}
}

func (p *testPublication) Close(cause error) { p.closed <- cause }

// received returns what is there.
func (p *testPublication) received() []Message {
	var all []Message
	for {
		select {
		case m := <-p.messages:
			all = append(all, m)
		default:
			return all
		}
	}
}

// closedOnce waits for Close and returns its cause. done must be the end of Serve, after which no
// other may come.
func (p *testPublication) closedOnce(t testing.TB, done <-chan error) (cause, serveErr error) {
	t.Helper()
	cause = <-p.closed
	serveErr = <-done
	if len(p.closed) > 0 {
		t.Error("publication closed twice")
	}
	return cause, serveErr
}

// testControl records what the connection hands over.
type testControl struct {
	mu     sync.Mutex
	posted bytes.Buffer
	paused []bool
	events chan struct{}
	err    error
}

func newTestControl() *testControl { return &testControl{events: make(chan struct{}, 100)} }

func (c *testControl) Post(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.posted.Write(b)
	c.events <- struct{}{}
	return c.err
}

func (c *testControl) Pause(paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = append(c.paused, paused)
	c.events <- struct{}{}
}

// take returns what was posted since the last call.
func (c *testControl) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := bytes.Clone(c.posted.Bytes())
	c.posted.Reset()
	return b
}

// commandsIn decodes the commands of a piece of output: names, or codes of onStatus.
func commandsIn(t testing.TB, wire []byte) []string {
	t.Helper()
	r := newChunkReader(bytes.NewReader(wire), func(uint32) error { return nil })
	r.chunkSize = ChunkSize
	var all []string
	for {
		m, err := r.read()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		switch m.Type {
		case typeCommandAMF0, TypeDataAMF0:
			values, err := amf.DecodeAll(m.Body)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := values[0].(string)
			if code := amf.Properties(values[len(values)-1]).String("code"); code != "" {
				name += " " + code
			}
			all = append(all, name)
		case typeUserControl:
			all = append(all, "event "+string('0'+rune(m.Body[1])))
		default:
			all = append(all, "type "+string('0'+rune(m.Type)))
		}
	}
}

func wantEqual[T any](t testing.TB, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// waitFor waits for a value, for a bounded time.
func waitFor[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("no", what)
	}
	panic("unreachable")
}
