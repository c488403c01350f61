package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"livego/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secretText = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// receiver is a RoundTripper that stands for receivers: no network, so that time can stand still.
type receiver struct {
	answer func(r *http.Request, body string) (status int, text string, err error)

	mu    sync.Mutex
	calls []string // "time url id"
	begun time.Time
}

func (rc *receiver) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	rc.mu.Lock()
	rc.calls = append(rc.calls, fmt.Sprintf("%v %s %s", time.Since(rc.begun), r.URL.Path, r.Header.Get("Webhook-Id")))
	rc.mu.Unlock()
	status, text, err := rc.answer(r, string(body))
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(text)), Header: http.Header{}}, nil
}

func ok(*http.Request, string) (int, string, error) { return 204, "", nil }

// dispatch emits events to a dispatcher, one after the other, and returns it once the bus is closed
// and all is over.
func dispatch(t *testing.T, rc *receiver, change func(*Options), emit func(*event.Bus, *Dispatcher)) *Dispatcher {
	t.Helper()
	rc.begun = time.Now()
	opt := Options{URLs: []string{"http://a/one"}, Transport: rc}
	if change != nil {
		change(&opt)
	}
	d, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	bus := event.NewBus(event.Options{Boot: "b", Ring: 20_000})
	cursor := bus.Follow()
	var over sync.WaitGroup
	over.Go(func() {
		if err := d.Run(t.Context(), cursor); err != nil {
			t.Error(err)
		}
	})
	emit(bus, d)
	bus.Close()
	over.Wait()
	return d
}

// TestOrder: each receiver gets the events of a stream one by one and in order, also while another
// stream's wait.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := 2
		rc := &receiver{answer: func(r *http.Request, body string) (int, string, error) {
			time.Sleep(100 * time.Millisecond)
			if strings.Contains(body, "live/a") && failing > 0 {
				failing--
				return 500, "", nil
			}
			return 200, "", nil
		}}
		d := dispatch(t, rc, nil, func(b *event.Bus, _ *Dispatcher) {
			b.Emit(event.Event{Type: event.StreamStarted, Stream: "live/a"})
			b.Emit(event.Event{Type: event.StreamStarted, Stream: "live/b"})
			b.Emit(event.Event{Type: event.StreamEnded, Stream: "live/a"})
			b.Emit(event.Event{Type: event.ViewerJoined, Stream: "live/a"}) // nobody asked for it
			time.Sleep(time.Minute)
		})
		want := []string{"0s /one b-0", "0s /one b-1", "1.1s /one b-0", "6.2s /one b-0", "6.3s /one b-2"}
		if len(rc.calls) > 2 && rc.calls[0] > rc.calls[1] {
			rc.calls[0], rc.calls[1] = rc.calls[1], rc.calls[0]
		}
		if diff := cmp.Diff(want, rc.calls); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(Stats{Delivered: 3, Tries: 5}, d.Stats()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestTries: a receiver that never answers well is tried six times, in ever longer intervals.
func TestTries(t *testing.T) {
	for name, answer := range map[string]func(*http.Request, string) (int, string, error){
		"500":      func(*http.Request, string) (int, string, error) { return 500, "", nil },
		"redirect": func(*http.Request, string) (int, string, error) { return 302, "", nil },
		"reset":    func(*http.Request, string) (int, string, error) { return 0, "", syscall.ECONNRESET },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rc := &receiver{answer: answer}
				d := dispatch(t, rc, nil, func(b *event.Bus, _ *Dispatcher) {
					b.Emit(event.Event{Type: event.StreamStarted, Stream: "live/a"})
					time.Sleep(time.Hour)
				})
				want := []string{"0s /one b-0", "1s /one b-0", "6s /one b-0", "36s /one b-0", "2m36s /one b-0", "12m36s /one b-0"}
				if diff := cmp.Diff(want, rc.calls); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(Stats{Failed: 1, Tries: 6}, d.Stats()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TestHangingReceiver is given up after the timeout, and holds up nobody but itself.
func TestHangingReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc := &receiver{answer: func(r *http.Request, _ string) (int, string, error) {
			if r.URL.Path == "/hangs" {
				<-r.Context().Done()
				return 0, "", r.Context().Err()
			}
			return 200, "", nil
		}}
		d := dispatch(t, rc, func(o *Options) { o.URLs = []string{"http://a/hangs", "http://a/one"} }, func(b *event.Bus, _ *Dispatcher) {
			b.Emit(event.Event{Type: event.StreamStarted, Stream: "live/a"})
			b.Emit(event.Event{Type: event.StreamEnded, Stream: "live/a"})
			time.Sleep(1500 * time.Millisecond)
			rc.mu.Lock()
			got := strings.Join(rc.calls, ", ")
			rc.mu.Unlock()
			if !strings.Contains(got, "0s /one b-0") || !strings.Contains(got, "0s /one b-1") || strings.Count(got, "hangs") != 1 {
				t.Errorf("calls so far: %s", got)
			}
			time.Sleep(time.Hour)
		})
		if s := d.Stats(); s.Delivered != 2 || s.Failed != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// TestQueueBound: with more than 10,000 waiting the oldest go, and the end is prompt though nothing
// was delivered.
func TestQueueBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc := &receiver{answer: func(*http.Request, string) (int, string, error) { return 503, "", nil }}
		d := dispatch(t, rc, nil, func(b *event.Bus, d *Dispatcher) {
			for i := range maxQueue + 100 {
				b.Emit(event.Event{Type: event.StreamStarted, Stream: fmt.Sprint("live/", i%10)})
			}
			synctest.Wait()
			if s := d.Stats(); s.Waiting != maxQueue || s.Dropped != 100 {
				t.Errorf("%+v", s)
			}
		})
		s := d.Stats()
		if s.Waiting != 0 || s.Failed+s.Dropped != maxQueue+100 {
			t.Errorf("at the end: %+v", s)
		}
	})
}

// TestSignature: a public library accepts each secret of a rotation, and no other.
func TestSignature(t *testing.T) {
	old, err := ParseSecret(secretText)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := ParseSecret("a secret of more than twenty-four bytes")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for _, secret := range []Secret{old, fresh} {
			hook, err := webhooks.NewWebhookRaw(secret)
			if err != nil {
				t.Error(err)
				return
			}
			if err := hook.Verify(body, r.Header); err != nil {
				t.Errorf("signature: %v in %v", err, r.Header)
			}
			if err := hook.Verify(append(body, ' '), r.Header); err == nil {
				t.Error("a changed body passes")
			}
			checked++
		}
		stranger, _ := webhooks.NewWebhookRaw([]byte("some other secret of some length"))
		if err := stranger.Verify(body, r.Header); err == nil {
			t.Error("another secret passes")
		}
	}))
	defer srv.Close()
	a, err := NewAsker(srv.URL, []Secret{old, fresh}, 0, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := a.Ask(t.Context(), Question{ID: "q", Type: "publish", Stream: "live/a"}); err != nil || !d.Allow {
		t.Errorf("%+v, %v", d, err)
	}
	a.client.CloseIdleConnections()
	if checked != 2 {
		t.Errorf("%d signatures checked", checked)
	}
}

