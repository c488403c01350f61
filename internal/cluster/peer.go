package cluster

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"livego/internal/flv"
)

const (
	// dialTimeout bounds the time to connect to a node, answerTimeout the time until it answers.
	dialTimeout   = 500 * time.Millisecond
	answerTimeout = 2 * time.Second
	// decideTimeout bounds the time in which the home of a stream decides about a publisher, for
	// which it may ask others, while it says that it is there.
	decideTimeout = 10 * time.Second
	// silence is how long a node may say nothing, pingInterval how often it says something at
	// least.
	silence      = 3 * time.Second
	pingInterval = time.Second
	// writeTimeout bounds the time for which the other node takes nothing of a publisher.
	writeTimeout = 5 * time.Second
	// maxHops bounds the nodes that a stream passes between its home and a viewer.
	maxHops = 4
	// maxHead bounds the head of an answer, with what came behind it, in bytes.
	maxHead = 128 << 10
	// maxLine bounds what the home of a publisher says at once, in bytes, and what is kept of an
	// answer.
	maxLine = 1 << 10
)

// Tags of our own between those of FLV, by types that FLV does not use (FLV E.4.1).
const (
	tagMoved = 29 // what follows is at another node, which the body may name
	tagPing  = 30 // nothing: the node is there
	tagEnd   = 31 // the stream is over
)

// Lines that the home of a publisher says, each with a line feed behind it.
const (
	lineMove = "move"
	lineEnd  = "end " // and a word and a text
)

// HeaderToken is in answers of a node that has the stream, with the token of its claim.
const HeaderToken = "Livego-Token"

// Headers of requests between nodes and of their answers.
const (
	headerVia       = "Via"
	headerHome      = "Livego-Home"
	headerRendition = "Livego-Rendition"
	headerPath      = "Livego-Path"
	headerOrigin    = "Livego-Origin"
	headerAwaits    = "Livego-Awaits"
	protocolPublish = "livego-publish"
	// pingPath is answered with nothing.
	pingPath = "/ping"
)

var (
	// ErrUnreachable: a node does not answer.
	ErrUnreachable = errors.New("node cannot be reached")
	// ErrElsewhere: a node does not have the stream that it is said to have.
	ErrElsewhere = errors.New("node does not have the stream")
	// ErrLoop: a stream would come back to a node that it has passed.
	ErrLoop = errors.New("nodes ask each other for the stream in a circle")
	// ErrRefused: a node does not want the publisher. It is wrapped with the reason.
	ErrRefused = errors.New("refused by the stream's home")
	// ErrDraining: a node takes nothing new.
	ErrDraining = errors.New("node is about to end")
	// ErrMoved: a stream goes on at another node.
	ErrMoved = errors.New("stream has moved to another node")
)

// Peers asks other nodes. Its methods may be called from any goroutine.
type Peers struct {
	id     string
	secret Secret
	tls    *tls.Config
	http   *http.Client
	pulses pulses
}

// NewPeers returns what asks in the name of the node id. With TLS options it speaks TLS.
func NewPeers(id string, secret Secret, tls *tls.Config) *Peers {
	p := &Peers{id: id, secret: secret, tls: tls}
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     tls,
		TLSHandshakeTimeout: answerTimeout,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}
	p.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	p.pulses.open(p.ping)
	return p
}

// Close ends idle connections. Nobody may ask any more.
func (p *Peers) Close() {
	p.pulses.close()
	p.http.CloseIdleConnections()
}

// request makes a request to a node.
func (p *Peers) request(ctx context.Context, method string, to Node, path, query string, via []string) (*http.Request, error) {
	if len(via) >= maxHops {
		return nil, ErrLoop
	}
	u := url.URL{Scheme: "http", Host: to.Addr, Path: path, RawQuery: query}
	if p.tls != nil {
		u.Scheme = "https"
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnreachable, to.ID, err)
	}
	r.Header.Set(headerVia, strings.Join(append(via[:len(via):len(via)], p.id), ", "))
	p.secret.Sign(r, p.id, to.ID, time.Now())
	return r, nil
}

// Get asks a node for a file, in any state that its answer has. The path begins with /hls/, for
// example. via are the nodes that it passes after this one. It takes as long as the node needs;
// some seconds after that says nothing any more the error is ErrUnreachable.
func (p *Peers) Get(ctx context.Context, to Node, path, query string, header http.Header, via []string) (*http.Response, error) {
	r, err := p.request(ctx, http.MethodGet, to, path, query, via)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	return p.do(r, to)
}

// Post has a node do something, and returns its answer in any state that it has.
func (p *Peers) Post(ctx context.Context, to Node, path, query string) (*http.Response, error) {
	r, err := p.request(ctx, http.MethodPost, to, path, query, nil)
	if err != nil {
		return nil, err
	}
	return p.do(r, to)
}

