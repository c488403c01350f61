package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// headSize bounds a line of an answer's head.
	headSize = 4 << 10
	// maxHeadLines bounds their number.
	maxHeadLines = 100
	// maxRedirects bounds how often one request is sent elsewhere.
	maxRedirects = 5
)

// httpConn is a persistent connection of a player of segments (RFC 9112), which may have one
// request under way. net/http costs several times as much for an answer, and 1,000 players of
// Low-Latency HLS ask for 20,000 in a second. It has one user at a time.
type httpConn struct {
	*opener
	drain *drain
	host  string // of the connection, with its scheme
	conn  net.Conn
	leave func() bool // stops watching the context
	in    *bufio.Reader
	skip  *skipper // nil with TLS
	asked *url.URL
	used  bool // an answer came on this connection
	out   []byte
	// two makes the requests over HTTP/2 instead, if it is not nil; reply is that of the last one.
	two   *http.Client
	reply chan reply
}

// answer is the head of a response.
type answer struct {
	status   int
	location string
	length   int64 // -1 if not known
	chunked  bool
	close    bool // the connection ends with the body
}

func newHTTPConn(n *network, d *drain, bytes *atomic.Uint64) *httpConn {
	return &httpConn{opener: &opener{network: n, bytes: bytes}, drain: d}
}

// stop ends the connection.
func (c *httpConn) stop() {
	if c.conn != nil {
		c.leave()
		c.conn.Close()
		c.conn = nil
	}
}

// request asks for a URL; then answer has to be called.
func (c *httpConn) request(ctx context.Context, u *url.URL) error {
	if c.two != nil {
		return c.request2(ctx, u)
	}
	if host := u.Scheme + "://" + u.Host; c.conn == nil || c.host != host {
		c.stop()
		if err := c.connect(ctx, u); err != nil {
			return err
		}
		c.host = host
	}
	c.asked = u
	_ = c.conn.SetDeadline(time.Now().Add(maxAge)) // shows at the write
	c.out = append(append(append(c.out[:0], "GET "...), u.RequestURI()...), " HTTP/1.1\r\nHost: "...)
	c.out = append(append(c.out, u.Host...), "\r\n\r\n"...)
	if _, err := c.conn.Write(c.out); err != nil && !c.used {
		return err
	}
	return nil // a connection that the server ended meanwhile shows at the answer
}

func (c *httpConn) connect(ctx context.Context, u *url.URL) error {
	short, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c.url = u
	conn, err := c.httpConn(short)
	if err != nil {
		return err
	}
	c.conn, c.used, c.skip = conn, false, nil
	c.leave = context.AfterFunc(ctx, func() { conn.Close() })
	if _, secure := conn.(*tls.Conn); !secure {
		c.skip = newSkipper(c.raw, c.bytes)
	}
	if c.in == nil {
		c.in = bufio.NewReaderSize(nil, headSize)
	}
	c.in.Reset(conn)
	return nil
}

// answer reads the response to the last request. The body goes to body, or is thrown away if that
// is nil; more than limit bytes are an error. ctx is for another attempt, where the server had
// ended a connection that was used before.
func (c *httpConn) answer(ctx context.Context, body *bytes.Buffer, limit int64) (*answer, error) {
	if c.two != nil {
		return c.answer2(body, limit)
	}
	a, err := c.head()
	if err != nil && c.used && retryable(err) {
		c.stop()
		if err = c.request(ctx, c.asked); err == nil {
			a, err = c.head()
		}
	}
	if err == nil {
		err = c.body(a, body, limit)
	}
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("%s: %w", c.asked.Path, err)
	}
	c.used = true
	if a.close {
		c.stop()
	}
	return a, nil
}

// retryable says whether an error may only mean that a connection was idle for too long.
func retryable(err error) bool {
	var timeout net.Error
	return errors.Is(err, io.EOF) || !errors.Is(err, errAnswer) && !(errors.As(err, &timeout) && timeout.Timeout())
}

