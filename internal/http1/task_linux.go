package http1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"livego/internal/http2"
)

const (
	// maxUnsent bounds what a handler has written and the client has not taken, in bytes: then
	// Write waits.
	maxUnsent = 64 << 10
	// gathered is what is collected before it is sent, in bytes, as net/http does.
	gathered = 4 << 10
	// reopens is how much content is read before the client hears that it may send more, in bytes.
	reopens = 16 << 10
)

// errOver: the stream is over, by the client, a deadline or the end of the server.
var errOver = errors.New("the stream is over")

// task is a request over HTTP/2 that the ordinary handler answers in a goroutine of its own: its
// ResponseWriter.
type task struct {
	loop    *loop
	x       *exchange // the loop's
	stream  *http2.Stream
	request *http.Request
	cancel  context.CancelFunc
	body    *body

	// Of the handler's goroutine: header, status (0: none yet), the head as it was sent, and what
	// is collected. declared is how long the content is to be, -1: not said.
	header            http.Header
	status            int
	headSent, ended   bool
	frozen            http.Header
	buf               []byte
	written, declared int64

	mu     sync.Mutex
	unsent int
	over   bool
	room   chan struct{} // something was sent, or it is over
}

var (
	_ http.Flusher        = (*task)(nil)
	_ io.StringWriter     = (*task)(nil)
	_ Sharer              = (*task)(nil)
	_ http.ResponseWriter = (*task)(nil)
)

// detached makes the request that the ordinary handler gets. It is false for a path that is none.
func (x *exchange) detached(path string) (*http.Request, bool) {
	f := x.fields
	r := &http.Request{
		Method: f.method, Proto: "HTTP/2.0", ProtoMajor: 2, Header: f.header.Clone(), Host: f.host,
		RequestURI: path, RemoteAddr: x.conn.remote, TLS: &x.conn.tls.state,
	}
	if f.method == http.MethodConnect {
		r.URL, r.RequestURI = &url.URL{Host: f.host}, f.host
		return r, true
	}
	var err error
	r.URL, err = url.ParseRequestURI(path)
	return r, err == nil
}

func newTask(l *loop, x *exchange, r *http.Request, end bool) *task {
	t := &task{loop: l, x: x, stream: x.stream, header: make(http.Header), declared: -1, room: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(x.conn.ctx)
	t.cancel = cancel
	t.body = &body{task: t, more: make(chan struct{}, 1), asks: x.fields.header.Get("Expect") == "100-continue", ended: end}
	if d := l.server.std.ReadTimeout; d > 0 {
		t.body.until = time.Now().Add(d)
	}
	t.request = r.WithContext(context.WithValue(ctx, http.ServerContextKey, l.server.std))
	t.request.Body, t.request.ContentLength = http.NoBody, 0
	if !end {
		t.request.Body, t.request.ContentLength = t.body, x.fields.length
	}
	return t
}

// run answers.
func (t *task) run() {
	defer t.cancel()
	ok := false
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler && t.loop.server.opt.Panicked != nil {
			t.loop.server.opt.Panicked(t.request, v)
		}
		if !ok {
			t.inLoop(func() { t.x.conn.two.abort(t.x, http2.Internal) })
		}
	}()
	t.loop.server.std.Handler.ServeHTTP(t, t.request)
	ok = t.finish()
}

// inLoop has f run in the loop, if the request is still the stream's by then.
func (t *task) inLoop(f func()) {
	t.loop.post(func() {
		if t.x.task == t {
			f()
			t.x.conn.two.touch()
		}
	})
}

// gone is told by the loop that the stream is over.
func (t *task) gone() {
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	t.cancel()
	t.signal()
	t.body.fail()
}

// sent is told by the loop that bytes were sent.
func (t *task) sent(n int) {
	t.mu.Lock()
	t.unsent -= n
	t.mu.Unlock()
	t.signal()
}

func (t *task) signal() {
	select {
	case t.room <- struct{}{}:
	default:
	}
}

func (t *task) Header() http.Header { return t.header }

func (t *task) WriteHeader(status int) {
	switch {
	case t.status != 0:
	case status >= 100 && status < 200 && status != http.StatusSwitchingProtocols:
		block := http2.AppendStatus(nil, status)
		for _, key := range slices.Sorted(maps.Keys(t.header)) {
			for _, value := range t.header[key] {
				block = http2.AppendField(block, key, oneLine(value))
			}
		}
		t.inLoop(func() { t.stream.Interim(block) })
	default:
		t.status, t.frozen = status, t.header.Clone()
		if n, err := strconv.ParseUint(t.frozen.Get("Content-Length"), 10, 63); err == nil {
			t.declared = int64(n)
		} else {
			t.frozen.Del("Content-Length")
		}
	}
}

func (t *task) Write(b []byte) (int, error)       { return t.write(b, false) }
func (t *task) WriteString(s string) (int, error) { return t.write([]byte(s), true) }
func (t *task) WriteShared(b []byte) (int, error) { return t.write(b, true) }

