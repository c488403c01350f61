package http2

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// answers is an App that answers with as many bytes as the path says, and later where it says so.
type answers struct {
	streams []*Stream
	open    map[*Stream]bool
	content map[*Stream][]byte
	gone    int
}

func (a *answers) Request(s *Stream, path string, _ []byte, fields []hpack.HeaderField, end bool) bool {
	r, ok := Parse(fields)
	if !ok {
		return false
	}
	for _, f := range r.Fields {
		if f.Name == "content-length" {
			var n int64
			_, _ = fmt.Sscan(f.Value, &n)
			s.Expect(n)
		}
	}
	a.streams = append(a.streams, s)
	a.open[s] = true
	var size int
	if _, err := fmt.Sscanf(path, "/%d", &size); err == nil {
		s.Respond(AppendStatus(nil, 200), [][]byte{pattern(size)}, true)
	}
	return true
}

func (a *answers) Content(s *Stream, b []byte, end bool) {
	a.content[s] = append(a.content[s], b...)
	s.Consumed(len(b))
	if end {
		s.Respond(AppendStatus(nil, 200), [][]byte{a.content[s]}, true)
	}
}

func (a *answers) Sent(*Stream, int) {}

func (a *answers) Gone(s *Stream) {
	a.gone++
	delete(a.open, s)
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 / 3)
	}
	return b
}

// peer is a client, which writes with golang.org/x/net's Framer.
type peer struct {
	t    testing.TB
	app  *answers
	conn *Conn
	out  bytes.Buffer
	*http2.Framer
	enc   *hpack.Encoder
	block bytes.Buffer
	now   time.Duration
}

func newPeer(t testing.TB) *peer {
	p := &peer{t: t, app: &answers{open: make(map[*Stream]bool), content: make(map[*Stream][]byte)}}
	p.conn = New(Options{MaxStreams: 10, MaxHeader: 8 << 10, App: p.app})
	p.Framer = http2.NewFramer(&p.out, nil)
	p.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.block)
	return p
}

// hello begins the connection.
func (p *peer) hello(settings ...http2.Setting) *peer {
	p.out.WriteString(Preface)
	_ = p.WriteSettings(settings...)
	return p
}

// fields encodes a header block.
func (p *peer) fields(all ...string) []byte {
	p.block.Reset()
	for i := 0; i < len(all); i += 2 {
		_ = p.enc.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]})
	}
	return bytes.Clone(p.block.Bytes())
}

func get(path string, more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "https", ":authority", "h", ":path", path}, more...)
}

func (p *peer) ask(id uint32, end bool, fields ...string) {
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.fields(fields...), EndStream: end, EndHeaders: true})
}

// deliver gives the server what was written, and returns what it says.
func (p *peer) deliver() (frames []string, err error) {
	p.t.Helper()
	n, err := p.conn.Receive(p.out.Bytes(), p.now)
	if err == nil && n != p.out.Len() {
		p.t.Fatalf("%d of %d bytes are taken", n, p.out.Len())
	}
	p.out.Reset()
	return p.sent(), err
}

// sent returns what the server has to send.
func (p *peer) sent() (frames []string) {
	p.t.Helper()
	var all []byte
	for p.conn.Pending() {
		was := len(all)
		if all = p.conn.Output(all, was+(1<<20)); len(all) == was {
			break
		}
	}
	in := http2.NewFramer(nil, bytes.NewReader(all))
	in.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		f, err := in.ReadFrame()
		if err == io.EOF {
			return frames
		}
		if err != nil {
			p.t.Fatal(err)
		}
		frames = append(frames, text(f))
	}
}

func text(f http2.Frame) string {
	end := ""
	if f.Header().Flags.Has(http2.FlagDataEndStream) && (f.Header().Type == http2.FrameData || f.Header().Type == http2.FrameHeaders) {
		end = " end"
	}
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return fmt.Sprintf("%d %s%s", f.StreamID, f.PseudoValue("status"), end)
	case *http2.DataFrame:
		return fmt.Sprintf("%d data %d%s", f.StreamID, len(f.Data()), end)
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("%d reset %v", f.StreamID, f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Sprintf("goaway %d %v", f.LastStreamID, f.ErrCode)
	case *http2.WindowUpdateFrame:
		return fmt.Sprintf("%d window %d", f.StreamID, f.Increment)
	case *http2.PingFrame:
		return fmt.Sprintf("ping %x %v", f.Data, f.IsAck())
	case *http2.SettingsFrame:
		return fmt.Sprintf("settings %v", f.IsAck())
	}
	return f.Header().String()
}

