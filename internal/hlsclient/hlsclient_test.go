package hlsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"livego/internal/flv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is an HLS server.
type site struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string]string
	asked []string
}

func serve(t *testing.T, files map[string]string) *site {
	t.Helper()
	s := &site{files: files}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, r.URL.Path)
		text, ok := s.files[r.URL.Path]
		if to, moved := strings.CutPrefix(text, "-> "); moved {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) open(t *testing.T, path string) (*Client, error) {
	t.Helper()
	c, err := Open(t.Context(), Options{URL: s.URL + path, Body: flv.AppendBody})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

const head = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"

// TestRefusedPlaylists: what cannot be played is said at the beginning, and why.
func TestRefusedPlaylists(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	secret := "http://" + inner.Addr().String() + "/secret.ts"
	s := serve(t, map[string]string{
		"/text.m3u8":      "hello",
		"/target.m3u8":    "#EXTM3U\n#EXTINF:1,\na.ts\n",
		"/endless.m3u8":   "#EXTM3U\n#EXT-X-TARGETDURATION:1e9\n#EXTINF:1,\na.ts\n",
		"/locked.m3u8":    head + "#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n#EXTINF:1,\na.ts\n",
		"/large.m3u8":     head + strings.Repeat("#\n", maxPlaylist),
		"/nothing.m3u8":   head + "#EXTINF:1,\nnothing.ts\n",
		"/file.m3u8":      head + "#EXTINF:1,\nfile:///etc/passwd\n",
		"/inner.m3u8":     head + "#EXTINF:1,\n" + secret + "\n",
		"/variant.m3u8":   "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n" + secret + "\n",
		"/elsewhere.m3u8": "-> " + secret,
		"/round.m3u8":     "-> /round.m3u8",
		"/garbage.m3u8":   head + "#EXTINF:1,\ngarbage.ts\n",
		"/garbage.ts":     strings.Repeat("garbage ", 1000),
		"/cmaf.m3u8":      head + "#EXT-X-MAP:URI=\"garbage.ts\"\n#EXTINF:1,\ngarbage.ts\n",
		"/over.m3u8":      head + "#EXT-X-ENDLIST\n",
	})
	for path, want := range map[string]error{
		"/text.m3u8": ErrNotHLS, "/target.m3u8": ErrNotHLS, "/endless.m3u8": ErrNotHLS, "/locked.m3u8": ErrEncrypted, "/large.m3u8": ErrTooLarge,
		"/file.m3u8": ErrNotHLS, "/inner.m3u8": ErrForbidden, "/variant.m3u8": ErrForbidden, "/elsewhere.m3u8": ErrForbidden,
		"/garbage.m3u8": ErrNotHLS, "/cmaf.m3u8": ErrNotHLS, "/over.m3u8": io.EOF,
	} {
		if _, err := s.open(t, path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	for path, want := range map[string]string{"/none.m3u8": "404", "/nothing.m3u8": "404", "/round.m3u8": "redirects"} {
		if _, err := s.open(t, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if err := inner.(*net.TCPListener).SetDeadline(time.Now()); err == nil {
		if c, err := inner.Accept(); err == nil {
			c.Close()
			t.Error("a playlist led to a service of this machine")
		}
	}
}

func TestPublicAddresses(t *testing.T) {
	for addr, want := range map[string]bool{
		"192.0.2.1": true, "2001:db8::1": true, "127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "::1": false, "fe80::1": false, "fd00::1": false, "224.0.0.1": false, "64:ff9b::7f00:1": false, "::": false,
	} {
		if got := isPublic(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: public %t", addr, got)
		}
	}
}

func TestParsePlaylist(t *testing.T) {
	list, err := parsePlaylist([]byte(head + `#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:2
#EXT-X-MAP:URI="init,1.mp4",BYTERANGE="100@5"
#EXTINF:0.96,a title
a.mp4
#EXT-X-DISCONTINUITY
#EXT-X-MAP:BYTERANGE=1@0,URI="b.mp4"
#EXTINF:1.04
#EXT-X-BYTERANGE:10@20
b.mp4
#EXTINF:1,
#EXT-X-BYTERANGE:5
b.mp4
#EXT-X-GAP
#EXTINF:1,
gap.mp4
#EXT-X-ENDLIST
`))
	if err != nil || !list.over || list.target != time.Second || len(list.segments) != 4 {
		t.Fatalf("%+v, %v", list, err)
	}
	b := section{"b.mp4", byteRange{0, 1}}
	for i, want := range []segment{
		{"a.mp4", byteRange{}, section{"init,1.mp4", byteRange{5, 100}}, 7, 2, 960 * time.Millisecond, false},
		{"b.mp4", byteRange{20, 10}, b, 8, 3, 1040 * time.Millisecond, false},
		{"b.mp4", byteRange{30, 5}, b, 9, 3, time.Second, false},
		{"gap.mp4", byteRange{}, b, 10, 3, time.Second, true},
	} {
		if got := list.segments[i]; got != want {
			t.Errorf("segment %d: %+v, want %+v", i, got, want)
		}
	}
}

// TestPosition: playing begins three target durations before the end, goes on with the next
// segment, and at the edge again when the list has moved on or begins anew.
func TestPosition(t *testing.T) {
	list := func(first, n uint64) *mediaList {
		l := &mediaList{target: time.Second}
		for i := range n {
			l.segments = append(l.segments, segment{number: first + i, duration: time.Second})
		}
		return l
	}
	ended := list(0, 10)
	ended.over = true
	for _, tc := range []struct {
		next  uint64
		begun bool
		list  *mediaList
		want  int
	}{
		{0, false, list(10, 10), 7}, {0, false, list(10, 2), 0}, {0, false, ended, 0}, {0, false, list(0, 0), 0},
		{15, true, list(10, 10), 5}, {20, true, list(10, 10), 10}, {5, true, list(10, 10), 7}, {500, true, list(10, 10), 7},
	} {
		f := feed{next: tc.next, begun: tc.begun}
		if got := f.position(tc.list); got != tc.want {
			t.Errorf("next %d of %d from %d: %d, want %d", tc.next, len(tc.list.segments), tc.list.segments[0].number, got, tc.want)
		}
	}
}

// TestPace: messages go when they are due; what is late moves the others, another time begins anew.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		begin := time.Now()
		for _, step := range []struct{ at, late, want time.Duration }{
			{100 * time.Second, 0, 0}, {101 * time.Second, 0, time.Second}, {101 * time.Second, 0, time.Second},
			{102 * time.Second, 1500 * time.Millisecond, 2500 * time.Millisecond}, // a little late
			{104 * time.Second, 0, 4 * time.Second},
			{105 * time.Second, 5 * time.Second, 9 * time.Second}, {106 * time.Second, 0, 10 * time.Second}, // much
			{5 * time.Second, 0, 10 * time.Second}, {6 * time.Second, 0, 11 * time.Second}, // another time
		} {
			time.Sleep(step.late)
			if err := p.await(t.Context(), step.at); err != nil || time.Since(begin) != step.want {
				t.Errorf("%v goes after %v, want %v (%v)", step.at, time.Since(begin), step.want, err)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errClosed)
		if err := p.await(ctx, 7*time.Second); !errors.Is(err, errClosed) {
			t.Errorf("of a client that is closed: %v", err)
		}
	})
}

func TestChoose(t *testing.T) {
	from, _ := url.Parse("http://example.org/live/index.m3u8?x=1")
	text := `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="de",URI="de.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,URI="en.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=100,CODECS="avc1.640028,mp4a.40.2",AUDIO="a"
low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=900,CODECS="avc1.640028,mp4a.40.2",AUDIO="a"
high.m3u8
`
	media, sound, err := choose([]byte(text), from)
	if err != nil || fmt.Sprint(media, sound) != "http://example.org/live/high.m3u8 http://example.org/live/en.m3u8" {
		t.Errorf("%v %v %v", media, sound, err)
	}
	if media, _, err := choose([]byte(head), from); media != nil || err != nil {
		t.Errorf("of a media playlist: %v %v", media, err)
	}
}

// FuzzPlaylist: whatever a playlist says, its segments have numbers that rise and a bounded target.
func FuzzPlaylist(f *testing.F) {
	f.Add([]byte(head + "#EXT-X-MAP:URI=\"i\"\n#EXTINF:1,\n#EXT-X-BYTERANGE:5\na\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parsePlaylist(text)
		if err != nil {
			return
		}
		if list.target <= 0 || list.target > maxTarget {
			t.Errorf("target %v", list.target)
		}
		for i, s := range list.segments {
			if i > 0 && s.number != list.segments[i-1].number+1 || s.duration < 0 || len(s.uri) > maxURI {
				t.Errorf("segment %d: %+v", i, s)
			}
		}
	})
}

// FuzzCMAF: no sample reaches beyond its segment, and there are no more than the bound.
func FuzzCMAF(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x08moov"), []byte("\x00\x00\x00\x08moof"))
	f.Fuzz(func(t *testing.T, init, text []byte) {
		c, err := parseInit(init)
		if err != nil {
			return
		}
		units, _ := c.segment(text)
		if len(units) > maxSamples {
			t.Errorf("%d samples", len(units))
		}
	})
}
