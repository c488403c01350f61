package e2e

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"testing"
	"time"
)

// probe is an RTMP client of the tests' own, independent of the server's code, that can also send
// what no client should. One goroutine may send while another receives.
type probe struct {
	net.Conn
	in       *bufio.Reader
	sending  sync.Mutex
	outChunk int
	inChunk  int
	streams  map[int]*probeStream
	received uint32
	window   uint32 // bytes after which to acknowledge, 0: never
	acked    uint32
}

type probeStream struct {
	message        // its body grows chunk by chunk
	length  int    // of the whole body
	delta   uint32 // the time field of the last header
	ext     bool   // it is an extended one
}

// message is an RTMP message. Types are those of RTMP 1.0 §5.4, §6.2 and §7.1.
type message struct {
	kind   byte
	stream uint32
	time   uint32
	body   []byte
}

const (
	typeSetChunkSize = 1
	typeAbort        = 2
	typeAck          = 3
	typeUserControl  = 4
	typeWindow       = 5
	typePeerWindow   = 6
	typeAudio        = 8
	typeVideo        = 9
	typeDataAMF3     = 15
	typeCommandAMF3  = 17
	typeData         = 18
	typeCommand      = 20
	typeAggregate    = 22
)

// dial connects and does the simple handshake.
func dial(t testing.TB, address string) *probe {
	t.Helper()
	p, err := tryDial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func tryDial(address string) (*probe, error) {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	p := &probe{Conn: conn, in: bufio.NewReaderSize(conn, 1<<16), outChunk: 128, inChunk: 128, streams: map[int]*probeStream{}}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	defer conn.SetDeadline(time.Time{})
	c0c1 := make([]byte, 1+1536)
	c0c1[0] = 3
	for i := 9; i < len(c0c1); i++ {
		c0c1[i] = byte(i * 7)
	}
	if _, err := conn.Write(c0c1); err != nil {
		conn.Close()
		return nil, err
	}
	s0s1s2 := make([]byte, 1+2*1536)
	if _, err := io.ReadFull(p.in, s0s1s2); err != nil {
		conn.Close()
		return nil, fmt.Errorf("handshake: %w", err)
	}
	if _, err := conn.Write(s0s1s2[1 : 1+1536]); err != nil {
		conn.Close()
		return nil, err
	}
	return p, nil
}

// send writes a message as a type 0 chunk and type 3 chunks.
func (p *probe) send(chunkStream byte, m message) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	extended := m.time >= 0xFFFFFF
	var extra []byte
	header := binary.BigEndian.AppendUint32([]byte{chunkStream}, min(m.time, 0xFFFFFF)<<8)[:4]
	if extended {
		extra = binary.BigEndian.AppendUint32(nil, m.time)
	}
	header = append(header, byte(len(m.body)>>16), byte(len(m.body)>>8), byte(len(m.body)), m.kind)
	header = append(binary.LittleEndian.AppendUint32(header, m.stream), extra...)
	out := bytes.NewBuffer(header)
	for i := 0; i == 0 || i < len(m.body); i += p.outChunk {
		if i > 0 {
			out.WriteByte(0xC0 | chunkStream)
			out.Write(extra)
		}
		out.Write(m.body[i:min(i+p.outChunk, len(m.body))])
	}
	_, err := p.Write(out.Bytes())
	return err
}

// setChunkSize announces the size of the chunks to come.
func (p *probe) setChunkSize(size int) error {
	err := p.send(2, message{kind: typeSetChunkSize, body: binary.BigEndian.AppendUint32(nil, uint32(size))})
	p.outChunk = size
	return err
}

// command sends an AMF0 command.
func (p *probe) command(stream uint32, values ...any) error {
	return p.send(3, message{kind: typeCommand, stream: stream, body: amf(values...)})
}

// receive reads the next message, and obeys chunk sizes, windows and pings.
func (p *probe) receive() (message, error) {
	for {
		m, complete, err := p.receiveChunk()
		if err != nil {
			return m, err
		}
		if p.window > 0 && p.received-p.acked >= p.window {
			p.acked = p.received
			_ = p.send(2, message{kind: typeAck, body: binary.BigEndian.AppendUint32(nil, p.received)})
		}
		if !complete {
			continue
		}
		switch {
		case m.kind == typeSetChunkSize && len(m.body) == 4:
			p.inChunk = int(binary.BigEndian.Uint32(m.body))
		case m.kind == typeWindow && len(m.body) == 4:
			p.window = binary.BigEndian.Uint32(m.body) / 2
		case m.kind == typeUserControl && len(m.body) == 6 && m.body[1] == 6:
			_ = p.send(2, message{kind: typeUserControl, body: append([]byte{0, 7}, m.body[2:]...)})
		}
		return m, nil
	}
}