// TestClauses does what clients must not do, and some things that they may, by the clauses of RFC
// 9113.
func TestClauses(t *testing.T) {
	t.Parallel()
	raw := func(kind http2.FrameType, flags http2.Flags, id uint32, b ...byte) func(*peer) {
		return func(p *peer) { _ = p.WriteRawFrame(kind, flags, id, b) }
	}
	ask := func(id uint32, end bool, fields ...string) func(*peer) {
		return func(p *peer) { p.ask(id, end, fields...) }
	}
	open := ask(1, false, ":method", "POST", ":scheme", "https", ":authority", "h", ":path", "/x")
	with := func(all ...string) []string { return get("/x", all...) }
	for _, tc := range []struct {
		name string
		do   []func(*peer)
		want string // the last frame
	}{
		{"3.4 no preface", []func(*peer){func(p *peer) { p.out.Reset(); p.out.WriteString("GET / HTTP/1.1\r\n\r\n") }}, "goaway 0 PROTOCOL_ERROR"},
		{"3.4 no settings", []func(*peer){func(p *peer) { p.out.Truncate(len(Preface)); p.ask(1, true, get("/1")...) }}, "goaway 0 PROTOCOL_ERROR"},
		{"4.2 a large frame", []func(*peer){raw(http2.FrameData, 0, 1, make([]byte, 16385)...)}, "goaway 0 FRAME_SIZE_ERROR"},
		{"4.3 no header block", []func(*peer){raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, 0xff, 0xff, 0xff)}, "goaway 1 COMPRESSION_ERROR"},
		{"5.1 content of an idle stream", []func(*peer){raw(http2.FrameData, 0, 1, 1)}, "goaway 0 PROTOCOL_ERROR"},
		{"5.1 the reset of an idle stream", []func(*peer){raw(http2.FrameRSTStream, 0, 1, 0, 0, 0, 8)}, "goaway 0 PROTOCOL_ERROR"},
		{"5.1 the window of an idle stream", []func(*peer){raw(http2.FrameWindowUpdate, 0, 1, 0, 0, 0, 8)}, "goaway 0 PROTOCOL_ERROR"},
		{"5.1 content after the end", []func(*peer){ask(1, true, get("/x")...), raw(http2.FrameData, 0, 1, 1)}, "1 reset STREAM_CLOSED"},
		{"5.1 fields after the end", []func(*peer){ask(1, true, get("/x")...), ask(1, true, get("/x")...)}, "1 reset STREAM_CLOSED"},
		{"5.1 fields after both ends", []func(*peer){ask(1, true, get("/1")...), func(p *peer) { _, _ = p.deliver() }, ask(1, true, get("/1")...)}, "goaway 1 STREAM_CLOSED"},
		{"5.1 content after a reset", []func(*peer){open, raw(http2.FrameRSTStream, 0, 1, 0, 0, 0, 8), raw(http2.FrameData, 0, 1, 1)}, "1 reset STREAM_CLOSED"},
		{"5.1.1 an even stream", []func(*peer){ask(2, true, get("/1")...)}, "goaway 0 PROTOCOL_ERROR"},
		{"5.1.1 a lower stream", []func(*peer){ask(5, true, get("/x")...), ask(3, true, get("/x")...)}, "goaway 5 PROTOCOL_ERROR"},
		{"5.3.1 a stream that depends on itself", []func(*peer){raw(http2.FramePriority, 0, 1, 0, 0, 0, 1, 0)}, "1 reset PROTOCOL_ERROR"},
		{"5.5 an unknown frame", []func(*peer){raw(0xfe, 0, 0, 1), ask(1, true, get("/0")...)}, "1 200 end"},
		{"6.1 content of no stream", []func(*peer){raw(http2.FrameData, 0, 0, 1)}, "goaway 0 PROTOCOL_ERROR"},
		{"6.1 too much padding", []func(*peer){open, raw(http2.FrameData, http2.FlagDataPadded, 1, 9, 1)}, "goaway 1 PROTOCOL_ERROR"},
		{"6.3 a short priority", []func(*peer){raw(http2.FramePriority, 0, 1, 1)}, "1 reset FRAME_SIZE_ERROR"},
		{"6.4 a short reset", []func(*peer){open, raw(http2.FrameRSTStream, 0, 1, 1)}, "goaway 1 FRAME_SIZE_ERROR"},
		{"6.5 settings of a stream", []func(*peer){raw(http2.FrameSettings, 0, 1)}, "goaway 0 PROTOCOL_ERROR"},
		{"6.5 an acknowledgement that says more", []func(*peer){raw(http2.FrameSettings, http2.FlagSettingsAck, 0, 1)}, "goaway 0 FRAME_SIZE_ERROR"},
		{"6.5.2 a window", []func(*peer){raw(http2.FrameSettings, 0, 0, 0, 4, 0x80, 0, 0, 0)}, "goaway 0 FLOW_CONTROL_ERROR"},
		{"6.5.2 a size of frames", []func(*peer){raw(http2.FrameSettings, 0, 0, 0, 5, 0, 0, 0, 1)}, "goaway 0 PROTOCOL_ERROR"},
		{"6.5.2 push", []func(*peer){raw(http2.FrameSettings, 0, 0, 0, 2, 0, 0, 0, 2)}, "goaway 0 PROTOCOL_ERROR"},
		{"6.6 a promise", []func(*peer){raw(http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, 0, 0, 0, 2)}, "goaway 0 PROTOCOL_ERROR"},
		{"6.7 a ping", []func(*peer){raw(http2.FramePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)}, "ping 0102030405060708 true"},
		{"6.7 a short ping", []func(*peer){raw(http2.FramePing, 0, 0, 1)}, "goaway 0 FRAME_SIZE_ERROR"},
		{"6.7 a ping of a stream", []func(*peer){raw(http2.FramePing, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8)}, "goaway 0 PROTOCOL_ERROR"},
		{"6.8 the end of a stream", []func(*peer){raw(http2.FrameGoAway, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)}, "goaway 0 PROTOCOL_ERROR"},
		{"6.9 no window", []func(*peer){raw(http2.FrameWindowUpdate, 0, 0, 0, 0, 0, 0)}, "goaway 0 PROTOCOL_ERROR"},
		{"6.9 no window of a stream", []func(*peer){open, raw(http2.FrameWindowUpdate, 0, 1, 0, 0, 0, 0)}, "1 reset PROTOCOL_ERROR"},
		{"6.9.1 a window", []func(*peer){raw(http2.FrameWindowUpdate, 0, 0, 0x7f, 0xff, 0xff, 0xff)}, "goaway 0 FLOW_CONTROL_ERROR"},
		{"6.9.1 the window of a stream", []func(*peer){open, raw(http2.FrameWindowUpdate, 0, 1, 0x7f, 0xff, 0xff, 0xff)}, "1 reset FLOW_CONTROL_ERROR"},
		{"6.10 a continuation of nothing", []func(*peer){raw(http2.FrameContinuation, 0, 1, 1)}, "goaway 0 PROTOCOL_ERROR"},
		{"6.10 an interrupted block", []func(*peer){raw(http2.FrameHeaders, 0, 1, 0x82), raw(http2.FramePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)}, "goaway 1 PROTOCOL_ERROR"},
		{"8.1 trailers that end nothing", []func(*peer){open, ask(1, false, "x", "y")}, "1 reset PROTOCOL_ERROR"},
		{"8.1 trailers", []func(*peer){open, raw(http2.FrameData, 0, 1, 7, 7), ask(1, true, "x", "y")}, "1 data 2 end"},
		{"8.1.1 pseudo-fields in trailers", []func(*peer){open, ask(1, true, ":path", "/1")}, "1 reset PROTOCOL_ERROR"},
		{"8.1.1 less content than said", []func(*peer){ask(1, false, with("content-length", "3")...), raw(http2.FrameData, http2.FlagDataEndStream, 1, 1)}, "1 reset PROTOCOL_ERROR"},
		{"8.1.1 more content than said", []func(*peer){ask(1, false, with("content-length", "1")...), raw(http2.FrameData, 0, 1, 1, 2)}, "1 reset PROTOCOL_ERROR"},
		{"8.2.1 a capital letter", []func(*peer){ask(1, true, with("X", "y")...)}, "1 reset PROTOCOL_ERROR"},
		{"8.2.1 a line", []func(*peer){ask(1, true, with("x", "y\r\nz: 1")...)}, "1 reset PROTOCOL_ERROR"},
		{"8.2.2 a connection", []func(*peer){ask(1, true, with("connection", "close")...)}, "1 reset PROTOCOL_ERROR"},
		{"8.2.2 te", []func(*peer){ask(1, true, with("te", "gzip")...)}, "1 reset PROTOCOL_ERROR"},
		{"8.3 a pseudo-field at the end", []func(*peer){ask(1, true, with("x", "y", ":scheme", "https")...)}, "1 reset PROTOCOL_ERROR"},
		{"8.3 an unknown pseudo-field", []func(*peer){ask(1, true, append([]string{":x", "y"}, get("/x")...)...)}, "1 reset PROTOCOL_ERROR"},
		{"8.3 two paths", []func(*peer){ask(1, true, append([]string{":path", "/y"}, get("/x")...)...)}, "1 reset PROTOCOL_ERROR"},
		{"8.3 an answer's", []func(*peer){ask(1, true, append([]string{":status", "200"}, get("/x")...)...)}, "1 reset PROTOCOL_ERROR"},
		{"8.3.1 no path", []func(*peer){ask(1, true, get("")...)}, "1 reset PROTOCOL_ERROR"},
		{"8.3.1 no method", []func(*peer){ask(1, true, get("/x")[2:]...)}, "1 reset PROTOCOL_ERROR"},
		{"10.5.1 many fields", []func(*peer){ask(1, true, with("x", strings.Repeat("y", 9000))...)}, "1 431 end"},
	} {
		p := newPeer(t).hello()
		for _, do := range tc.do {
			do(p)
		}
		frames, err := p.deliver()
		for len(frames) > 0 && strings.HasPrefix(frames[len(frames)-1], "0 window") {
			frames = frames[:len(frames)-1]
		}
		if len(frames) == 0 || frames[len(frames)-1] != tc.want {
			t.Errorf("%s: %q, want %s last", tc.name, frames, tc.want)
		}
		var e *Error
		if fails := strings.HasPrefix(tc.want, "goaway"); fails != errors.As(err, &e) {
			t.Errorf("%s: error %v", tc.name, err)
		}
	}
}

