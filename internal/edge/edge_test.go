package edge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"livego/internal/http1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// origin makes files that say how often they were asked for.
type origin struct {
	asked  atomic.Int64
	delay  time.Duration
	header http.Header
	status int
	size   int
	err    error
}

func (o *origin) fetch(ctx context.Context, f File, _ []string) (*http.Response, error) {
	n := o.asked.Add(1)
	select {
	case <-time.After(o.delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if o.err != nil {
		return nil, o.err
	}
	body := fmt.Sprintf("%s %v %d", f.Path, f.Gzip, n) + strings.Repeat(".", o.size)
	return &http.Response{
		StatusCode: cmp.Or(o.status, 200), Header: o.header.Clone(), Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

func newCache(o *origin, most int64) *Cache {
	return New(o.fetch, most, http1.NewHolds(1<<15, time.Minute))
}

func get(t *testing.T, c *Cache, f File, header ...string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	err := c.Serve(w, r, f, nil)
	return w, err
}

func control(value string) http.Header { return http.Header{"Cache-Control": {value}} }

// TestOnce: a thousand who ask at once get what was fetched once, and what may be kept is kept for
// as long, with its age.
func TestOnce(t *testing.T) {
	for _, c := range []struct {
		control string
		after   time.Duration
		asked   int64 // in all
		age     string
	}{
		{"max-age=10", 9 * time.Second, 1, "9"},
		{"max-age=10", 10 * time.Second, 2, ""},
		{"public, max-age=31536000, immutable", time.Hour, 1, "3600"},
		{"no-store", 0, 2, ""},
		{"no-cache", 0, 2, ""},
		{"private, max-age=10", 0, 2, ""},
		{"", 0, 2, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := &origin{delay: time.Second, header: control(c.control)}
			cache := newCache(o, 0)
			defer cache.Close()
			f := File{Stream: "live/a", Path: "/live/a/v/1.m4s"}
			var asking sync.WaitGroup
			for range 1000 {
				asking.Go(func() {
					if w, err := get(t, cache, f); err != nil || w.Body.String() != "/live/a/v/1.m4s false 1" {
						t.Errorf("%v, %q", err, w.Body)
					}
				})
			}
			asking.Wait()
			time.Sleep(c.after)
			w, err := get(t, cache, f)
			if err != nil || o.asked.Load() != c.asked || w.Header().Get("Age") != c.age {
				t.Errorf("%q: %v, asked %d times, age %q", c.control, err, o.asked.Load(), w.Header().Get("Age"))
			}
		})
	}
}

// TestAgeOfTheOrigin counts too.
func TestAgeOfTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{header: http.Header{"Cache-Control": {"max-age=10"}, "Age": {"8"}}}
		cache := newCache(o, 0)
		defer cache.Close()
		for range 2 {
			if w, err := get(t, cache, File{}); err != nil || w.Header().Get("Age") != "8" {
				t.Errorf("%v, %q", err, w.Header())
			}
		}
		time.Sleep(2 * time.Second)
		if _, _ = get(t, cache, File{}); o.asked.Load() != 2 {
			t.Errorf("asked %d times", o.asked.Load())
		}
	})
}

// TestBounds: the files used longest ago go, and no stream takes all of what may be asked for.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{delay: time.Second, header: control("max-age=100"), size: 1 << 20}
		cache := newCache(o, 10<<20)
		defer cache.Close()
		for i := range 20 {
			_, _ = get(t, cache, File{Path: fmt.Sprint(i)})
		}
		if s := cache.Stats(); s.Bytes > 10<<20 || s.Files != 9 {
			t.Errorf("%+v", s)
		}
		var asking sync.WaitGroup
		var busy atomic.Int64
		for i := range maxPerStream + 10 {
			asking.Go(func() {
				if _, err := get(t, cache, File{Stream: "live/a", Path: fmt.Sprint("a", i)}); errors.Is(err, ErrBusy) {
					busy.Add(1)
				}
			})
		}
		synctest.Wait()
		if _, err := get(t, cache, File{Stream: "live/b", Path: "b"}); err != nil {
			t.Errorf("another stream: %v", err)
		}
		asking.Wait()
		if busy.Load() != 10 {
			t.Errorf("%d of %d were refused", busy.Load(), maxPerStream+10)
		}
	})
}

// TestNobodyWaits: what nobody waits for any more is not fetched to its end, and who comes then
// does not get its error.
func TestNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{delay: time.Second}
		cache := newCache(o, 0)
		defer cache.Close()
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			left <- cache.Serve(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil), File{}, nil)
		}()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if _, err := get(t, cache, File{}); err != nil || o.asked.Load() != 2 {
			t.Errorf("%v, asked %d times", err, o.asked.Load())
		}
	})
}

// TestLargeFiles pass through, and are not kept.
func TestLargeFiles(t *testing.T) {
	o := &origin{header: control("max-age=100"), size: maxBody}
	cache := newCache(o, 0)
	defer cache.Close()
	w, err := get(t, cache, File{Path: "large"})
	if err != nil || w.Body.Len() < maxBody || w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) || cache.Stats().Files != 0 {
		t.Errorf("%v, %d bytes, %v, %+v", err, w.Body.Len(), w.Header(), cache.Stats())
	}
}

