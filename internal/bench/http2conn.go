package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
)

// http2Client is the HTTP/2 connection of one player, which all its requests share, as in a
// browser.
func (n *network) http2Client(u *url.URL, bytes *atomic.Uint64) *http.Client {
	config := n.client(u.Hostname()).Clone()
	config.NextProtos = []string{"h2"}
	return &http.Client{
		Transport: &http.Transport{
			ForceAttemptHTTP2: true,
			TLSClientConfig:   config,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return (&opener{network: n, bytes: bytes}).dial(ctx, network, addr)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// reply is what came of a request over HTTP/2, up to the content.
type reply struct {
	*http.Response
	err error
}

// request2 is request over HTTP/2.
func (c *httpConn) request2(ctx context.Context, u *url.URL) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	c.asked = u
	c.reply = make(chan reply, 1)
	go func() {
		response, err := c.two.Do(r)
		c.reply <- reply{response, err}
	}()
	return nil
}

// answer2 is answer over HTTP/2.
func (c *httpConn) answer2(body *bytes.Buffer, limit int64) (*answer, error) {
	r := <-c.reply
	if r.err != nil {
		return nil, r.err
	}
	defer r.Body.Close()
	n, err := copyTo(body, io.LimitReader(r.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", c.asked.Path, err)
	case n > limit:
		return nil, fmt.Errorf("%s: more than %d bytes", c.asked.Path, limit)
	}
	return &answer{status: r.StatusCode, location: r.Header.Get("Location"), length: n}, nil
}
