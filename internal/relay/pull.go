package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"livego/internal/flv"
	"livego/internal/hlsclient"
	"livego/internal/live"
	"livego/internal/rtmp"
)

// HeaderPath is where requests for HTTP-FLV and HLS, and the answers to those that have it, say
// which servers they have passed.
const HeaderPath = "Livego-Path"

// source is where a pull takes messages from.
type source interface {
	// read returns the next message. io.EOF: the stream is properly over.
	read() (messageType uint8, ms uint32, body []byte, err error)
	// passed returns which servers the stream has passed, as far as that is known.
	passed() []string
	io.Closer
}

// pull plays a stream of another server and publishes it here. It returns why it ended.
func (r *runner) pull(ctx context.Context) error {
	r.is(Connecting)
	from, remote, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer from.Close()
	ended, end := context.WithCancelCause(ctx)
	defer end(nil)
	stop := context.AfterFunc(ended, func() { from.Close() })
	defer stop()
	sink, err := r.relays.opt.Publish(ctx, r.relay, remote, from.passed(), func(cause error) { end(cause) })
	if err != nil {
		return fmt.Errorf("publishing here: %w", err)
	}
	r.connected()
	err = r.feed(from, sink)
	if cause := context.Cause(ended); cause != nil {
		err = cause
	}
	switch {
	case errors.Is(err, ErrStopped), errors.Is(err, io.EOF):
		sink.End(live.ErrUnpublished)
	default:
		sink.End(err)
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the stream ended there")
	}
	return err
}

// feed hands messages on until either side ends.
func (r *runner) feed(from source, sink Sink) error {
	for {
		messageType, ms, body, err := from.read()
		if err != nil {
			return err
		}
		if err := sink.Message(messageType, ms, body); err != nil {
			return err
		}
		r.mu.Lock()
		r.count(uint64(len(body)), 0)
		r.mu.Unlock()
	}
}

// open connects to the other server, up to the first media.
func (r *runner) open(ctx context.Context) (from source, remote string, err error) {
	switch {
	case isHLS(r.relay.URL):
		return r.openHLS(ctx)
	case strings.HasPrefix(r.relay.URL, "http"):
		return r.openFLV(ctx)
	}
	client, err := r.dial(ctx)
	if err != nil {
		return nil, "", err
	}
	if err := client.Play(ctx, ""); err != nil {
		client.Close()
		return nil, "", fmt.Errorf("play: %w", err)
	}
	u, err := rtmp.ParseURL(r.relay.URL)
	if err != nil {
		client.Close()
		return nil, "", err
	}
	return rtmpSource{client}, u.Addr, nil
}

// rtmpSource is a playback over RTMP.
type rtmpSource struct{ *rtmp.Client }

func (s rtmpSource) read() (uint8, uint32, []byte, error) {
	m, err := s.Read()
	return m.Type, m.TimestampMS, m.Body, err
}

func (s rtmpSource) passed() []string { return s.Passed() }

// isHLS says whether a URL is that of a playlist.
func isHLS(address string) bool {
	u, err := url.Parse(address)
	return err == nil && strings.HasPrefix(u.Scheme, "http") && strings.HasSuffix(strings.ToLower(u.Path), ".m3u8")
}

// openHLS reads playlists up to the first segments.
func (r *runner) openHLS(ctx context.Context) (source, string, error) {
	header := http.Header{}
	if path := r.path(); len(path) > 0 {
		header.Set(HeaderPath, strings.Join(path, ","))
	}
	c, err := hlsclient.Open(ctx, hlsclient.Options{URL: r.relay.URL, TLS: r.tlsConfig(), Header: header, Body: r.relays.opt.Body})
	if err != nil {
		return nil, "", err
	}
	return hlsSource{c}, hostOf(r.relay.URL), nil
}

// hlsSource is a playback over HLS.
type hlsSource struct{ *hlsclient.Client }

func (s hlsSource) read() (uint8, uint32, []byte, error) { return s.Read() }

// passed says nothing where the answer came from a cache that others had filled.
func (s hlsSource) passed() []string { return rtmp.SplitPath(s.Header().Get(HeaderPath)) }

// openFLV asks for an FLV file without end.
func (r *runner) openFLV(ctx context.Context) (source, string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	silent := time.AfterFunc(connectTimeout, func() { cancel(fmt.Errorf("server sent nothing for %v", connectTimeout)) })
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.relay.URL, nil)
	if err != nil {
		cancel(err)
		return nil, "", ErrBadURL
	}
	if path := r.path(); len(path) > 0 {
		request.Header.Set(HeaderPath, strings.Join(path, ","))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression, transport.DisableKeepAlives, transport.TLSClientConfig = true, true, r.tlsConfig()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		silent.Stop()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(err)
		return nil, "", fmt.Errorf("request: %w", err)
	}
	f := &flvSource{body: answer.Body, path: rtmp.SplitPath(answer.Header.Get(HeaderPath)), ctx: ctx, cancel: cancel, silent: silent}
	if answer.StatusCode != http.StatusOK {
		f.Close()
		return nil, "", fmt.Errorf("the server answers %.64q", answer.Status)
	}
	f.reader = flv.NewReader(bufio.NewReaderSize(f, 64<<10))
	if err := f.reader.ReadHeader(); err != nil {
		f.Close()
		return nil, "", fmt.Errorf("not FLV: %w", err)
	}
	return f, request.URL.Host, nil
}

// flvSource is a playback over HTTP.
type flvSource struct {
	body   io.ReadCloser
	path   []string
	reader *flv.Reader
	ctx    context.Context // of the request
	cancel context.CancelCauseFunc
	silent *time.Timer
}

// Read reads from the server, which may be silent for ioTimeout.
func (s *flvSource) Read(p []byte) (int, error) {
	s.silent.Reset(ioTimeout)
	n, err := s.body.Read(p)
	if cause := context.Cause(s.ctx); err != nil && cause != nil {
		err = cause
	}
	return n, err
}

func (s *flvSource) read() (uint8, uint32, []byte, error) {
	t, err := s.reader.ReadTag()
	return t.Type, t.TimestampMS, t.Body, err
}

func (s *flvSource) passed() []string { return s.path }

func (s *flvSource) Close() error {
	s.silent.Stop()
	s.cancel(ErrStopped)
	return s.body.Close()
}
