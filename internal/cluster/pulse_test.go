package cluster

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var pulseSecret = Secret{[]byte(strings.Repeat("s", MinSecret))}

// getFrom asks a node, and reads what it answers.
func getFrom(t *testing.T, p *Peers, addr string) (string, error) {
	t.Helper()
	answer, err := p.Get(t.Context(), Node{ID: "home", Addr: addr}, "/hls/file", "", nil, nil)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

// TestPatience: a node that is there may leave requests without an answer for as long as it likes,
// and is asked now and then whether it is; not once for each of them.
func TestPatience(t *testing.T) {
	t.Parallel()
	var pings atomic.Int64
	h := NewHandler("home", pulseSecret, Services{HLS: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(3 * pulseInterval) // it needs that long
		_, _ = io.WriteString(w, "late")
	})}, nil)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == pingPath {
			pings.Add(1)
		}
		h.ServeHTTP(w, r)
	}))
	defer s.Close()
	p := NewPeers("edge", pulseSecret, nil)
	defer p.Close()
	const requests = 20
	got := make(chan error, requests)
	for range requests {
		go func() {
			body, err := getFrom(t, p, s.Listener.Addr().String())
			if err == nil && body != "late" {
				err = errors.New(body)
			}
			got <- err
		}()
	}
	for range requests {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
	if n := pings.Load(); n == 0 || n > requests {
		t.Errorf("the node was asked %d times whether it is there", n)
	}
}

// TestSilence: a node that says nothing any more, at once or in the middle of a file, is given up
// after seconds; who asks next hears of it earlier, and has its answer when the node is back.
func TestSilence(t *testing.T) {
	t.Parallel()
	for what, head := range map[string]string{"at once": "", "in the middle": "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nxx"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			back := make(chan struct{})
			s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-back:
					_, _ = io.WriteString(w, "xxxx")
					return
				default:
				}
				nc, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return
				}
				if r.URL.Path != pingPath {
					_, _ = io.WriteString(nc, head)
				}
				<-back
				_ = nc.Close()
			})}
			go func() { _ = s.Serve(l) }()
			defer s.Close()
			p := NewPeers("edge", pulseSecret, nil)
			defer p.Close()
			addr := l.Addr().String()
			if _, err := getFrom(t, p, addr); !errors.Is(err, ErrUnreachable) {
				t.Errorf("the first answer: %v", err)
			}
			if _, err := getFrom(t, p, addr); !errors.Is(err, ErrUnreachable) {
				t.Errorf("the second one: %v", err)
			}
			close(back)
			if body, err := getFrom(t, p, addr); err != nil || body != "xxxx" {
				t.Errorf("when it is back: %q, %v", body, err)
			}
		})
	}
}