// TestFloods: clients that do what costs more than it says are told to be calm, and others are not.
func TestFloods(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		limit int
		do    func(p *peer, i int)
	}{
		{"resets", maxResets, func(p *peer, i int) {
			p.ask(uint32(2*i+1), true, get("/x")...)
			_ = p.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
		}},
		{"pings", maxPings, func(p *peer, _ int) { _ = p.WritePing(false, [8]byte{}) }},
		{"settings", maxSettings, func(p *peer, _ int) { _ = p.WriteSettings() }},
		{"empty content", maxEmpty, func(p *peer, i int) {
			if i == 0 {
				p.ask(1, false, get("/x")...)
			}
			_ = p.WriteData(1, false, nil)
		}},
		{"continuations", maxContinuations, func(p *peer, i int) {
			if i == 0 {
				_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
			}
			_ = p.WriteContinuation(1, false, []byte{0x82})
		}},
		{"priorities", maxIgnored, func(p *peer, _ int) { _ = p.WritePriority(1, http2.PriorityParam{StreamDep: 3}) }},
		{"refused requests", maxRefused + 10, func(p *peer, i int) { p.ask(uint32(2*i+1), true, get("/x")...) }},
	} {
		p := newPeer(t).hello()
		at := 0
		var err error
		for ; err == nil && at < 2*tc.limit+20; at++ {
			tc.do(p, at)
			_, err = p.deliver()
		}
		var e *Error
		if !errors.As(err, &e) || e.Code != EnhanceYourCalm || at < tc.limit-2 || at > tc.limit+3 {
			t.Errorf("%s: %v after %d", tc.name, err, at)
		}
		slow := newPeer(t).hello()
		for i := range tc.limit + 20 {
			if tc.name == "continuations" {
				break // a block has no time
			}
			tc.do(slow, i)
			slow.now += calmFor / time.Duration(min(tc.limit, 40))
			if _, err := slow.deliver(); err != nil {
				t.Errorf("%s, slowly: %v", tc.name, err)
				break
			}
		}
	}
}

