package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"livego/internal/cluster"
	"livego/internal/flv"
)

// TestNodeThatLies: whatever a node answers that the registry names as a stream's home, others give
// their viewers an answer, take no more memory than their limits, and go on with their own streams.
func TestNodeThatLies(t *testing.T) {
	t.Parallel()
	flvHead := string(flv.AppendFileHeader(nil, true, true))
	ok := "HTTP/1.1 200 OK\r\nLivego-Token: 9000000000000000\r\n\r\n"
	begins := map[string]bool{"an older claim": true, "text": true, "a body without end": true, "a tag of 16 MiB": true} // as a stream does
	for what, lie := range map[string]func(w io.Writer){
		"nothing": func(io.Writer) {},
		"no HTTP": func(w io.Writer) { fmt.Fprint(w, "220 smtp\r\n") },
		"a head without end": func(w io.Writer) {
			for i := 0; say(w, fmt.Sprintf("X-%d: %s\r\n", i, strings.Repeat("x", 1000))); i++ {
			}
		},
		"not here": func(w io.Writer) {
			fmt.Fprint(w, "HTTP/1.1 404 Not Found\r\nLivego-Home: 127.0.0.1:1\r\nContent-Length: 0\r\n\r\n")
		},
		"elsewhere": func(w io.Writer) {
			fmt.Fprint(w, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
		},
		"text":               func(w io.Writer) { fmt.Fprint(w, ok, strings.Repeat("no media ", 1000)) },
		"a tag of 16 MiB":    func(w io.Writer) { fmt.Fprint(w, ok, flvHead, "\x09\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00") },
		"an older claim":     func(w io.Writer) { fmt.Fprint(w, "HTTP/1.1 200 OK\r\nLivego-Token: -5\r\n\r\n", flvHead) },
		"a circle":           func(w io.Writer) { fmt.Fprint(w, "HTTP/1.1 200 OK\r\nLivego-Path: x, a, y\r\n\r\n", flvHead) },
		"a body without end": func(w io.Writer) { fmt.Fprint(w, "HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000\r\n\r\n") },
		"a file without name": func(w io.Writer) {
			fmt.Fprint(w, "HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\nSet-Cookie: a=b\r\n\r\nx")
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			g, tags := startGroup(t, 1), clip(t)
			a := g.nodes[0]
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			go func() {
				for {
					nc, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer nc.Close()
						if _, err := http.ReadRequest(bufio.NewReader(nc)); err == nil {
							lie(nc)
						}
					}()
				}
			}()
			liar := cluster.Node{ID: "liar", Addr: l.Addr().String()}
			registerNode(t, g.registry, liar)
			liar.Boot, liar.State = "boot", cluster.Ready
			if _, err := g.registry.Claim(t.Context(), "live/lie", liar); err != nil {
				t.Fatal(err)
			}
			publish(t, a, "movie").send(tags[:4]...)
			if got := call(t, http.MethodHead, a.url("http", "http-flv", "/live/lie.flv")); got.status != http.StatusNotFound && got.status != http.StatusServiceUnavailable && !begins[what] {
				t.Errorf("FLV: %d", got.status)
			}
			got := call(t, http.MethodHead, a.url("http", "hls", "/live/lie.m3u8"))
			if got.header.Get("Set-Cookie") != "" || strings.Contains(got.body+fmt.Sprint(got.header), l.Addr().String()) {
				t.Errorf("HLS: %+v", got)
			}
			watchFLV(t, a, "movie").await(t, tags[3])
		})
	}
}

func say(w io.Writer, text string) bool {
	_, err := io.WriteString(w, text)
	return err == nil
}
