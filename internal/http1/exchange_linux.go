package http1

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"livego/internal/http2"
)

// exchange is a request that the loop answers, and its answer.
type exchange struct {
	conn *conn
	// stream is that of HTTP/2, nil for HTTP/1.1; due is when its answer must be out.
	stream *http2.Stream
	due    time.Duration
	// task, if set, answers elsewhere.
	task *task

	target  string
	fields  *fields
	request *http.Request
	url     url.URL
	begun   bool // Begin was told

	// list is where the request waits, place where in it.
	list  *waitList
	place int
	// limit is that of its wait, which ends at until.
	limit, until time.Duration
	left         func()
	// kept is what the handler keeps until its next call.
	kept any
}

// ask returns the request for the handler.
func (x *exchange) ask() *http.Request {
	if x.request == nil {
		x.request = new(http.Request).WithContext(x.conn.ctx)
	}
	path, query, _ := strings.Cut(x.target, "?")
	x.url = url.URL{Path: path, RawQuery: query}
	r := x.request
	r.Method, r.URL, r.RequestURI, r.Host = http.MethodGet, &x.url, x.target, x.fields.host
	r.Header, r.Body, r.RemoteAddr = x.fields.header, http.NoBody, x.conn.remote
	if x.conn.tls != nil {
		r.TLS = &x.conn.tls.state
	}
	return r
}

// mayBegin says whether the loop may answer. Then the request has begun.
func (x *exchange) mayBegin() bool {
	opt := &x.conn.loop.server.opt
	x.begun = opt.Hot(x.request) && (opt.Begin == nil || opt.Begin(x.conn.net))
	return x.begun
}

// over notes that the request, if one is under way, is over.
func (x *exchange) over() {
	if x.list != nil {
		x.list.remove(x)
	}
	if x.left != nil {
		x.left()
		x.left = nil
	}
	x.until, x.kept = 0, nil
	if x.begun {
		x.begun = false
		if end := x.conn.loop.server.opt.End; end != nil {
			end(x.conn.net)
		}
	}
}

// serve has the handler answer the request, for the first time or after a wait.
func (x *exchange) serve(outcome Outcome) {
	l := x.conn.loop
	if x.left != nil {
		x.left()
		x.left = nil
	}
	w := &l.response
	w.reset(outcome)
	w.kept, x.kept = x.kept, nil
	switch {
	case !l.call(x.request):
		if w.left != nil {
			w.left()
		}
		x.fail()
	case w.elsewhere:
		x.over()
		x.elsewhere()
	case w.change != nil:
		x.wait(w)
	case x.stream != nil:
		x.conn.two.answer(x, w)
	default:
		x.conn.answer(w)
	}
}

// fail ends what has no answer.
func (x *exchange) fail() {
	if x.stream == nil {
		x.conn.close()
		return
	}
	x.conn.two.abort(x, http2.Internal)
}

// elsewhere has the request answered where it may block.
func (x *exchange) elsewhere() {
	if x.stream == nil {
		x.conn.lend(x.conn.head())
		return
	}
	x.conn.two.detach(x)
}

// late ends a wait that took too long.
func (x *exchange) late() {
	x.list.remove(x)
	x.until = 0
	x.serve(Late)
}

// wait lets the request wait.
func (x *exchange) wait(w *response) {
	c, l := x.conn, x.conn.loop
	if x.until == 0 || x.limit != w.limit {
		x.limit, x.until = w.limit, l.now+w.limit
	}
	x.left, x.kept = w.left, w.keep
	l.enlist(x, w.change)
	if x.stream != nil {
		c.by(x.until)
		return
	}
	c.state, c.deadline = waiting, x.until
	l.due(x.until)
	if c.hup || c.tls != nil && c.readable {
		c.checkGone()
	}
}

// question is what the answer to a request that waited depends on. Loops know targets and fields by
// heart, so that it is compared quickly.
type question struct {
	target string
	fields *fields
}

func (x *exchange) asks() question { return question{x.target, x.fields} }

// takeShared answers as others with the same question were answered.
func (x *exchange) takeShared(s *shared) {
	s.each()
	if x.stream != nil {
		x.conn.two.share(x, s)
		return
	}
	x.conn.takeShared(s)
}