// TestNobodyReads: a client that asks for answers and takes none gets no more.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	p := newPeer(t).hello()
	var err error
	for i := 0; err == nil && i < 10000; i++ {
		_ = p.WriteRawFrame(http2.FrameWindowUpdate, 0, 1, []byte{0, 0, 0, 0})
		if i == 0 {
			p.out.Reset()
			p.hello()
		}
		p.ask(uint32(2*i+1), false, get("/x", "x", fmt.Sprint(i))...)
		_ = p.WriteData(uint32(2*i+1), true, make([]byte, 100))
		p.now += time.Second
		_, err = p.conn.Receive(p.out.Bytes(), p.now)
		p.out.Reset()
		if len(p.conn.control) > maxControl+1000 {
			t.Fatalf("%d bytes are kept", len(p.conn.control))
		}
	}
	if err == nil {
		t.Error("it goes on")
	}
}

// TestWindows: content is sent as far as the windows of stream and connection allow, in turns.
func TestWindows(t *testing.T) {
	t.Parallel()
	p := newPeer(t).hello(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 20000})
	p.ask(1, true, get("/50000")...)
	p.ask(3, true, get("/30000")...)
	p.ask(5, true, get("/30000")...)
	p.ask(7, true, get("/30000")...)
	want := func(frames ...string) {
		t.Helper()
		got, err := p.deliver()
		if err != nil || fmt.Sprint(got) != fmt.Sprint(frames) {
			t.Fatalf("%v, %q\nwant %q", err, got, frames)
		}
	}
	// The connection's window, 65535, is used up first.
	want("settings false", "settings true", "1 200", "1 data 16384", "3 200", "3 data 16384", "5 200", "5 data 16384", "7 200", "7 data 16383")
	_ = p.WriteWindowUpdate(0, 4000)
	want("7 data 3617", "1 data 383")
	_ = p.WriteWindowUpdate(0, 1<<20)
	want("1 data 3233", "3 data 3616", "5 data 3616")
	_ = p.WriteWindowUpdate(3, 9999)
	want("3 data 9999")
	_ = p.WriteWindowUpdate(3, 1)
	want("3 data 1 end")
	_ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10000})
	_ = p.WriteWindowUpdate(7, 10000) // its window is 0 afterwards
	want("settings true")
	_ = p.WriteWindowUpdate(7, 10001)
	want("7 data 10000 end")
	_ = p.WriteRSTStream(1, http2.ErrCodeCancel)
	_ = p.WriteWindowUpdate(1, 10001)
	_ = p.WriteWindowUpdate(5, 30000)
	want("5 data 10000 end")
	if n := p.conn.Streams(); n != 0 || p.app.gone != 4 {
		t.Errorf("%d streams, %d are gone", n, p.app.gone)
	}
}