var errAnswer = errors.New("malformed answer")

// get requests a URL and follows redirections. It returns the URL that answered in the end.
func (c *httpConn) get(ctx context.Context, u *url.URL, body *bytes.Buffer, limit int64) (*url.URL, error) {
	for range maxRedirects {
		if err := c.request(ctx, u); err != nil {
			return nil, err
		}
		a, err := c.answer(ctx, body, limit)
		if err != nil {
			return nil, err
		}
		switch {
		case a.status == 200:
			return u, nil
		case a.status/100 != 3 || a.location == "":
			return nil, statusError{u.Path, a.status}
		}
		if u, err = u.Parse(a.location); err != nil {
			return nil, fmt.Errorf("redirection: %w", err)
		}
		if body != nil {
			body.Reset()
		}
	}
	return nil, fmt.Errorf("%s: more than %d redirections", u.Path, maxRedirects)
}

// statusError is an answer that is no success.
type statusError struct {
	path   string
	status int
}

func (e statusError) Error() string {
	return fmt.Sprintf("%s: the server answered %d", e.path, e.status)
}

// head reads a status line and header fields, and skips interim responses.
func (c *httpConn) head() (*answer, error) {
	for {
		line, err := c.line()
		if err != nil {
			return nil, err
		}
		a := &answer{length: -1}
		if len(line) < 12 || string(line[:7]) != "HTTP/1." {
			return nil, errAnswer
		}
		if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
			return nil, fmt.Errorf("status: %w", errAnswer)
		}
		a.close = line[7] == '0'
		if err := c.fields(a); err != nil {
			return nil, err
		}
		if a.status/100 != 1 {
			return a, nil
		}
	}
}

// line reads up to the next line feed. What it returns is valid until the next read.
func (c *httpConn) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("line of more than %d bytes: %w", headSize, errAnswer)
	}
	return bytes.TrimRight(line, "\r\n"), err
}

// fields reads the header fields and the empty line behind them.
func (c *httpConn) fields(a *answer) error {
	for range maxHeadLines {
		line, err := c.line()
		if err != nil || len(line) == 0 {
			return err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if a.length, err = strconv.ParseInt(string(value), 10, 64); err != nil || a.length < 0 {
				return fmt.Errorf("Content-Length: %w", errAnswer)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			a.chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			a.close = bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("Location")):
			a.location = string(value)
		}
	}
	return fmt.Errorf("more than %d header fields: %w", maxHeadLines, errAnswer)
}

// body reads the content (RFC 9112 §6.3).
func (c *httpConn) body(a *answer, to *bytes.Buffer, limit int64) error {
	if a.status == 204 || a.status == 304 {
		return nil
	}
	if !a.chunked && a.length > limit {
		return fmt.Errorf("more than %d bytes", limit)
	}
	if !a.chunked && a.length >= 0 && to == nil && c.skip != nil {
		buffered := min(int64(c.in.Buffered()), a.length)
		if _, err := c.in.Discard(int(buffered)); err != nil {
			return err
		}
		return c.skip.bytes(c.drain, a.length-buffered)
	}
	var source io.Reader = c.in
	switch {
	case a.chunked:
		source = httputil.NewChunkedReader(c.in)
	case a.length >= 0:
		source = io.LimitReader(c.in, a.length)
	default:
		a.close = true
	}
	n, err := copyTo(to, io.LimitReader(source, limit+1))
	switch {
	case err != nil:
		return err
	case n > limit:
		return fmt.Errorf("more than %d bytes", limit)
	case a.length >= 0 && !a.chunked && n < a.length:
		return io.ErrUnexpectedEOF
	case a.chunked:
		return c.fields(&answer{}) // trailers
	}
	return nil
}

// copyTo reads all into a buffer, or nowhere.
func copyTo(to *bytes.Buffer, from io.Reader) (int64, error) {
	if to == nil {
		return io.Copy(io.Discard, from)
	}
	return to.ReadFrom(from)
}
