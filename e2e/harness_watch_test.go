package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// viewer collects the tags that a player gets.
type viewer struct {
	name  string
	mutex sync.Mutex
	got   []tag
	came  []time.Time // when each tag did
	codes []string    // status codes and user control events that an RTMP player was sent
	flags byte        // of the FLV header
	end   error       // why it ended; nil: cleanly
	ended chan struct{}
	close func()
}

func newViewer(t testing.TB, name string, closer func()) *viewer {
	v := &viewer{name: name, ended: make(chan struct{}), close: closer}
	t.Cleanup(func() { v.leave() })
	return v
}

// leave closes the player's side and waits for its goroutine.
func (v *viewer) leave() {
	v.close()
	<-v.ended
}

func (v *viewer) add(next tag) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.got, v.came = append(v.got, next), append(v.came, time.Now())
}

// halt returns the longest time since a moment for which no picture came.
func (v *viewer) halt(since time.Time) (longest time.Duration) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	last := since
	for i, tag := range v.got {
		if at := v.came[i]; tag.kind == typeVideo && at.After(since) {
			longest, last = max(longest, at.Sub(last)), at
		}
	}
	return max(longest, time.Since(last))
}

// tags returns what came so far.
func (v *viewer) tags() []tag {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	return append([]tag(nil), v.got...)
}

func (v *viewer) note(code string) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.codes = append(v.codes, code)
}

// status returns the status codes that came so far.
func (v *viewer) status() []string {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	return append([]string(nil), v.codes...)
}

// frames counts pictures and audio frames.
func (v *viewer) frames() (n int) {
	for _, tag := range v.tags() {
		if tag.kind != typeData && !tag.isHeader() {
			n++
		}
	}
	return n
}

// waitFrames waits for n further pictures or audio frames.
func (v *viewer) waitFrames(t testing.TB, n int) {
	t.Helper()
	want := v.frames() + n
	eventually(t, 15*time.Second, fmt.Sprintf("%s gets %d frames more", v.name, n), func() bool { return v.frames() >= want })
}

// waitEnd waits for the end of the stream, which must be a clean one.
func (v *viewer) waitEnd(t testing.TB, limit time.Duration) []tag {
	t.Helper()
	select {
	case <-v.ended:
	case <-time.After(slack * limit):
		t.Fatalf("%s: the stream does not end", v.name)
	}
	if v.end != nil {
		t.Errorf("%s: the stream ends with %v", v.name, v.end)
	}
	return v.tags()
}

// going fails the test if the player's stream has ended.
func (v *viewer) going(t testing.TB) {
	t.Helper()
	select {
	case <-v.ended:
		t.Errorf("%s was cut off: %v", v.name, v.end)
	default:
	}
}

// watchFLV plays over HTTP-FLV.
func watchFLV(t testing.TB, s *server, stream string) *viewer {
	t.Helper()
	return watchFLVAt(t, s.flvURL(stream))
}

func watchFLVAt(t testing.TB, address string) *viewer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		cancel()
		answer.Body.Close()
		t.Fatalf("%s answers %s", address, answer.Status)
	}
	v := newViewer(t, "HTTP-FLV", cancel)
	go v.readFLV(bufio.NewReader(answer.Body), answer.Body)
	return v
}

func (v *viewer) readFLV(r io.Reader, body io.Closer) {
	defer close(v.ended)
	defer body.Close()
	flags, err := readFLVHeader(r)
	if err != nil {
		v.end = err
		return
	}
	v.mutex.Lock()
	v.flags = flags
	v.mutex.Unlock()
	for {
		next, err := readTag(r)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				v.end = err
			}
			return
		}
		v.add(next)
	}
}

// watchWS plays over WebSocket-FLV: one tag a message.
func watchWS(t testing.TB, s *server, stream string) *viewer {
	t.Helper()
	conn, early, _, err := ws.Dial(t.Context(), s.wsURL(stream))
	if err != nil {
		t.Fatal(err)
	}
	var in io.Reader = conn
	if early != nil {
		in = io.MultiReader(early, conn)
	}
	v := newViewer(t, "WebSocket-FLV", func() { conn.Close() })
	go v.readWS(conn, bufio.NewReader(in))
	return v
}

func (v *viewer) readWS(conn net.Conn, in io.Reader) {
	defer close(v.ended)
	defer conn.Close()
	first := true
	for {
		data, op, err := wsutil.ReadServerData(struct {
			io.Reader
			io.Writer
		}{in, conn})
		var closed wsutil.ClosedError
		if errors.As(err, &closed) && (closed.Code == ws.StatusNormalClosure || closed.Code == ws.StatusGoingAway) {
			return
		}
		if err != nil {
			v.end = err
			return
		}
		if op != ws.OpBinary {
			v.end = fmt.Errorf("message with opcode %d", op)
			return
		}
		r := bytes.NewReader(data)
		if first {
			first = false
			flags, err := readFLVHeader(r)
			if err != nil {
				v.end = err
				return
			}
			v.mutex.Lock()
			v.flags = flags
			v.mutex.Unlock()
		}
		for r.Len() > 0 {
			next, err := readTag(r)
			if err != nil {
				v.end = err
				return
			}
			v.add(next)
		}
	}
}

// watchRTMP plays over RTMP with the tests' own client.
func watchRTMP(t testing.TB, s *server, stream string) *viewer {
	t.Helper()
	p := dial(t, s.rtmp)
	p.connect(t, "live")
	_ = p.command(0, "getStreamLength", 3, nil, stream)
	_ = p.command(1, "play", 4, nil, stream, -2000)
	v := newViewer(t, "RTMP", func() { p.Close() })
	go v.readRTMP(p)
	return v
}

func (v *viewer) readRTMP(p *probe) {
	defer close(v.ended)
	defer p.Close()
	for {
		m, err := p.receive()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				v.end = err
			}
			return
		}
		switch m.kind {
		case typeAudio, typeVideo, typeData:
			v.add(tag{m.kind, m.time, m.body})
		case typeCommand:
			if values, err := parseAMF(m.body); err == nil {
				v.note(codeOf(values))
			}
		case typeUserControl:
			if len(m.body) >= 2 && m.body[0] == 0 && m.body[1] == 1 {
				v.note("StreamEOF")
			}
		}
	}
}

// watchSlowly plays over HTTP-FLV at a rate in bytes per second, with a small receive buffer.
func watchSlowly(t testing.TB, address, path string, rate int) *viewer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).SetReadBuffer(16 << 10)
	fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", path, address)
	v := newViewer(t, "slow HTTP-FLV", func() { conn.Close() })
	go func() {
		in := bufio.NewReaderSize(&slowReader{conn, rate, time.Now(), 0}, 4096)
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			v.end = err
			close(v.ended)
			return
		}
		v.readFLV(answer.Body, conn)
	}()
	return v
}

// slowReader reads no more than rate bytes a second.
type slowReader struct {
	io.Reader
	rate  int
	began time.Time
	total int
}

func (r *slowReader) Read(b []byte) (int, error) {
	<-time.After(time.Until(r.began.Add(time.Duration(r.total) * time.Second / time.Duration(r.rate))))
	n, err := r.Reader.Read(b[:min(len(b), max(r.rate/20, 1))])
	r.total += n
	return n, err
}
