package server

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"livego/internal/amf"
	"livego/internal/flv"
)

// peer is an RTMP client written by hand, for what the client of this project does not do. It sends
// and reads whole messages in chunks as large as they are (RTMP 1.0 §5.3.1).
type peer struct {
	t  testing.TB
	nc net.Conn
	// chunkSize of what the server sends.
	chunkSize int
	partial   map[byte]*message
}

type message struct {
	kind     byte
	streamID uint32
	time     uint32
	length   int
	body     []byte
}

// newPeer performs the handshake (RTMP 1.0 §5.2) in its simple form.
func newPeer(t testing.TB, s *testServer) *peer {
	t.Helper()
	return newPeerOn(t, dial(t, s.addr("rtmp")))
}

func newPeerOn(t testing.TB, nc net.Conn) *peer {
	t.Helper()
	p := &peer{t: t, nc: nc, chunkSize: 128, partial: make(map[byte]*message)}
	p.write(append([]byte{3}, make([]byte, 1536)...))
	p.read(1 + 2*1536)
	p.write(make([]byte, 1536))
	p.raw(2, 1, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<24)) // Set Chunk Size
	return p
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) read(n int) []byte {
	p.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(p.nc, b); err != nil {
		p.t.Fatal(err)
	}
	return b
}

// appendChunk appends one message in one chunk with a type 0 header.
func appendChunk(dst []byte, chunkStream, kind byte, streamID, timestamp uint32, body []byte) []byte {
	n := len(body)
	dst = append(dst, chunkStream,
		byte(timestamp>>16), byte(timestamp>>8), byte(timestamp), byte(n>>16), byte(n>>8), byte(n), kind)
	dst = binary.LittleEndian.AppendUint32(dst, streamID)
	return append(dst, body...)
}

func (p *peer) raw(chunkStream, kind byte, streamID, timestamp uint32, body []byte) {
	p.t.Helper()
	p.write(appendChunk(nil, chunkStream, kind, streamID, timestamp, body))
}

func (p *peer) send(streamID uint32, tags ...flv.Tag) {
	p.t.Helper()
	for _, tag := range tags {
		p.raw(6, tag.Type, streamID, tag.TimestampMS, tag.Body)
	}
}

func (p *peer) command(streamID uint32, values ...any) {
	p.t.Helper()
	p.raw(3, 20, streamID, 0, amf.Append(nil, values...))
}

func (p *peer) connect(app string) {
	p.t.Helper()
	p.command(0, "connect", 1.0, amf.Object{{Name: "app", Value: app}, {Name: "tcUrl", Value: "rtmp://h/" + app}})
	p.expect("_result")
}

// next reads a message, and fails with io.EOF at the end.
func (p *peer) next() (message, error) {
	p.t.Helper()
	for {
		var first [1]byte
		if _, err := io.ReadFull(p.nc, first[:]); err != nil {
			return message{}, err
		}
		id := first[0] & 0x3F
		m := p.partial[id]
		if first[0]>>6 == 0 {
			h := p.read(11)
			m = &message{
				time: uint32(h[0])<<16 | uint32(h[1])<<8 | uint32(h[2]), length: int(h[3])<<16 | int(h[4])<<8 | int(h[5]),
				kind: h[6], streamID: binary.LittleEndian.Uint32(h[7:]),
			}
			p.partial[id] = m
		} else if first[0]>>6 != 3 || m == nil {
			p.t.Fatalf("chunk header %#x", first[0])
		}
		m.body = append(m.body, p.read(min(m.length-len(m.body), p.chunkSize))...)
		if len(m.body) < m.length {
			continue
		}
		if m.kind == 1 {
			p.chunkSize = int(binary.BigEndian.Uint32(m.body))
		}
		return *m, nil
	}
}

// expect skips to the next command, which must have this name.
func (p *peer) expect(name string) []any {
	p.t.Helper()
	values := p.expectAny()
	if values[0] != name {
		p.t.Fatalf("%v instead of %s", values, name)
	}
	return values
}

// expectAny skips to the next command.
func (p *peer) expectAny() []any {
	p.t.Helper()
	for {
		m, err := p.next()
		if err != nil {
			p.t.Fatalf("waiting for a command: %v", err)
		}
		if m.kind != 20 {
			continue
		}
		values, err := amf.DecodeAll(m.body)
		if err != nil {
			p.t.Fatal(err)
		}
		return values
	}
}

// expectStatus skips to the next command, which must be an onStatus of this code.
func (p *peer) expectStatus(code string) {
	p.t.Helper()
	values := p.expect("onStatus")
	if info := amf.Properties(values[len(values)-1]); info.String("code") != code {
		p.t.Fatalf("status %v instead of %s", info, code)
	}
}

// expectMedia skips to the next message of a kind.
func (p *peer) expectMedia(kind byte) message {
	p.t.Helper()
	for {
		m, err := p.next()
		if err != nil {
			p.t.Fatalf("waiting for a message of type %d: %v", kind, err)
		}
		if m.kind == kind {
			return m
		}
	}
}

// expectEnd skips to the end of the connection, which must not be a reset.
func (p *peer) expectEnd() {
	p.t.Helper()
	if err := p.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	for {
		if _, err := p.next(); err == io.EOF {
			return
		} else if err != nil {
			p.t.Fatalf("end of the connection: %v", err)
		}
	}
}
