// Package edge serves files of streams that are made on another node: each is fetched once, however
// many ask for it, and kept for as long as its Cache-Control says.
package edge

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/hls/playlist"
	"livego/internal/http1"
)

const (
	// DefaultBytes is how much is kept unless the options say otherwise.
	DefaultBytes = 512 << 20
	// maxBody bounds a file that is kept, in bytes. Larger ones pass through.
	maxBody = 32 << 20
	// maxPerStream and maxFetches bound what is asked for at a time: of the files of one stream,
	// and of all.
	maxPerStream = 64
	maxFetches   = 4096
	// fetchTimeout bounds the time that a file takes: a playlist is held until there is what it is
	// asked for.
	fetchTimeout = 45 * time.Second
	// overhead is about what a file costs beside its bytes.
	overhead = 1 << 10
)

var (
	// ErrBusy: too much is asked for already.
	ErrBusy = errors.New("too many requests for files of other servers")
	// errLate: who has the file does not answer.
	errLate = errors.New("another server does not answer")
)

// File names a file.
type File struct {
	// Stream is "app/stream".
	Stream string
	// Path and Query are what it is asked for by, in one form for all who mean the same.
	Path, Query string
	// Gzip: it is wanted compressed if it can be.
	Gzip bool
	// Straight: the node that makes it is asked, and none that would pass it on. Files that come by
	// both ways are kept twice.
	Straight bool
}

// Fetch asks for a file, on behalf of who came through some nodes (via). Its answer is of any
// status. An error says that there is nobody to ask.
type Fetch func(ctx context.Context, f File, via []string) (*http.Response, error)

// Cache serves files. Its methods may be called from any goroutine.
type Cache struct {
	fetch Fetch
	most  int64
	holds *http1.Holds

	ctx  context.Context
	stop context.CancelFunc
	all  sync.WaitGroup

	sent atomic.Uint64

	mu      sync.Mutex
	kept    map[File]*list.Element // of *answer
	recent  *list.List             // latest use first
	bytes   int64
	flights map[File]*flight
	streams map[string]int // what is asked for, by stream
	asking  int            // of all streams
	stats   Stats
}

// Stats are sums since the start, and what there is now.
type Stats struct {
	// Hits came from what is kept, Misses were fetched, Coalesced waited for what was being
	// fetched. Failed could not be had.
	Hits, Misses, Coalesced, Failed uint64
	// Sent are the bytes of answers.
	Sent uint64
	// Files and Bytes are kept.
	Files int
	Bytes int64
}