// write takes b, which never changes if it is shared.
func (t *task) write(b []byte, shared bool) (int, error) {
	t.WriteHeader(http.StatusOK)
	switch {
	case !bodyAllowed(t.status):
		return 0, http.ErrBodyNotAllowed
	case t.declared >= 0 && t.written+int64(len(b)) > t.declared:
		return 0, http.ErrContentLength
	}
	t.written += int64(len(b))
	if t.request.Method == http.MethodHead {
		if len(t.buf) < gathered { // its type is looked for in it
			t.buf = append(t.buf, b[:min(len(b), gathered-len(t.buf))]...)
		}
		return len(b), nil
	}
	if len(t.buf)+len(b) <= gathered {
		t.buf = append(t.buf, b...)
		return len(b), nil
	}
	if err := t.flushBuf(); err != nil {
		return 0, err
	}
	if len(b) <= gathered {
		t.buf = append(t.buf, b...)
		return len(b), nil
	}
	if !shared {
		b = bytes.Clone(b)
	}
	for n := 0; n < len(b); {
		k := min(len(b)-n, maxUnsent)
		if err := t.send(b[n:n+k], false); err != nil {
			return n, err
		}
		n += k
	}
	return len(b), nil
}

// flushBuf sends what is collected.
func (t *task) flushBuf() error {
	if len(t.buf) == 0 {
		return nil
	}
	b := t.buf
	t.buf = nil
	return t.send(b, false)
}

// Flush implements http.Flusher.
func (t *task) Flush() { _ = t.FlushError() }

// FlushError is for http.ResponseController.
func (t *task) FlushError() error {
	t.WriteHeader(http.StatusOK)
	if len(t.buf) == 0 || t.request.Method == http.MethodHead {
		return t.send(nil, false)
	}
	return t.flushBuf()
}

// SetWriteDeadline ends the stream then, unless everything was sent; zero: never.
func (t *task) SetWriteDeadline(at time.Time) error {
	t.inLoop(func() {
		x := t.x
		x.due = 0
		if !at.IsZero() {
			x.due = max(at.Sub(x.conn.loop.begun), 1)
			x.conn.by(x.due)
		}
	})
	return nil
}

// SetReadDeadline ends reads of content then; zero: never.
func (t *task) SetReadDeadline(at time.Time) error {
	t.body.setDeadline(at)
	return nil
}

// EnableFullDuplex is so in HTTP/2.
func (t *task) EnableFullDuplex() error { return nil }

// head makes the header block, before content b. done: that is all.
func (t *task) head(b []byte, done bool) []byte {
	h := t.frozen
	allowed := bodyAllowed(t.status)
	if len(h["Content-Length"]) == 0 && done && allowed && (len(b) > 0 || t.request.Method != http.MethodHead) {
		n := int64(len(b))
		if t.request.Method == http.MethodHead {
			n = t.written
		}
		if n <= gathered {
			h.Set("Content-Length", strconv.FormatInt(n, 10))
		}
	}
	if h.Get("Content-Encoding") == "" && len(h["Content-Type"]) == 0 && allowed && len(b) > 0 {
		if _, named := h["Content-Type"]; !named {
			h.Set("Content-Type", http.DetectContentType(b))
		}
	}
	if _, named := h["Date"]; !named {
		h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	block := http2.AppendStatus(make([]byte, 0, headRoom), t.status)
	for _, key := range slices.Sorted(maps.Keys(h)) {
		switch key {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Trailer":
			continue
		}
		for _, value := range h[key] {
			block = http2.AppendField(block, key, oneLine(value))
		}
	}
	return block
}

// send sends the head, if it was not, and content b, which never changes. With end that is all.
func (t *task) send(b []byte, end bool) error {
	var head []byte
	if !t.headSent {
		t.headSent = true
		head = t.head(b, end)
	}
	end = end || t.request.Method == http.MethodHead
	if t.request.Method == http.MethodHead {
		b = nil
	}
	if t.ended || head == nil && len(b) == 0 && !end {
		return nil
	}
	if err := t.await(len(b)); err != nil {
		return err
	}
	t.ended = end
	leave := head != nil && t.frozen.Get("Connection") == "close"
	t.inLoop(func() {
		if leave {
			t.x.conn.two.proto.Leave()
		}
		if head != nil {
			t.stream.Respond(head, [][]byte{b}, end)
			return
		}
		t.stream.Send([][]byte{b}, end)
	})
	return nil
}

// await waits until there is room for n bytes.
func (t *task) await(n int) error {
	for {
		t.mu.Lock()
		over, fits := t.over, t.unsent == 0 || t.unsent+n <= maxUnsent
		if !over && fits {
			t.unsent += n
		}
		t.mu.Unlock()
		switch {
		case over:
			return errOver
		case fits:
			return nil
		}
		<-t.room
	}
}

// finish ends the answer, and says whether it is whole.
func (t *task) finish() bool {
	t.WriteHeader(http.StatusOK)
	if t.declared >= 0 && t.written < t.declared && t.request.Method != http.MethodHead && bodyAllowed(t.status) {
		return false
	}
	b := t.buf
	t.buf = nil
	return t.send(b, true) == nil
}
