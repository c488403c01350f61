//go:build !linux

package bench

import (
	"context"
	"io"
	"net"
	"sync/atomic"
)

// drain throws away what arrives on many connections.
type drain struct {
	// worst stays 0: nobody empties connections in turn.
	worst atomic.Int64
}

func newDrain() *drain { return &drain{} }

// swallow takes a connection over until it ends or ctx does. The bytes are counted.
func (*drain) swallow(ctx context.Context, p *playback, bytes *atomic.Uint64) error {
	defer p.close()
	stop := context.AfterFunc(ctx, p.close)
	defer stop()
	_, err := io.Copy(io.Discard, counted{p.raw, bytes})
	if err == nil {
		err = io.EOF
	}
	return err
}

func (*drain) run(context.Context) {}

// skipper throws bytes of a connection away that somebody else reads otherwise.
type skipper struct{ from io.Reader }

func newSkipper(conn *net.TCPConn, count *atomic.Uint64) *skipper {
	return &skipper{counted{conn, count}}
}

// bytes waits for the next n bytes and throws them away.
func (s *skipper) bytes(_ *drain, n int64) error {
	_, err := io.CopyN(io.Discard, s.from, n)
	return err
}
