package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/auth"
	"livego/internal/flv"
)

const (
	// maxFeeds and maxPublishers bound what other nodes have from this one at a time.
	maxFeeds      = 4096
	maxPublishers = 1024
	// readSilence is how long a publisher at another node may send nothing.
	readSilence = 10 * time.Second
)

// Request is what another node asks for.
type Request struct {
	// Stream is "app/stream". From is the node that asks, Via are all that the answer passes, the
	// last one asks.
	Stream, Rendition, From string
	Via                     []string
	Remote                  string
	// When: this node is thought to become the home in a moment.
	When When
}

// Outlet is a stream that another node gets.
type Outlet struct {
	// Token is that of the home's claim, Rendition which one it is.
	Token     int64
	Rendition string
	// Path are the nodes that it has passed before this one, its home first.
	Path []string
	// Play sends the stream until it ends or the connection breaks: first, then FLV tags,
	// AppendPing each second at least while there is nothing else, and AppendEnd when the stream is
	// over.
	Play func(nc net.Conn, first []byte)
}

// Sink takes the messages of a publisher. Its methods are called from one goroutine.
type Sink interface {
	// Message takes a message, whose body must not change any more. An error says that the
	// publisher must end.
	Message(Message) error
	// End takes the publisher off the air.
	End(cause error)
}

// Services are what a node does for others. They may be called at the same time.
type Services struct {
	// Feed returns a stream that is here, or ErrElsewhere.
	Feed func(ctx context.Context, r Request) (Outlet, error)
	// Publish takes a publisher on air that came to another node, to which it may say something.
	// Errors are told to that node; ErrElsewhere: this is not the stream's home.
	Publish func(ctx context.Context, r Request, from Origin, to Voice) (Sink, error)
	// HomeOf returns the address of the node that has a stream, empty if none does.
	HomeOf func(ctx context.Context, stream string) string
	// HLS serves playlists and segments, and API the part of this node in what the API says of the
	// cluster. Paths begin behind /hls and /api.
	HLS, API http.Handler
	// Over is why a publisher's End is called whose encoder said that the stream is over, Moved why
	// it is when what follows goes to another home, Gone why else. End returns when the next home
	// may have the stream.
	Over, Moved, Gone error
}

// Handler answers other nodes: those that know the secret, and nobody else. It may be called at the
// same time.
type Handler struct {
	id       string
	secret   Secret
	log      *slog.Logger
	services Services
	failures *auth.FailureLimiter
	codes    codes

	feeds, publishers atomic.Int64
}

// NewHandler returns what answers in the name of the node id.
func NewHandler(id string, secret Secret, services Services, log *slog.Logger) *Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Handler{id: id, secret: secret, log: log, services: services, failures: auth.NewFailureLimiter()}
}

// Feeds returns how many streams go to other nodes.
func (h *Handler) Feeds() int { return int(h.feeds.Load()) }

// ServeHTTP serves
//
//	GET  /feed/{app}/{stream}?rendition=     FLV tags without end
//	POST /publish/{app}/{stream}?rendition=  FLV tags up, lines down
//	GET  /hls/…, /api/…
//	GET  /ping                               204: the node is there
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	now := time.Now()
	node, code, err := h.secret.Check(r, h.id, now)
	folder, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	// Who repeats a request for files or lists learns what it could read on its way. All others do
	// something, or last.
	reads := r.Method == http.MethodGet && folder != "feed"
	if err != nil || !reads && !h.codes.accept(code, now) {
		h.refuse(w, r)
		return
	}
	via := Via(r.Header)
	if slices.Contains(via, h.id) || len(via) > maxHops {
		http.Error(w, ErrLoop.Error(), http.StatusLoopDetected)
		return
	}
	req := Request{Stream: path, Rendition: r.URL.Query().Get("rendition"), From: node, Via: via, Remote: r.RemoteAddr, When: whenOf(r.Header.Get(headerAwaits))}
	switch {
	case folder == "feed" && r.Method == http.MethodGet:
		h.feed(w, r, req)
	case folder == "publish" && r.Method == http.MethodPost:
		h.publish(w, r, req)
	case folder == "hls" && h.services.HLS != nil:
		w.Header().Del("Cache-Control")
		http.StripPrefix("/hls", h.services.HLS).ServeHTTP(w, r)
	case folder == "api" && h.services.API != nil:
		http.StripPrefix("/api", h.services.API).ServeHTTP(w, r)
	case r.URL.Path == pingPath:
		w.WriteHeader(http.StatusNoContent)
	default:
		http.Error(w, "nothing for nodes here", http.StatusNotFound)
	}
}

