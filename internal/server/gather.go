package server

import (
	"io"
	"net"

	"livego/internal/hls"
)

// gathering is what a connection keeps for its next write.
type gathering struct {
	// asked: the next write is kept.
	asked bool
	kept  *[]byte
}

var _ hls.Gatherer = (*limitedConn)(nil)

// Gather implements hls.Gatherer.
func (c *limitedConn) Gather() { c.gathering.asked = true }

// Write sends p, together with what was kept before it.
func (c *limitedConn) Write(p []byte) (int, error) {
	switch {
	case c.gathering.asked:
		c.keep(p)
		return len(p), nil
	case c.gathering.kept != nil:
		return c.writeBoth(p)
	}
	return c.Conn.Write(p)
}

// keep copies p, for net/http uses its buffer again.
func (c *limitedConn) keep(p []byte) {
	kept, ok := c.limits.kept.Get().(*[]byte)
	if !ok {
		kept = new([]byte)
	}
	*kept = append((*kept)[:0], p...)
	c.gathering = gathering{kept: kept}
}

// writeBoth sends what was kept and p, and returns how much of p.
func (c *limitedConn) writeBoth(p []byte) (int, error) {
	kept := c.gathering.kept
	c.gathering = gathering{}
	defer c.limits.kept.Put(kept)
	both := net.Buffers{*kept, p}
	n, err := both.WriteTo(c.Conn)
	return int(max(n-int64(len(*kept)), 0)), err
}

// ReadFrom writes what r gives, with one system call for many pieces (net.Buffers), and without copying a file.
func (c *limitedConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }
