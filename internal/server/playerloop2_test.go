package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestLoopAnswersAsNetHTTPOver2 replays requests over HTTP/2, ordinary and odd ones, at the HLS
// port and at net/http, and compares status, fields, content and how the stream ends.
func TestLoopAnswersAsNetHTTPOver2(t *testing.T) {
	t.Parallel()
	s := start(t, withTLS(t), func(o *Options) {
		o.HLS.KeepAfterEnd = true
		o.Apps = append(o.Apps, App{Name: "closed", Live: true, HLS: true, ViewerAuth: ViewersWithToken})
	})
	e := publish(t, s, "movie")
	e.perform(t, clip(t), 1)
	e.unpublish()
	reference := s.netHTTP(t)
	r := &requests{rand: rand.New(rand.NewPCG(3, 4)), paths: playedPaths(t, s)}
	var wg sync.WaitGroup
	for range 8 {
		var all []request2
		for range 100 {
			all = append(all, r.next2())
		}
		wg.Go(func() {
			loop, other := &client2{addr: s.addr("hls")}, &client2{addr: reference}
			defer loop.close()
			defer other.close()
			for _, request := range all {
				var got, want string
				for range 4 { // pages say what is now
					if got, want = loop.ask(t, request), other.ask(t, request); got == want {
						break
					}
				}
				if (strings.HasPrefix(want, "4") || want == "goaway PROTOCOL_ERROR") && got == "reset PROTOCOL_ERROR" {
					continue // both refuse; RFC 9113 8.1.1 asks for a stream error
				}
				if got != want {
					same := 0
					for same < min(len(got), len(want)) && got[same] == want[same] {
						same++
					}
					from := max(same-200, 0)
					t.Errorf("%q\nis answered from byte %d on with\n%.600q\nby net/http with\n%.600q", request, from, got[from:], want[from:])
				}
			}
		})
	}
	wg.Wait()
}

// request2 is a request over HTTP/2: its fields, and its content, if it has any.
type request2 struct {
	fields  []hpack.HeaderField
	content []string
}

func (r *requests) next2() request2 {
	var q request2
	add := func(name, value string) { q.fields = append(q.fields, hpack.HeaderField{Name: name, Value: value}) }
	path := r.paths[r.rand.IntN(len(r.paths))]
	method := r.oneOf("GET", "GET", "HEAD", "OPTIONS", "POST", "DELETE", "get", "G T")
	add(":method", method)
	add(":scheme", r.oneOf("https", "https", "http"))
	add(":authority", r.oneOf("h", "h", "h:7002", "[::1]:1", "[::1", "", "a b"))
	add(":path", path+r.oneOf("", "?_HLS_msn=0", "?_HLS_msn=99999999999", "?_HLS_skip=YES", "?", "?a=%zz", "#x", "/..", "%2e", ";x", "//", "?x=\""))
	for _, field := range []string{
		r.oneOf("", "", "accept-encoding: gzip, deflate, br", "accept-encoding: gzip;q=0"),
		r.oneOf("", "", "", "range: bytes=0-9", "range: bytes=0-1,5-6", "range: bytes=9999999-", "range: x", "if-none-match: *", "if-match: \"x\"", "pragma: no-cache"),
		r.oneOf("", "", "", "user-agent: x", "origin: https://page.example", "cookie: a=b", "x: \x80", "x-forwarded-for: 1.2.3.4", "te: trailers", "x: "+strings.Repeat("y", 5000)),
		r.oneOf("", "", "", "", "", "", "", "connection: close", "x: a\x00b", "X: y", "transfer-encoding: chunked", "content-length: 0", ":scheme: https", "te: gzip"),
	} {
		if name, value, ok := strings.Cut(field, ": "); ok {
			if i := strings.LastIndex(field, ": "); field[0] == ':' {
				name, value = field[:i], field[i+2:]
			}
			add(name, value)
		}
	}
	if method == "POST" {
		q.content = [][]string{{"abc"}, {"", ""}, {"a", "bc"}}[r.rand.IntN(3)]
	}
	return q
}

// digits are numbers.
func digits() *regexp.Regexp { return regexp.MustCompile(`[0-9]+`) }

// client2 speaks HTTP/2 with a server, one request after the other.
type client2 struct {
	addr string
	conn *tls.Conn
	*http2.Framer
	enc   *hpack.Encoder
	block bytes.Buffer
	next  uint32
}

func (c *client2) close() {
	if c.conn != nil {
		c.conn.Close()
	}
	c.conn = nil
}