// unwrapURL is an error without the URL before it.
func unwrapURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// talk sends a request on a connection of its own, and returns the answer, which may take so long,
// with what follows it.
func (p *Peers) talk(r *http.Request, timeout time.Duration) (nc net.Conn, in *bufio.Reader, answer *http.Response, err error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	if nc, err = dialer.DialContext(r.Context(), "tcp", r.URL.Host); err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	stop := context.AfterFunc(r.Context(), func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = nc.SetDeadline(time.Now().Add(timeout))
	head := &io.LimitedReader{N: maxHead}
	if p.tls != nil {
		config := p.tls.Clone()
		config.ServerName, _, _ = net.SplitHostPort(r.URL.Host)
		nc = tls.Client(nc, config)
	}
	if err = r.Write(nc); err == nil {
		head.R = nc
		in = bufio.NewReaderSize(head, 64<<10)
		answer, err = http.ReadResponse(in, r)
		head.N = math.MaxInt64
	}
	if err != nil {
		_ = nc.Close()
		return nil, nil, nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return nc, in, answer, nil
}

// streamPath is the path of a stream below a folder.
func streamPath(folder, stream string) string { return "/" + folder + "/" + stream }

// renditionQuery is the query of a rendition.
func renditionQuery(rendition string) string {
	if rendition == "" {
		return ""
	}
	return "rendition=" + url.QueryEscape(rendition)
}

// refusal is the error of an answer.
func refusal(answer *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxLine))
	why := strings.ToValidUTF8(strings.TrimSpace(string(text)), "")
	switch answer.StatusCode {
	case http.StatusNotFound:
		return ErrElsewhere
	case http.StatusLoopDetected:
		return ErrLoop
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusServiceUnavailable:
		return ErrDraining
	case http.StatusConflict:
		return fmt.Errorf("%w: %s", ErrRefused, why)
	}
	return fmt.Errorf("%w: it answers %.64q", ErrUnreachable, answer.Status)
}

// Origin is where a publisher came to the cluster.
type Origin struct {
	Protocol, Remote, Client, Query string
}

// Voice is what the home of a stream says to its publisher. Both are called from any goroutine, and
// do not wait.
type Voice struct {
	// End ends it, by a word of a fixed set and a text for people. It is called once; without a
	// word and a text the home is gone.
	End func(word, text string)
	// Move asks for it to be taken to another home.
	Move func()
}

// Uplink takes the messages of a publisher to the stream's home. Message has one user at a time.
type Uplink struct {
	nc      net.Conn
	scratch []byte

	mu    sync.Mutex
	ended error
	done  chan struct{}
}

// Publish takes a publisher to the home of its stream, whose words are for it. The error is
// ErrRefused with the home's reason, ErrElsewhere if it is not the home, ErrDraining, ErrLoop,
// ErrUnreachable or ErrUnauthorized.
func (p *Peers) Publish(ctx context.Context, home Node, stream, rendition string, from Origin, hears Voice) (*Uplink, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	r, err := p.request(ctx, http.MethodPost, home, streamPath("publish", stream), renditionQuery(rendition), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", protocolPublish)
	r.Header.Set(headerOrigin, url.Values{
		"protocol": {from.Protocol}, "remote": {from.Remote}, "client": {cut(from.Client)}, "query": {cut(from.Query)},
	}.Encode())
	p.pulses.watch(ctx, home, giveUp)
	nc, in, answer, err := p.talk(r, decideTimeout)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		err := refusal(answer)
		_ = nc.Close()
		return nil, err
	}
	_ = nc.SetDeadline(time.Time{})
	u := &Uplink{nc: nc, done: make(chan struct{})}
	go u.listen(in, hears)
	if err := u.send(flv.AppendFileHeader(nil, true, true)); err != nil {
		u.End(false)
		return nil, err
	}
	return u, nil
}

// cut bounds what goes into a header.
func cut(text string) string {
	if len(text) > maxLine {
		text = text[:maxLine]
	}
	return strings.ToValidUTF8(text, "")
}

// listen hears what the home says, until it is gone.
func (u *Uplink) listen(in *bufio.Reader, hears Voice) {
	defer close(u.done)
	word, text := "", ""
	for {
		_ = u.nc.SetReadDeadline(time.Now().Add(silence))
		line, err := in.ReadSlice('\n')
		if err != nil {
			break
		}
		said := strings.TrimSpace(string(line))
		if said == lineMove {
			hears.Move()
		}
		if rest, ok := strings.CutPrefix(said, lineEnd); ok {
			word, text, _ = strings.Cut(rest, " ")
			break
		}
	}
	_ = u.nc.Close()
	u.mu.Lock()
	mine := u.ended == nil
	if mine {
		u.ended = ErrUnreachable
	}
	u.mu.Unlock()
	if mine {
		hears.End(word, cut(text))
	}
}

// Message sends a message. It fails when the home is gone.
func (u *Uplink) Message(m Message) error {
	u.scratch = Format{}.AppendArrived(u.scratch[:0], m.Type, m.TimeMS, m.Arrived.UnixNano(), m.Body)
	return u.send(u.scratch)
}

func (u *Uplink) send(b []byte) error {
	_ = u.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := u.nc.Write(b); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return nil
}

// End ends the publisher. proper: it said so itself, so that its stream is over. Its Voice hears
// nothing more.
func (u *Uplink) End(proper bool) {
	if u.finish() && proper {
		_ = u.send(flv.AppendTag(nil, tagEnd, 0, nil))
	}
	_ = u.nc.Close()
	<-u.done
}

// Move ends the publisher because what follows goes to another home, and waits until this one has
// given the stream up, at most for some seconds.
func (u *Uplink) Move() {
	if u.finish() && u.send(flv.AppendTag(nil, tagMoved, 0, nil)) == nil {
		defer time.AfterFunc(silence, func() { _ = u.nc.Close() }).Stop()
		<-u.done
	}
	_ = u.nc.Close()
	<-u.done
}

// finish lets the Voice hear nothing more, and says whether it could have.
func (u *Uplink) finish() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	mine := u.ended == nil
	u.ended = net.ErrClosed
	return mine
}