// Via returns the nodes that a request came through, the last of which asks. There are none in one
// that no node made.
func Via(header http.Header) []string { return nodesIn(header.Get(headerVia)) }

// nodesIn reads names of nodes with commas between them.
func nodesIn(text string) (nodes []string) {
	for node := range strings.SplitSeq(text, ",") {
		if node = strings.TrimSpace(node); node != "" {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// refuse answers who is no node.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request) {
	addr, _ := netip.ParseAddrPort(r.RemoteAddr)
	w.Header().Set("Connection", "close")
	if h.failures.Fail(addr.Addr()) {
		http.Error(w, "too many requests without the secret of this cluster", http.StatusTooManyRequests)
		return
	}
	h.log.Warn("request to cluster_addr without the secret of this cluster, or at another time", "remote", r.RemoteAddr)
	http.Error(w, ErrUnauthorized.Error()+": cluster_secret and the clocks have to be the same", http.StatusUnauthorized)
}

// fail answers a request that cannot be.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, req Request, err error) {
	status := http.StatusConflict
	switch {
	case errors.Is(err, ErrElsewhere):
		status = http.StatusNotFound
		if home := h.services.HomeOf(r.Context(), req.Stream); home != "" {
			w.Header().Set(headerHome, home)
		}
	case errors.Is(err, ErrLoop):
		status = http.StatusLoopDetected
	case errors.Is(err, ErrDraining):
		status = http.StatusServiceUnavailable
	}
	http.Error(w, err.Error(), status)
}

// limited counts something under way, unless there is too much of it.
func limited(w http.ResponseWriter, n *atomic.Int64, most int64) (leave func(), ok bool) {
	leave = func() { n.Add(-1) }
	if n.Add(1) > most {
		leave()
		w.Header().Set("Retry-After", "1")
		http.Error(w, "this node serves too many others", http.StatusServiceUnavailable)
		return nil, false
	}
	return leave, true
}

// feed sends a stream.
func (h *Handler) feed(w http.ResponseWriter, r *http.Request, req Request) {
	leave, ok := limited(w, &h.feeds, maxFeeds)
	if !ok {
		return
	}
	defer leave()
	out, err := h.services.Feed(r.Context(), req)
	if err != nil {
		h.fail(w, r, req, err)
		return
	}
	nc, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "feeds need HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return
	}
	defer nc.Close()
	head := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nCache-Control: no-store\r\n%s: %d\r\n%s: %s\r\n%s: %s\r\nConnection: close\r\n\r\n",
		HeaderToken, out.Token, headerRendition, out.Rendition, headerPath, strings.Join(append(out.Path[:len(out.Path):len(out.Path)], h.id), ", "))
	out.Play(nc, flv.AppendFileHeader(head, true, true))
}

// AppendMoved appends a tag that says that what follows is at another node, and at which, if that
// is known.
func AppendMoved(dst []byte, to string) []byte {
	return flv.AppendTag(dst, tagMoved, 0, []byte(cut(to)))
}

// AppendPing appends a tag that says that the node is there.
func AppendPing(dst []byte) []byte { return flv.AppendTag(dst, tagPing, 0, nil) }

