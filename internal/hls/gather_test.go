package hls

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

// gathering is a connection that holds its user to the contract of a Gatherer, and counts what it sends.
type gathering struct {
	net.Conn
	t     *testing.T
	asked bool
	kept  []byte
	sent  chan int
}

func (g *gathering) Gather() {
	if g.asked || g.kept != nil {
		g.t.Error("asked again before the second write")
	}
	g.asked = true
}

func (g *gathering) Write(p []byte) (int, error) {
	if g.asked {
		g.asked, g.kept = false, bytes.Clone(p)
		return len(p), nil
	}
	whole := append(g.kept, p...)
	g.kept = nil
	g.sent <- len(whole)
	_, err := g.Conn.Write(whole)
	return len(p), err
}

type gatheringListener struct {
	net.Listener
	t    *testing.T
	sent chan int
}

func (l gatheringListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &gathering{Conn: c, t: l.t, sent: l.sent}, err
}

// Responses of all sizes arrive whole, one after the other on a connection, and each of one piece is sent at once.
func TestGather(t *testing.T) {
	sent := make(chan int, 100)
	body := bytes.Repeat([]byte("0123456789"), 10_000)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil {
			t.Error(err)
		}
		f := newFile(document{{data: body[:size]}}, "x")
		f.write(w, r)
	}))
	server.Listener = gatheringListener{server.Listener, t, sent}
	server.Config.ConnContext = ConnContext
	server.Start()
	defer server.Close()
	for _, size := range []int{0, 1, 3000, 3900, headBuffer - 1, headBuffer, headBuffer + 1, 2*headBuffer - 200, 2 * headBuffer, 3 * headBuffer, len(body)} {
		for _, request := range []struct{ method, header string }{{"GET", ""}, {"HEAD", ""}, {"GET", "bytes=0-"}, {"GET", "bytes=1-2"}} {
			got, length := fetchOne(t, server, request.method, "/"+strconv.Itoa(size), request.header)
			writes := len(sent)
			for range writes {
				<-sent
			}
			switch whole := request.header == "" && request.method == "GET"; {
			case whole && !bytes.Equal(got, body[:size]):
				t.Errorf("%d bytes: %d came", size, len(got))
			case whole && writes > 1 && size >= headBuffer:
				t.Errorf("%d bytes: %d writes", size, writes)
			case request.method == "HEAD" && length != int64(size):
				t.Errorf("HEAD of %d bytes says %d", size, length)
			}
		}
	}
}

// fetchOne returns the body and the length that the header tells.
func fetchOne(t *testing.T, server *httptest.Server, method, path, ranges string) ([]byte, int64) {
	t.Helper()
	r, err := http.NewRequest(method, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ranges != "" {
		r.Header.Set("Range", ranges)
	}
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got, answer.ContentLength
}
