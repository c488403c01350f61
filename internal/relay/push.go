package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"livego/internal/amf"
	"livego/internal/live"
	"livego/internal/media"
	"livego/internal/rtmp"
)

const (
	// subscribeWait is how long one wait for the stream takes, which begins anew then.
	subscribeWait = time.Hour
	// batch is how many units are read at once.
	batch = 64
)

// push waits for the stream, and sends it to another server until it ends. It returns nil at the
// stream's proper end, and why else.
func (r *runner) push(ctx context.Context) error {
	r.is(Waiting)
	if _, there := r.relays.opt.Hub.Lookup(r.relay.name()); !there {
		r.settle()
	}
	pub, err := r.relays.opt.Hub.Subscribe(r.idle, r.relay.name(), subscribeWait)
	if errors.Is(err, live.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r.is(Connecting)
	client, err := r.dial(r.idle)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Publish(ctx, ""); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	// The answers are read, so that pings are answered and a refusal is seen.
	broken := make(chan error, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		_, err := client.Read()
		for err == nil {
			_, err = client.Read()
		}
		broken <- err
	})
	defer reading.Wait()
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()

	reader := pub.NewReader(live.ReaderOptions{GOPs: 1, Lazy: true})
	defer reader.Close()
	r.connected()
	p := pusher{runner: r, client: client, reader: reader, broken: broken}
	return p.run(ctx)
}

func (r *runner) tlsConfig() *tls.Config {
	if !r.relays.opt.VerifyTLS {
		return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} // enable_tls_verify: false
	}
	return nil
}

func (r *runner) dial(ctx context.Context) (*rtmp.Client, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, fmt.Errorf("no connection within %v", connectTimeout))
	defer cancel()
	return rtmp.Dial(ctx, r.relay.URL, r.clientOptions())
}

// pusher is one connection of a push.
type pusher struct {
	*runner
	client *rtmp.Client
	reader *live.Reader
	broken <-chan error

	began   bool
	zero    time.Duration // stream time of time 0
	skipped uint64
	sent    int // bytes of media that are not counted yet
	scratch []byte
}

// run sends until the stream or the connection ends.
func (p *pusher) run(ctx context.Context) error {
	reading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-p.broken:
			cancel(fmt.Errorf("connection: %w", orEOF(err)))
		case <-reading.Done():
		}
	}()
	units := make([]media.AccessUnit, batch)
	for {
		n, err := p.reader.Read(reading, units)
		switch {
		case errors.Is(err, media.ErrSuspended):
			continue // its publisher may be back
		case errors.Is(err, io.EOF):
			return p.finish()
		case err != nil:
			return err
		}
		for i := range units[:n] {
			if err := p.send(&units[i]); err != nil {
				return err
			}
		}
		clear(units[:n])
		if err := p.client.Flush(); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
		p.tally()
	}
}

func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// finish tells the other server that the stream is over.
func (p *pusher) finish() error {
	if err := p.client.Unpublish(); err != nil {
		return fmt.Errorf("unpublishing: %w", err)
	}
	return nil
}

// send sends the message of a unit.
func (p *pusher) send(u *media.AccessUnit) error {
	if u.Shared || u.Header == media.Command {
		return nil
	}
	if !p.began && u.Header == media.Sample {
		p.began, p.zero = true, u.DTS
	}
	body := u.Body
	if len(body) == 0 {
		var err error
		if body, err = p.relays.opt.Body(p.scratch[:0], u); err != nil {
			return nil // RTMP has no message for it
		}
		p.scratch = body
	}
	ms := uint32(0)
	if p.began {
		ms = uint32(max(u.DTS-p.zero, 0).Milliseconds())
	}
	m := rtmp.Message{Type: u.MessageType, TimestampMS: ms, Body: body}
	if m.Type == 0 {
		m.Type = typeOf(u.Track.Kind)
	}
	if u.Header == media.Metadata {
		// The server is to keep it for its players (as FMLE does).
		m.Body = append(amf.Append(nil, "@setDataFrame"), body...)
	}
	if err := p.client.Write(m); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	p.sent += len(body)
	return nil
}

// tally counts what was sent since the last time.
func (p *pusher) tally() {
	skipped := p.reader.Skipped()
	p.count(p.sent, skipped-p.skipped)
	p.sent, p.skipped = 0, skipped
}

func typeOf(k media.Kind) uint8 {
	switch k {
	case media.Video:
		return rtmp.TypeVideo
	case media.Audio:
		return rtmp.TypeAudio
	}
	return rtmp.TypeDataAMF0
}