// TestParts: ranges, conditions and answers that are no files.
func TestParts(t *testing.T) {
	o := &origin{header: http.Header{"Cache-Control": {"max-age=100"}, "Etag": {`"1"`}, "Connection": {"close"}, "Accept-Ranges": {"bytes"}, "Content-Type": {"video/mp4"}}}
	cache := newCache(o, 0)
	defer cache.Close()
	for _, c := range []struct {
		header []string
		status int
		body   string
	}{
		{nil, 200, "f false 1"},
		{[]string{"Range", "bytes=2-6"}, 206, "false"},
		{[]string{"Range", "bytes=100-"}, 416, "invalid range: failed to overlap\n"},
		{[]string{"If-None-Match", `"1"`}, 304, ""},
		{[]string{"If-None-Match", `"2"`}, 200, "f false 1"},
	} {
		w, err := get(t, cache, File{Path: "f"}, c.header...)
		if err != nil || w.Code != c.status || w.Body.String() != c.body || w.Header().Get("Connection") != "" {
			t.Errorf("%v: %v, %d, %q, %v", c.header, err, w.Code, w.Body, w.Header())
		}
		if c.status == 416 && w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("a refusal may be kept: %v", w.Header())
		}
	}
	gone := &origin{status: 404, header: control("no-store")}
	cache = newCache(gone, 0)
	defer cache.Close()
	if w, err := get(t, cache, File{Path: "f"}, "Range", "bytes=0-1"); err != nil || w.Code != 404 {
		t.Errorf("%v, %d", err, w.Code)
	}
	away := &origin{err: io.ErrUnexpectedEOF}
	cache = newCache(away, 0)
	defer cache.Close()
	if w, err := get(t, cache, File{Path: "f"}); !errors.Is(err, io.ErrUnexpectedEOF) || w.Body.Len() > 0 {
		t.Errorf("%v, %q", err, w.Body)
	}
}

// TestHead: HEAD is answered with what is kept of a file, and with nothing of its body.
func TestHead(t *testing.T) {
	o := &origin{header: http.Header{"Cache-Control": {"max-age=100"}, "Accept-Ranges": {"bytes"}, "Content-Type": {"video/mp4"}}}
	cache := newCache(o, 0)
	defer cache.Close()
	whole, err := get(t, cache, File{Path: "f"})
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range [][2]string{{"", ""}, {"Range", "bytes=0-3"}} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/", nil)
		length := whole.Body.Len()
		if header[0] != "" {
			r.Header.Set(header[0], header[1])
			length = 4
		}
		w := httptest.NewRecorder()
		if err := cache.Serve(w, r, File{Path: "f"}, nil); err != nil {
			t.Fatal(err)
		}
		if w.Body.Len() > 0 || w.Header().Get("Content-Length") != fmt.Sprint(length) || w.Header().Get("Content-Type") != "video/mp4" || o.asked.Load() != 1 {
			t.Errorf("%v: %d bytes, %v, asked %d times", header, w.Body.Len(), w.Header(), o.asked.Load())
		}
	}
}

// TestBoundOfAll: no more is asked for at a time than may be, of however many streams, also when
// those who wanted it are gone; what is asked for already serves more.
func TestBoundOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{delay: time.Second, header: control("no-store")}
		cache := newCache(o, 0)
		defer cache.Close()
		var asking sync.WaitGroup
		for i := range maxFetches {
			asking.Go(func() {
				if _, err := get(t, cache, File{Stream: fmt.Sprint(i / maxPerStream), Path: fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if _, err := get(t, cache, File{Stream: "one more", Path: "one more"}); !errors.Is(err, ErrBusy) {
			t.Errorf("one more: %v", err)
		}
		if _, err := get(t, cache, File{Stream: "0", Path: "0"}); err != nil || o.asked.Load() != maxFetches {
			t.Errorf("the same again: %v, asked %d times", err, o.asked.Load())
		}
		asking.Wait()
		if _, err := get(t, cache, File{Stream: "one more", Path: "one more"}); err != nil {
			t.Errorf("one more, later: %v", err)
		}
		if cache.asking != 0 || len(cache.streams) != 0 {
			t.Errorf("%d are under way, of %d streams", cache.asking, len(cache.streams))
		}
	})
}

// TestWrongAnswers: what is no answer to a whole file is none, and headers that belong to a
// connection or to nobody knows what do not pass.
func TestWrongAnswers(t *testing.T) {
	for _, c := range []struct {
		status   int
		location string
		ok       bool
	}{
		{200, "", true}, {404, "", true}, {503, "", true}, {302, "movie/index.m3u8", true}, {302, "http://h/", false}, {302, "//h/", false}, {302, "", false},
		{206, "", false}, {304, "", false}, {301, "a", false}, {101, "", false}, {600, "", false},
	} {
		o := &origin{status: c.status, header: http.Header{"Set-Cookie": {"a=b"}, "Content-Type": {"video/mp4"}, "X-Powered-By": {"x"}}}
		if c.location != "" {
			o.header.Set("Location", c.location)
		}
		cache := newCache(o, 0)
		w, err := get(t, cache, File{Path: "f"})
		cache.Close()
		if (err == nil) != c.ok {
			t.Errorf("%d to %q: %v", c.status, c.location, err)
		}
		if c.ok && (w.Code != c.status || w.Header().Get("Set-Cookie")+w.Header().Get("X-Powered-By") != "" || w.Header().Get("Content-Type") != "video/mp4") {
			t.Errorf("%d: %d %v", c.status, w.Code, w.Header())
		}
	}
}