// TestContent: what a client sends reopens its windows as it is consumed, padding too.
func TestContent(t *testing.T) {
	t.Parallel()
	p := newPeer(t).hello()
	p.ask(1, false, ":method", "POST", ":scheme", "https", ":authority", "h", ":path", "/x")
	for range 40 {
		_ = p.WriteDataPadded(1, false, pattern(10000), make([]byte, 200))
		if _, err := p.deliver(); err != nil {
			t.Fatal(err)
		}
	}
	_ = p.WriteData(1, true, nil)
	frames, err := p.deliver()
	if err != nil || len(frames) == 0 || frames[0] != "1 200" || p.conn.room != firstWindow {
		t.Errorf("%q %v, %d", frames, err, p.conn.room)
	}
	if got := p.app.content[p.app.streams[0]]; !bytes.Equal(got, bytes.Repeat(pattern(10000), 40)) {
		t.Errorf("%d bytes", len(got))
	}
}

// TestLeaving: after GOAWAY what is under way ends, and nothing begins.
func TestLeaving(t *testing.T) {
	t.Parallel()
	p := newPeer(t).hello()
	p.ask(1, true, get("/x")...)
	_, _ = p.deliver()
	p.conn.Leave()
	p.ask(3, true, get("/5")...)
	frames, err := p.deliver()
	if err != nil || fmt.Sprint(frames) != "[goaway 1 NO_ERROR]" {
		t.Fatalf("%q %v", frames, err)
	}
	p.app.streams[0].Respond(AppendStatus(nil, 404), nil, true)
	if frames := p.sent(); fmt.Sprint(frames) != "[1 404 end]" || p.conn.Streams() != 0 {
		t.Errorf("%q", frames)
	}
}