func TestSecrets(t *testing.T) {
	for _, bad := range []string{"", "short", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"} {
		if _, err := ParseSecret(bad); !errors.Is(err, ErrBadSecret) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	for address, good := range map[string]bool{
		"http://a": true, "https://a:1/b?c": true,
		"": false, "a/b": false, "ftp://a": false, "http://": false, "file:///etc/passwd": false, "http://a b": false,
	} {
		if err := CheckURL(address); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
	if got := Redact("https://user:password@host/path?token=x"); got != "https://host/path" {
		t.Errorf("a log shows %q", got)
	}
}

// TestDecisions: what answers mean.
func TestDecisions(t *testing.T) {
	for _, c := range []struct {
		format Questions
		status int
		body   string
		want   Decision
		bad    bool
	}{
		{plain{}, 200, "", Decision{Allow: true, TTL: time.Minute}, false},
		{plain{}, 204, "", Decision{Allow: true, TTL: time.Minute}, false},
		{plain{}, 200, `{"allow":false,"reason":"not\nyet"}`, Decision{Reason: "not yet", TTL: time.Minute}, false},
		{plain{}, 200, `{"ttl":0.5,"limits":{"rate":6000000,"size":"1280x720","codecs":["H264","AAC"]}}`, Decision{
			Allow: true, TTL: 500 * time.Millisecond, Limits: map[string]string{"rate": "6000000", "size": "1280x720", "codecs": "H264,AAC"},
		}, false},
		{plain{}, 200, `{"limits":{"rate":{"most":1}}}`, Decision{}, true},
		{plain{}, 200, `{"allow":"no"}`, Decision{}, true},
		{plain{}, 200, `"welcome"`, Decision{Allow: true, TTL: time.Minute}, false},
		{plain{}, 200, `{"ttl":1e300}`, Decision{Allow: true, TTL: maxTTL}, false},
		{plain{}, 200, `{"ttl":-5}`, Decision{Allow: true, TTL: time.Minute}, false},
		{plain{}, 200, "<html>welcome</html>", Decision{Allow: true, TTL: time.Minute}, false},
		{plain{}, 403, `{"allow":true,"reason":"no"}`, Decision{Reason: "no", TTL: time.Minute}, false},
		{plain{}, 404, "not found", Decision{TTL: time.Minute}, false},
		{plain{}, 302, "", Decision{}, true},
		{plain{}, 429, "", Decision{}, true},
		{plain{}, 500, "", Decision{}, true},
		{SRS{}, 200, "0", Decision{Allow: true, TTL: time.Minute}, false},
		{SRS{}, 200, `{"code":0,"data":null}`, Decision{Allow: true, TTL: time.Minute}, false},
		{SRS{}, 200, `{"code":0,"limits":{"rate":1}}`, Decision{Allow: true, TTL: time.Minute, Limits: map[string]string{"rate": "1"}}, false},
		{SRS{}, 200, `{"code":0,"limits":7}`, Decision{}, true},
		{SRS{}, 200, `{"code":1}`, Decision{TTL: time.Minute}, false},
		{SRS{}, 200, `1`, Decision{TTL: time.Minute}, false},
		{SRS{}, 200, `ok`, Decision{}, true},
		{SRS{}, 403, ``, Decision{TTL: time.Minute}, false},
		{SRS{}, 502, `0`, Decision{}, true},
	} {
		rc := &receiver{answer: func(*http.Request, string) (int, string, error) { return c.status, c.body, nil }}
		a, err := NewAsker("http://a", nil, 0, c.format, rc)
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Ask(t.Context(), Question{Type: "publish", Stream: "live/a"})
		if errors.Is(err, ErrUnanswered) != c.bad {
			t.Errorf("%T %d %q: %v", c.format, c.status, c.body, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" && !c.bad {
			t.Errorf("%T %d %q: %s", c.format, c.status, c.body, diff)
		}
	}
}

// TestAskRetriesReset: a connection that was idle for too long may be gone, once.
func TestAskRetriesReset(t *testing.T) {
	for _, c := range []struct {
		errs  []error
		calls int
		fails bool
	}{
		{[]error{syscall.ECONNRESET}, 2, false},
		{[]error{io.EOF}, 2, false},
		{[]error{syscall.ECONNRESET, syscall.ECONNRESET}, 2, true},
		{[]error{syscall.ECONNREFUSED}, 1, true},
	} {
		rc := &receiver{answer: ok}
		rc.answer = func(*http.Request, string) (int, string, error) {
			if n := len(rc.calls); n <= len(c.errs) {
				return 0, "", c.errs[n-1]
			}
			return 200, "", nil
		}
		a, err := NewAsker("http://a", nil, 0, nil, rc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = a.Ask(t.Context(), Question{}); (err != nil) != c.fails || len(rc.calls) != c.calls {
			t.Errorf("%v: %v after %d calls", c.errs, err, len(rc.calls))
		}
	}
}

// TestHugeAnswer: nothing of an answer that never ends is kept.
func TestHugeAnswer(t *testing.T) {
	sent := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for piece := make([]byte, 1<<20); sent < 1<<30; sent += len(piece) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}))
	a, err := NewAsker(srv.URL, nil, 0, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Ask(t.Context(), Question{}); !errors.Is(err, ErrUnanswered) {
		t.Errorf("a huge answer: %v", err)
	}
	a.client.CloseIdleConnections()
	srv.Close()
	if sent > 1<<29 {
		t.Errorf("%d bytes were taken", sent)
	}
}

// TestLogsHaveNoSecrets: a receiver's password and token are not in the log, whatever fails, and
// the log is told once a minute.
func TestLogsHaveNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs bytes.Buffer
		rc := &receiver{answer: func(r *http.Request, _ string) (int, string, error) {
			return 0, "", fmt.Errorf("dial: refused")
		}}
		dispatch(t, rc, func(o *Options) {
			o.URLs = []string{"http://user:password@a/one?token=secret"}
			o.Log = slog.New(slog.NewTextHandler(&logs, nil))
		}, func(b *event.Bus, _ *Dispatcher) {
			for i := range 100 {
				b.Emit(event.Event{Type: event.StreamStarted, Stream: fmt.Sprint("live/", i)})
			}
			time.Sleep(50 * time.Second)
		})
		if strings.Contains(logs.String(), "password") || strings.Contains(logs.String(), "secret") {
			t.Errorf("log: %s", &logs)
		}
		if n := strings.Count(logs.String(), "\n"); n != 1 {
			t.Errorf("%d lines of log: %s", n, &logs)
		}
	})
}