func (p *probe) read(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(p.in, b)
	p.received += uint32(n)
	return b, err
}

// receiveChunk reads one chunk (RTMP 1.0 §5.3.1) and returns the message that it completes.
func (p *probe) receiveChunk() (m message, complete bool, err error) {
	b, err := p.read(1)
	if err != nil {
		return m, false, err
	}
	form, id := b[0]>>6, int(b[0]&63)
	if id < 2 {
		wide, err := p.read(id + 1)
		if err != nil {
			return m, false, err
		}
		id = int(wide[0]) + 64
		if len(wide) == 2 {
			id += int(wide[1]) << 8
		}
	}
	s := p.streams[id]
	if s == nil {
		s = &probeStream{}
		p.streams[id] = s
	}
	fresh := len(s.body) == 0
	header, err := p.read([]int{11, 7, 3, 0}[form])
	if err != nil {
		return m, false, err
	}
	if form < 3 {
		s.delta = uint32(header[0])<<16 | uint32(header[1])<<8 | uint32(header[2])
		s.ext = s.delta == 0xFFFFFF
	}
	if form < 2 {
		s.length = int(header[3])<<16 | int(header[4])<<8 | int(header[5])
		s.kind = header[6]
	}
	if form == 0 {
		s.stream = binary.LittleEndian.Uint32(header[7:])
	}
	if s.ext {
		wide, err := p.read(4)
		if err != nil {
			return m, false, err
		}
		s.delta = binary.BigEndian.Uint32(wide)
	}
	if fresh {
		if form == 0 {
			s.time = s.delta
		} else {
			s.time += s.delta
		}
	}
	part, err := p.read(min(p.inChunk, s.length-len(s.body)))
	if err != nil {
		return m, false, err
	}
	s.body = append(s.body, part...)
	if len(s.body) < s.length {
		return m, false, nil
	}
	m, s.body = s.message, nil
	return m, true, nil
}

// connect, createStream: what every session begins with.
func (p *probe) connect(t testing.TB, app string, more ...any) {
	t.Helper()
	if err := p.tryConnect(app, more...); err != nil {
		t.Fatal(err)
	}
}

func (p *probe) tryConnect(app string, more ...any) error {
	object := object{"app", app, "type", "nonprivate", "flashVer", "FMLE/3.0", "tcUrl", "rtmp://localhost/" + app}
	for i := 0; i+1 < len(more); i += 2 {
		object = object.with(more[i].(string), more[i+1])
	}
	_ = p.command(0, "connect", 1, object)
	if _, err := p.expect("_result", 1); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	_ = p.command(0, "createStream", 2, nil)
	if _, err := p.expect("_result", 2); err != nil {
		return fmt.Errorf("createStream: %w", err)
	}
	return p.setChunkSize(60000)
}

// expect reads until the answer to the transaction; an _error answer and an error status are
// errors.
func (p *probe) expect(name string, transaction float64) ([]any, error) {
	for {
		values, err := p.nextCommand()
		if err != nil {
			return nil, err
		}
		if values[0] == "_error" && values[1] == transaction || levelOf(values) == "error" {
			return nil, fmt.Errorf("refused: %v", values)
		}
		if values[0] == name && values[1] == transaction {
			return values, nil
		}
	}
}

// nextCommand reads until the next command message, for at most 20 s.
func (p *probe) nextCommand() ([]any, error) {
	p.SetReadDeadline(time.Now().Add(20 * time.Second))
	defer p.SetReadDeadline(time.Time{})
	for {
		m, err := p.receive()
		if err != nil {
			return nil, err
		}
		if m.kind == typeCommand {
			if values, err := parseAMF(m.body); err == nil && len(values) >= 2 {
				return values, nil
			}
		}
	}
}

// status reads until an onStatus with the code, and fails on another one with level error.
func (p *probe) status(code string) error {
	for {
		values, err := p.nextCommand()
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", code, err)
		}
		if codeOf(values) == code {
			return nil
		}
		if levelOf(values) == "error" {
			return fmt.Errorf("waiting for %s: %v", code, values)
		}
	}
}

func codeOf(values []any) string  { return infoOf(values, "code") }
func levelOf(values []any) string { return infoOf(values, "level") }

