package rtmp

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"livego/internal/amf"
)

// FuzzServe feeds a connection with anything behind the handshake. Properties: Serve returns, every
// accepted publication is closed exactly once, and what the server says is RTMP.
func FuzzServe(f *testing.F) {
	commands := func(all ...[]any) []byte {
		var wire []byte
		for _, values := range all {
			wire = Format{StreamID: 1, ChunkSize: 128}.AppendMessage(wire, typeCommandAMF0, 0, amf.Append(nil, values...))
		}
		return wire
	}
	connect := []any{"connect", 1, amf.Object{{Name: "app", Value: "live"}}}
	media := Format{StreamID: 1, ChunkSize: 128}.AppendMessage(nil, TypeVideo, 0, make([]byte, 300))
	f.Add(commands(connect, []any{"createStream", 2, nil}, []any{"publish", 3, nil, "key", "live"}))
	f.Add(append(commands(connect, []any{"publish", 3, nil, "key", "live"}), media...))
	f.Add(commands(connect, []any{"publish", 3, nil, "key"}, []any{"FCUnpublish", 4, nil, "key"}, []any{"publish", 5, nil, "key"}))
	f.Add(commands(connect, []any{"play", 3, nil, "x"}, []any{"pause", 0, nil, true, 0}, []any{"play", 0, nil, "y"}, []any{"closeStream", 0, nil}))
	f.Add(commands(connect, []any{"play2", 3, nil, amf.Object{{Name: "streamName", Value: "x"}}}, []any{"deleteStream", 0, nil, 1}))
	f.Add(commands(connect, []any{"unknown", 9, nil}, []any{"getStreamLength", 2, nil, "x"}, []any{"seek", 0, nil, 1}))
	f.Add(append(commands(connect), appendUserControl(nil, eventPingRequest, 5)...))
	f.Add(commands([]any{"connect", 1, amf.Object{{Name: "app", Value: 5}}}))
	f.Fuzz(func(t *testing.T, in []byte) {
		h := &testHandler{message: func(m Message) error {
			if !m.isMedia() {
				t.Errorf("message type %d for a publication", m.Type)
			}
			return nil
		}}
		h.play = func(ctx context.Context, _ *PlayRequest, s *PlayStream) error {
			control := &discardControl{}
			replies, nc := s.Start(control)
			if _, err := nc.Write(replies); err != nil {
				return err
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}
		nc := newScript(append(append([]byte{3}, make([]byte, 2*handshakeSize)...), in...))
		if err := Serve(t.Context(), nc, ServerOptions{MaxMessageSize: 1 << 20}, h); err == nil {
			t.Error("Serve returned nothing though no playback ended by itself")
		}
		for i, p := range h.publications {
			if len(p.closed) != 1 {
				t.Errorf("publication %d closed %d times", i, len(p.closed))
			}
		}
		checkOutput(t, nc.out.Bytes())
	})
}

// checkOutput reads what a server sent.
func checkOutput(t *testing.T, out []byte) {
	r := newChunkReader(bytes.NewReader(out[1+2*handshakeSize:]), func(uint32) error { return nil })
	for {
		m, err := r.read()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatalf("output: %v", err)
		}
		if m.Type == typeCommandAMF0 {
			if _, err := amf.DecodeAll(m.Body); err != nil {
				t.Fatalf("output: %v", err)
			}
		}
	}
}

type discardControl struct{}

func (discardControl) Post([]byte) error { return nil }
func (discardControl) Pause(bool)        {}

// script is a connection that has received all its bytes and keeps what is sent.
type script struct {
	net.Conn // nil: nothing else is called
	in       *bytes.Reader
	out      bytes.Buffer
}

func newScript(in []byte) *script { return &script{in: bytes.NewReader(in)} }

func (s *script) Read(p []byte) (int, error)       { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) RemoteAddr() net.Addr             { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
