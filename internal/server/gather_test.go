package server

import (
	"io"
	"net"
	"testing"
)

// writes notes the sizes of the writes that a connection gets.
type writes struct {
	net.Conn
	sizes []int
}

func (w *writes) Write(p []byte) (int, error) {
	w.sizes = append(w.sizes, len(p))
	return w.Conn.Write(p)
}

// TestGather: a kept write is sent in front of the next one, which answers for its own bytes only.
func TestGather(t *testing.T) {
	t.Parallel()
	c, client := limitedPair(t, &connLimits{})
	under := &writes{Conn: c.Conn}
	c.Conn = under
	head, body := []byte("head "), []byte("body")
	for range 2 { // the buffer is used again
		c.Gather()
		for _, p := range [][]byte{head, body} {
			if n, err := c.Write(p); n != len(p) || err != nil {
				t.Fatal(n, err)
			}
		}
		if _, err := c.Write([]byte(".")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len("head body."))
		if _, err := io.ReadFull(client, got); err != nil || string(got) != "head body." {
			t.Fatalf("%q %v", got, err)
		}
	}
	c.Gather()
	if _, err := c.Write(head); err != nil || len(under.sizes) != 6 {
		t.Errorf("not kept: %v, writes %v", err, under.sizes)
	}
	c.Conn.Close()
	if n, err := c.Write(body); n != 0 || err == nil {
		t.Errorf("%d bytes written to a closed connection: %v", n, err)
	}
}