func infoOf(values []any, field string) string {
	for _, value := range values {
		if fields, ok := value.(map[string]any); ok {
			if text, ok := fields[field].(string); ok {
				return text
			}
		}
	}
	return ""
}

// publish asks to publish with the key and waits for the server's yes.
func (p *probe) publish(key string) error {
	_ = p.command(1, "publish", 3, nil, key, "live")
	return p.status("NetStream.Publish.Start")
}

// media sends an audio, video or data message.
func (p *probe) media(kind byte, time uint32, body []byte) error {
	chunkStream := map[byte]byte{typeAudio: 4, typeVideo: 6}[kind]
	return p.send(max(chunkStream, 5), message{kind: kind, stream: 1, time: time, body: body})
}

// untilClosed reads until the server closes the connection and returns the codes of all status
// messages on the way. ok is false when it does not within the limit.
func (p *probe) untilClosed(limit time.Duration) (codes []string, ok bool) {
	p.SetReadDeadline(time.Now().Add(limit))
	for {
		m, err := p.receive()
		if err != nil {
			var timeout net.Error
			return codes, !(errors.As(err, &timeout) && timeout.Timeout())
		}
		if m.kind == typeCommand {
			if values, err := parseAMF(m.body); err == nil {
				if code := codeOf(values); code != "" {
					codes = append(codes, code)
				}
			}
		}
	}
}

// object is an AMF0 object: names and values in turn.
type object []any

func (o object) with(name string, value any) object {
	for i := 0; i < len(o); i += 2 {
		if o[i] == name {
			o[i+1] = value
			return o
		}
	}
	return append(o, name, value)
}

// amf encodes values by AMF0 §2.
func amf(values ...any) (b []byte) {
	for _, value := range values {
		switch v := value.(type) {
		case nil:
			b = append(b, 5)
		case bool:
			b = append(b, 1, map[bool]byte{true: 1}[v])
		case int:
			b = append(b, amf(float64(v))...)
		case float64:
			b = binary.BigEndian.AppendUint64(append(b, 0), math.Float64bits(v))
		case string:
			b = append(binary.BigEndian.AppendUint16(append(b, 2), uint16(len(v))), v...)
		case object:
			b = append(b, 3)
			for i := 0; i < len(v); i += 2 {
				name := v[i].(string)
				b = append(binary.BigEndian.AppendUint16(b, uint16(len(name))), name...)
				b = append(b, amf(v[i+1])...)
			}
			b = append(b, 0, 0, 9)
		default:
			panic(fmt.Sprintf("no AMF0 for %T", value))
		}
	}
	return b
}

var errAMF = errors.New("not AMF0 that the tests know")

// parseAMF decodes a row of AMF0 values: float64, bool, string, map[string]any, []any, nil.
func parseAMF(b []byte) (values []any, err error) {
	for len(b) > 0 {
		var value any
		if value, b, err = amfValue(b); err != nil {
			return values, err
		}
		values = append(values, value)
	}
	return values, nil
}

func amfValue(b []byte) (any, []byte, error) {
	if len(b) == 0 {
		return nil, nil, errAMF
	}
	marker, b := b[0], b[1:]
	switch {
	case marker == 0 && len(b) >= 8:
		return math.Float64frombits(binary.BigEndian.Uint64(b)), b[8:], nil
	case marker == 1 && len(b) >= 1:
		return b[0] != 0, b[1:], nil
	case marker == 2:
		return amfString(b)
	case marker == 3:
		return amfFields(b)
	case marker == 5 || marker == 6:
		return nil, b, nil
	case marker == 8 && len(b) >= 4:
		return amfFields(b[4:])
	case marker == 10 && len(b) >= 4:
		list := []any{}
		count, b := binary.BigEndian.Uint32(b), b[4:]
		for range count {
			value, rest, err := amfValue(b)
			if err != nil {
				return nil, nil, err
			}
			list, b = append(list, value), rest
		}
		return list, b, nil
	}
	return nil, nil, errAMF
}

func amfString(b []byte) (string, []byte, error) {
	if len(b) < 2 {
		return "", nil, errAMF
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n {
		return "", nil, errAMF
	}
	return string(b[2 : 2+n]), b[2+n:], nil
}

func amfFields(b []byte) (map[string]any, []byte, error) {
	fields := map[string]any{}
	for {
		name, rest, err := amfString(b)
		if err != nil {
			return nil, nil, err
		}
		if name == "" && len(rest) > 0 && rest[0] == 9 {
			return fields, rest[1:], nil
		}
		if fields[name], b, err = amfValue(rest); err != nil {
			return nil, nil, err
		}
	}
}