// New returns a cache that keeps at most so many bytes; 0: DefaultBytes. Requests wait by holds.
func New(fetch Fetch, most int64, holds *http1.Holds) *Cache {
	if most <= 0 {
		most = DefaultBytes
	}
	c := &Cache{
		fetch: fetch, most: most, holds: holds, kept: make(map[File]*list.Element), recent: list.New(), flights: make(map[File]*flight), streams: make(map[string]int),
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

// Close ends what is being fetched, and waits for that.
func (c *Cache) Close() {
	c.stop()
	c.all.Wait()
}

// Stats returns the present figures.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Sent = c.sent.Load()
	s.Files, s.Bytes = c.recent.Len(), c.bytes
	return s
}

// flight is a file that is being fetched.
type flight struct {
	file    File
	done    chan struct{}
	answer  *answer
	err     error
	waiters int
	cancel  context.CancelFunc
}

// under is what to wait for until the file is there, nil then.
func (f *flight) under() <-chan struct{} {
	select {
	case <-f.done:
		return nil
	default:
		return f.done
	}
}

// Serve answers a request, GET or HEAD, for a file, which came through some nodes. An error says
// why it did not: ErrBusy, that of Fetch, or context.Canceled if the client is gone. In a loop of
// http1 it may leave the request to wait, or to net/http.
func (c *Cache) Serve(w http.ResponseWriter, r *http.Request, f File, via []string) error {
	a, err := c.await(w, r, f, via)
	switch {
	case err != nil || a == nil:
		return err
	case a.large && http1.Elsewhere(w):
		return nil
	case a.large:
		return c.pass(w, r, f, via)
	}
	a.write(w, r)
	size := uint64(len(a.body))
	if r.Method != http.MethodHead {
		c.sent.Add(size)
	}
	if waiter := http1.WaiterOf(w); waiter != nil {
		waiter.Share(func() { c.sent.Add(size) })
	}
	return nil
}

// await returns a file, nil if the request waits for it in a loop: it will be served anew.
func (c *Cache) await(w http.ResponseWriter, r *http.Request, file File, via []string) (*answer, error) {
	waiter := http1.WaiterOf(w)
	f := c.comeBack(waiter)
	if f == nil {
		a, began, err := c.look(file, via)
		if began == nil {
			return a, err
		}
		f = began
	}
	if waiter != nil {
		waiter.Keep(f)
	}
	switch c.holds.Hold(w, r, fetchTimeout, f.under, func() { c.leave(f) }) {
	case http1.Ready:
		return f.answer, f.err
	case http1.Waiting:
		return nil, nil
	case http1.Crowded:
		return nil, ErrBusy
	case http1.Gone:
		return nil, context.Canceled
	}
	return nil, errLate
}

// comeBack returns the flight for which a request in a loop has waited, nil if it has not. The
// request belongs to it again until it leaves.
func (c *Cache) comeBack(w http1.Waiter) *flight {
	if w == nil {
		return nil
	}
	f, ok := w.Kept().(*flight)
	if !ok {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiters++
	return f
}

// Get returns the body of a file, and whether it was there at all.
func (c *Cache) Get(ctx context.Context, file File) (body []byte, found bool, err error) {
	a, f, err := c.look(file, nil)
	if f != nil {
		defer c.leave(f)
		select {
		case <-f.done:
			a, err = f.answer, f.err
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		return nil, false, err
	}
	return a.body, a.status == http.StatusOK && !a.large, nil
}

// look returns a file that is kept, or the flight that brings it, to which the caller belongs until
// it leaves.
func (c *Cache) look(file File, via []string) (*answer, *flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.find(file); a != nil {
		c.stats.Hits++
		return a, nil, nil
	}
	f := c.flights[file]
	switch {
	case f != nil:
		c.stats.Coalesced++
	default:
		if f = c.begin(file, via); f == nil {
			c.stats.Failed++
			return nil, nil, ErrBusy
		}
		c.stats.Misses++
	}
	f.waiters++
	return nil, f, nil
}

// leave takes one who waits away; nothing is fetched for nobody.
func (c *Cache) leave(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiters--; f.waiters > 0 {
		return
	}
	f.cancel()
	if c.flights[f.file] == f {
		delete(c.flights, f.file)
	}
}

// find returns what is kept and still good, nil if nothing is. The caller holds mu.
func (c *Cache) find(file File) *answer {
	e := c.kept[file]
	if e == nil {
		return nil
	}
	a := e.Value.(*answer)
	if time.Since(a.came) >= a.good {
		c.drop(e)
		return nil
	}
	c.recent.MoveToFront(e)
	return a
}

// drop forgets a file. The caller holds mu.
func (c *Cache) drop(e *list.Element) {
	a := c.recent.Remove(e).(*answer)
	delete(c.kept, a.file)
	c.bytes -= a.size()
}

// begin fetches a file, nil if there is too much under way. The caller holds mu.
func (c *Cache) begin(file File, via []string) *flight {
	if c.ctx.Err() != nil || !c.enter(file.Stream) {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, fetchTimeout)
	f := &flight{file: file, done: make(chan struct{}), cancel: cancel}
	c.flights[file] = f
	c.all.Go(func() {
		defer cancel()
		a, err := c.ask(ctx, file, via)
		c.mu.Lock()
		defer c.mu.Unlock()
		f.answer, f.err = a, err
		if c.flights[file] == f {
			delete(c.flights, file)
		}
		c.done(file.Stream)
		if err != nil {
			c.stats.Failed++
		} else if a.good > 0 && !a.large {
			c.keep(a)
		}
		close(f.done)
	})
	return f
}

// enter counts a request for a file of a stream, unless there are too many. The caller holds mu.
func (c *Cache) enter(stream string) bool {
	if c.streams[stream] >= maxPerStream || c.asking >= maxFetches {
		return false
	}
	c.streams[stream]++
	c.asking++
	return true
}

// done ends what enter began. The caller holds mu.
func (c *Cache) done(stream string) {
	c.asking--
	if c.streams[stream]--; c.streams[stream] == 0 {
		delete(c.streams, stream)
	}
}

// keep makes room for a file. The caller holds mu.
func (c *Cache) keep(a *answer) {
	if e := c.kept[a.file]; e != nil {
		c.drop(e)
	}
	c.kept[a.file] = c.recent.PushFront(a)
	c.bytes += a.size()
	for c.bytes > c.most {
		c.drop(c.recent.Back())
	}
}

// ask fetches a file as a whole.
func (c *Cache) ask(ctx context.Context, file File, via []string) (*answer, error) {
	resp, err := c.fetch(ctx, file, via)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := check(resp); err != nil {
		return nil, err
	}
	a := &answer{file: file, status: resp.StatusCode, header: kept(resp.Header), came: time.Now()}
	a.age, a.good = lifetime(resp.Header)
	if a.large = resp.ContentLength > maxBody; a.large {
		return a, nil
	}
	var body bytes.Buffer
	if resp.ContentLength > 0 {
		body.Grow(int(resp.ContentLength) + bytes.MinRead)
	}
	n, err := io.Copy(&body, io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	a.body, a.large = body.Bytes(), n > maxBody
	a.whole = playlist.NewFile(playlist.DocumentOf(a.body), "")
	a.whole.Tag = a.header["Etag"]
	return a, nil
}

// pass hands a large file on as it comes.
func (c *Cache) pass(w http.ResponseWriter, r *http.Request, f File, via []string) error {
	c.mu.Lock()
	room := c.enter(f.Stream)
	c.mu.Unlock()
	if !room {
		return ErrBusy
	}
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.done(f.Stream)
	}()
	resp, err := c.fetch(r.Context(), f, via)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := check(resp); err != nil {
		return err
	}
	h := w.Header()
	for name, values := range kept(resp.Header) {
		h[name] = values
	}
	if resp.ContentLength >= 0 {
		h.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	w.WriteHeader(resp.StatusCode)
	if r.Method != http.MethodHead {
		n, _ := io.Copy(w, resp.Body) // the client is gone if this fails
		c.sent.Add(uint64(n))
	}
	return nil
}