func (c *client2) open(t *testing.T) bool {
	cfg := trusting()
	cfg.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", c.addr, cfg)
	if err != nil {
		t.Error(err)
		return false
	}
	c.conn, c.Framer, c.next = conn, http2.NewFramer(conn, conn), 1
	c.enc = hpack.NewEncoder(&c.block)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, _ = conn.Write([]byte(http2.ClientPreface))
	_ = c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	_ = c.WriteWindowUpdate(0, 1<<30)
	return true
}

// ask returns what comes for a request, without what differs each time.
func (c *client2) ask(t *testing.T, q request2) string {
	if c.conn == nil && !c.open(t) {
		return ""
	}
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	c.block.Reset()
	for _, f := range q.fields {
		_ = c.enc.WriteField(f)
	}
	id := c.next
	c.next += 2
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: q.content == nil})
	for i, b := range q.content {
		_ = c.WriteData(id, i == len(q.content)-1, []byte(b))
	}
	return c.answer(t, id)
}

func (c *client2) answer(t *testing.T, id uint32) string {
	var head string
	var body []byte
	leaving := false
	defer func() {
		if leaving {
			c.close()
		}
	}()
	for {
		f, err := c.ReadFrame()
		if err != nil {
			c.close()
			return "the end of the connection"
		}
		ended := false
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			var lines []string
			for _, field := range f.RegularFields() {
				if field.Name != "date" && field.Name != "age" {
					lines = append(lines, field.Name+": "+field.Value)
				}
			}
			slices.Sort(lines)
			head += f.PseudoValue("status") + "\n" + strings.Join(lines, "\n") + "\n"
			ended = f.StreamEnded()
		case *http2.DataFrame:
			if n := len(f.Data()); n > 0 {
				_ = c.WriteWindowUpdate(0, uint32(n))
			}
			body = append(body, f.Data()...)
			ended = f.StreamEnded()
		case *http2.RSTStreamFrame:
			if f.StreamID != id || head != "" && f.ErrCode == http2.ErrCodeNo {
				continue
			}
			c.close() // net/http does not know of the stream, and takes content on it for an error
			return head + fmt.Sprintf("reset %v", f.ErrCode)
		case *http2.GoAwayFrame:
			if leaving = f.ErrCode == http2.ErrCodeNo; leaving {
				continue
			}
			c.close()
			return fmt.Sprintf("goaway %v", f.ErrCode)
		}
		if f.Header().StreamID == id && ended {
			if strings.Contains(head, "text/html") { // it says how many watch
				head, body = digits().ReplaceAllString(head, "0"), digits().ReplaceAll(body, []byte("0"))
			}
			return string(differs().ReplaceAll(append([]byte(head), bytes.TrimSpace(body)...), nil))
		}
	}
}

// TestHTTP2InTheLoop: a playlist over HTTP/2 that is waited for is in the loop, without a goroutine
// for each request.
func TestHTTP2InTheLoop(t *testing.T) {
	t.Parallel()
	const requests = 80 // of other tests there are less
	for _, loop := range []bool{true, false} {
		s := start(t, withTLS(t), func(o *Options) { o.HLSLoop = loop })
		publish(t, s, "movie").send(clip(t)[:4]...)
		c := &client2{addr: s.addr("hls")}
		if !c.open(t) {
			return
		}
		defer c.close()
		var q request2
		for _, f := range [][2]string{{":method", http.MethodGet}, {":scheme", "https"}, {":authority", "h"}, {":path", "/live/movie.m3u8"}} {
			q.fields = append(q.fields, hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		for range requests {
			c.block.Reset()
			for _, f := range q.fields {
				_ = c.enc.WriteField(f)
			}
			_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: c.next, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: true})
			c.next += 2
		}
		eventually(t, "all wait", func() bool { return s.hls.Waiting() == requests })
		got := goroutinesIn("hls.(*Server).ServeHTTP")
		if waits := got >= requests; loop && waits || !loop && !waits {
			t.Errorf("loop %v: %d goroutines in the handler", loop, got)
		}
		for id := uint32(1); id < c.next; id += 2 {
			_ = c.WriteRSTStream(id, http2.ErrCodeCancel)
		}
		eventually(t, "none waits", func() bool { return s.hls.Waiting() == 0 })
	}
}

// goroutinesIn counts those that are in a function.
func goroutinesIn(function string) (n int) {
	b := make([]byte, 64<<20)
	b = b[:runtime.Stack(b, true)]
	for one := range bytes.SplitSeq(b, []byte("\n\n")) {
		if bytes.Contains(one, []byte(function)) {
			n++
		}
	}
	return n
}