// TestStopsWithContext: the end of ctx ends everything at once.
func TestStopsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc := &receiver{answer: func(r *http.Request, _ string) (int, string, error) {
			<-r.Context().Done()
			return 0, "", r.Context().Err()
		}}
		d, err := New(Options{URLs: []string{"http://a"}, Transport: rc, Timeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		bus := event.NewBus(event.Options{})
		cursor := bus.Follow()
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx, cursor) }()
		for i := range 100 {
			bus.Emit(event.Event{Type: event.StreamStarted, Stream: fmt.Sprint(i)})
		}
		synctest.Wait()
		cancel(gone)
		if err := <-ended; !errors.Is(err, gone) {
			t.Errorf("Run returns %v", err)
		}
	})
}

func TestSRS(t *testing.T) {
	e := event.Event{Node: "n", Type: event.StreamStarted, Stream: "live/a/b", Session: &event.Session{ID: "s", Remote: "[::1]:5"}}
	want := `{"server_id":"n","action":"on_publish","client_id":"s","ip":"::1","vhost":"__defaultVhost__","app":"live",` +
		`"tcUrl":"rtmp://__defaultVhost__/live","stream":"a/b","param":"","stream_url":"/live/a/b","stream_id":"live/a/b"}`
	if diff := cmp.Diff(want, string(SRS{}.Body(&e))); diff != "" {
		t.Error(diff)
	}
	e.Type = event.KeyChanged
	if body := (SRS{}).Body(&e); body != nil {
		t.Errorf("SRS does not know %s", body)
	}
}
