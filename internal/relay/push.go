package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"livego/internal/fanout"
	"livego/internal/flv"
	"livego/internal/live"
	"livego/internal/rtmp"
)

const (
	// subscribeWait is how long one wait for the stream takes, which begins anew then.
	subscribeWait = time.Hour
	// maxTime is the time of the stream from which on a push connects again and counts from 0:
	// servers may keep times as FLV has them, which are signed (FLV 10.1, E.4.1).
	maxTime = (1 << 31) * time.Millisecond
	// lastWords is how long the other server's reason is waited for once nothing can be sent to it.
	lastWords = time.Second
)

// push waits for the stream, and sends it to another server until it ends. It returns nil at the
// stream's proper end, and why else.
func (r *runner) push(ctx context.Context) error {
	r.is(Waiting)
	pub, err := r.relays.opt.Subscribe(r.idle, r.relay.name(), 0)
	if errors.Is(err, live.ErrNotFound) {
		r.settle()
		pub, err = r.relays.opt.Subscribe(r.idle, r.relay.name(), subscribeWait)
	}
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
	err = r.send(ctx, client, pub)
	if errors.Is(err, fanout.ErrStreamEnded) || errors.Is(err, fanout.ErrTimeLimit) {
		return nil
	}
	return err
}

func (r *runner) tlsConfig() *tls.Config {
	if !r.relays.opt.VerifyTLS {
		return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} // enable_tls_verify: false
	}
	return nil
}

// dial connects to the other server.
func (r *runner) dial(ctx context.Context) (*rtmp.Client, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, fmt.Errorf("no connection within %v", connectTimeout))
	defer cancel()
	return rtmp.Dial(ctx, r.relay.URL, rtmp.ClientOptions{
		ReadTimeout: connectTimeout, WriteTimeout: ioTimeout, TLSConfig: r.tlsConfig(), DialContext: r.dialTCP, Path: r.path(),
	})
}

// path is what the other server is told of the servers before.
func (r *runner) path() []string {
	if r.relays.opt.Path == nil {
		return nil
	}
	return r.relays.opt.Path(r.relay)
}

// dialTCP makes connections that a fan-out may write to by their descriptors.
func (r *runner) dialTCP(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := r.relays.opt.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	nc, err := dial(ctx, network, addr)
	if tcp, ok := nc.(*net.TCPConn); ok {
		return &fanout.Held{TCPConn: tcp}, nil
	}
	return nc, err
}

// send makes the connection a player of the stream, and returns why that ended. Meanwhile the
// answers of the other server are read, so that pings are answered and a refusal is seen.
func (r *runner) send(ctx context.Context, client *rtmp.Client, pub *live.Publication) error {
	var player *fanout.Player
	conn, bye := client.HandOver(func(b []byte) error { return player.Post(b) })
	player, err := r.relays.opt.Fanout.Play(pub, fanout.PlayerOptions{
		Conn: conn, Format: published{rtmp.Format{StreamID: 1}, strings.Join(r.path(), ",")}, View: fanout.View{Whole: true}, TimeLimit: maxTime, Trailer: bye,
		OnEnd: func(err error) { _ = conn.SetReadDeadline(time.Now().Add(patience(err))) },
	})
	if err != nil {
		return err
	}
	r.plays(player)
	r.reaches(conn.RemoteAddr())
	defer r.reaches(nil)
	r.connected()
	player.Start(nil)
	stop := context.AfterFunc(ctx, func() { player.Close(context.Cause(ctx)) })
	defer stop()
	for err == nil {
		_, err = client.Read()
	}
	player.Close(fmt.Errorf("connection: %w", err))
	<-player.Done()
	r.plays(nil)
	if refused := (*rtmp.StatusError)(nil); errors.As(err, &refused) {
		return refused
	}
	return player.Err()
}

// patience is how long the other server is listened to after a push has ended.
func patience(err error) time.Duration {
	if errors.Is(err, fanout.ErrGone) {
		return lastWords
	}
	return 0
}

// published frames messages as a publisher does: metadata in such a way that the server keeps it
// for its players (as FMLE asks), with the servers that the stream has passed, so that it is known
// when it comes back by way of others.
type published struct {
	rtmp.Format
	path string
}

// The names as AMF0 has them: a marker, a length of two bytes, the text (AMF0 §2.4).
const (
	metadataName = "\x02\x00\x0aonMetaData"
	setDataFrame = "\x02\x00\x0d@setDataFrame"
)

// AppendMessage and Overhead implement fanout.Format.
func (f published) AppendMessage(dst []byte, messageType uint8, timestampMS uint32, body []byte) []byte {
	if messageType == rtmp.TypeDataAMF0 && bytes.HasPrefix(body, []byte(metadataName)) {
		body = flv.AppendPassed([]byte(setDataFrame), body, f.path)
	}
	return f.Format.AppendMessage(dst, messageType, timestampMS, body)
}

func (f published) Overhead(bodyLen int) int {
	more := len(setDataFrame) + flv.MaxPassed(f.path)
	return more + f.Format.Overhead(bodyLen+more)
}