// AppendEnd appends a tag that says that the stream is over.
func AppendEnd(dst []byte) []byte { return flv.AppendTag(dst, tagEnd, 0, nil) }

// publish takes a publisher on air.
func (h *Handler) publish(w http.ResponseWriter, r *http.Request, req Request) {
	leave, ok := limited(w, &h.publishers, maxPublishers)
	if !ok {
		return
	}
	defer leave()
	if r.Header.Get("Upgrade") != protocolPublish {
		http.Error(w, "this is for publishers that another node relays", http.StatusUpgradeRequired)
		return
	}
	origin, _ := url.ParseQuery(r.Header.Get(headerOrigin))
	from := Origin{Protocol: origin.Get("protocol"), Remote: origin.Get("remote"), Client: origin.Get("client"), Query: origin.Get("query")}
	p := &publisher{services: &h.services, ended: make(chan struct{}), move: make(chan struct{}, 1)}
	sink, err := h.services.Publish(r.Context(), req, from, Voice{End: p.end, Move: p.ask})
	if err != nil {
		h.fail(w, r, req, err)
		return
	}
	nc, in, err := http.NewResponseController(w).Hijack()
	if err != nil {
		sink.End(h.services.Gone)
		http.Error(w, "publishers need HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return
	}
	p.run(nc, in.Reader, sink)
}

// publisher is a publisher at another node.
type publisher struct {
	services *Services
	ended    chan struct{}
	once     sync.Once
	last     string        // line
	move     chan struct{} // receives when it is to be asked for
}

// ask asks for the publisher to be taken elsewhere.
func (p *publisher) ask() {
	select {
	case p.move <- struct{}{}:
	default:
	}
}

// end lets the publisher end from here.
func (p *publisher) end(word, text string) {
	p.once.Do(func() {
		p.last = lineEnd + word + " " + strings.Join(strings.Fields(cut(text)), " ") + "\n"
		close(p.ended)
	})
}

// run takes messages until either side ends.
func (p *publisher) run(nc net.Conn, in *bufio.Reader, sink Sink) {
	_ = nc.SetDeadline(time.Time{})
	var speaking sync.WaitGroup
	done := make(chan struct{})
	speaking.Go(func() { p.speak(nc, done) })
	cause := p.read(nc, in, sink)
	sink.End(cause)
	close(done)
	speaking.Wait()
	_ = nc.Close()
}

// read hands on what comes, and returns why no more does.
func (p *publisher) read(nc net.Conn, in *bufio.Reader, sink Sink) error {
	tags := flv.NewReader(in)
	for {
		_ = nc.SetReadDeadline(time.Now().Add(readSilence))
		tag, err := tags.ReadTag()
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", p.services.Gone, err)
		case tag.Type == tagEnd:
			return p.services.Over
		case tag.Type == tagMoved:
			return p.services.Moved
		case tag.Type == tagPing:
			continue
		}
		if err := sink.Message(messageOf(tag)); err != nil {
			p.end("", err.Error())
			return err
		}
	}
}

// speak answers with 101, and says each second that it is there, until the end.
func (p *publisher) speak(nc net.Conn, done <-chan struct{}) {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	line := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocolPublish + "\r\n\r\n"
	for {
		if !say(nc, line) {
			return
		}
		select {
		case <-tick.C:
			line = "ping\n"
			continue
		case <-p.move:
			line = lineMove + "\n"
			continue
		case <-p.ended:
		case <-done:
			return
		}
		_ = say(nc, p.last)
		_ = nc.SetReadDeadline(time.Unix(1, 0))
		return
	}
}

// say sends a line. If that cannot be, nothing is read any more either.
func say(nc net.Conn, line string) bool {
	_ = nc.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := io.WriteString(nc, line)
	if err != nil {
		_ = nc.SetReadDeadline(time.Unix(1, 0))
	}
	return err == nil
}