// TestHeaderBlocks reads with golang.org/x/net what is encoded here.
func TestHeaderBlocks(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("v", 70000)
	b := AppendStatus(nil, 418)
	want := []hpack.HeaderField{{Name: ":status", Value: "418"}}
	for _, name := range []string{
		"Accept-Ranges", "Access-Control-Allow-Origin", "Age", "Allow", "Cache-Control", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type",
		"Date", "Etag", "Last-Modified", "Location", "Retry-After", "Vary", "X-Content-Type-Options", strings.Repeat("X", 200),
	} {
		for _, value := range []string{"", "v", long[:126], long[:127], long[:128], long[:300], long} {
			b = AppendField(b, name, value)
			want = append(want, hpack.HeaderField{Name: strings.ToLower(name), Value: value})
		}
	}
	got, err := hpack.NewDecoder(0, nil).DecodeFull(b)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v: %d fields, want %d", err, len(got), len(want))
	}
	for _, status := range []int{200, 204, 206, 304, 400, 404, 500} {
		got, err := hpack.NewDecoder(0, nil).DecodeFull(AppendStatus(nil, status))
		if err != nil || len(got) != 1 || got[0] != (hpack.HeaderField{Name: ":status", Value: fmt.Sprint(status)}) {
			t.Errorf("%d: %v %v", status, got, err)
		}
	}
	for _, most := range []int{leastFrame, 100000} {
		frames := appendBlock(nil, b, most, flagEndStream, 3)
		in := http2.NewFramer(nil, bytes.NewReader(frames))
		in.SetMaxReadFrameSize(1 << 20)
		in.MaxHeaderListSize = 16 << 20
		in.ReadMetaHeaders = hpack.NewDecoder(0, nil)
		f, err := in.ReadFrame()
		if m, ok := f.(*http2.MetaHeadersFrame); err != nil || !ok || !m.StreamEnded() || len(m.Fields) != len(want) {
			t.Errorf("%v %v", f, err)
		}
	}
}

// FuzzFrames: whatever a client sends, in whatever pieces, the server's frames are good ones, no
// window is overrun, and nothing is kept beyond the limits.
func FuzzFrames(f *testing.F) {
	seed := func(do func(p *peer)) {
		p := newPeer(f).hello()
		do(p)
		f.Add(p.out.Bytes()[len(Preface):], uint16(7))
	}
	seed(func(p *peer) { p.ask(1, true, get("/5")...) })
	seed(func(p *peer) {
		p.ask(1, false, get("/x", "content-length", "3")...)
		_ = p.WriteData(1, true, []byte("abc"))
		_ = p.WritePing(false, [8]byte{1})
	})
	seed(func(p *peer) {
		p.ask(1, true, get("/70000")...)
		_ = p.WriteWindowUpdate(0, 10000)
		_ = p.WriteWindowUpdate(1, 10000)
		_ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
		_ = p.WriteRSTStream(1, http2.ErrCodeCancel)
		_ = p.WriteGoAway(0, http2.ErrCodeNo, nil)
	})
	seed(func(p *peer) {
		_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}, PadLength: 3})
		_ = p.WriteContinuation(1, true, []byte{0x87, 0x84, 0x41, 1, 'h'})
	})
	f.Fuzz(func(t *testing.T, b []byte, piece uint16) {
		whole, _ := converse(t, b, len(b)+1)
		pieces, _ := converse(t, b, int(piece)%5000+1)
		if whole != pieces {
			t.Errorf("%q\nin pieces of %d: %q", whole, piece, pieces)
		}
	})
}

// converse sends bytes in pieces, takes what is sent at the end, and checks it.
func converse(t *testing.T, b []byte, piece int) (string, error) {
	p := newPeer(t)
	var unread []byte
	var failed error
	for b = append([]byte(Preface), b...); len(b) > 0 && failed == nil; {
		n := min(len(b), piece)
		unread, b = append(unread, b[:n]...), b[n:]
		n, failed = p.conn.Receive(unread, 0)
		unread = unread[n:]
		if len(unread) > leastFrame+headerSize+piece || len(p.conn.control) > maxControl+20000 || p.conn.Streams() > 10 {
			t.Fatalf("%d bytes are unread, %d to send, %d streams", len(unread), len(p.conn.control), p.conn.Streams())
		}
	}
	if len(p.app.open) > p.conn.Streams() {
		t.Errorf("%d requests are open, %d streams", len(p.app.open), p.conn.Streams())
	}
	if p.conn.room < 0 || p.conn.window > maxWindow {
		t.Errorf("the windows are %d and %d", p.conn.room, p.conn.window)
	}
	frames := p.sent()
	if p.conn.window < 0 {
		t.Errorf("the window is overrun: %d", p.conn.window)
	}
	return fmt.Sprint(frames), failed
}
