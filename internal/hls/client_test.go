package hls

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gohlslib/v2"
	gohlscodecs "github.com/bluenviron/gohlslib/v2/pkg/codecs"

	"livego/internal/hls/hlstest"
)

// transport answers a client's requests without a network.
type transport struct{ s *Server }

func (tr transport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	tr.s.ServeHTTP(w, r)
	res := w.Result()
	res.Request = r
	return res, nil
}

// TestClient plays a stream with a real HLS client and compares access units out with those in.
func TestClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		st := goOnAir(t, s)
		st.r.feed <- st.enc.Headers()
		want := st.enc.Play(30000)
		var got hlstest.Demuxed
		c := &gohlslib.Client{
			URI: "http://tv.example/live/movie.m3u8", StartDistance: 3,
			HTTPClient:               &http.Client{Transport: transport{s}},
			OnDownloadSegment:        func(string) {},
			OnDownloadStreamPlaylist: func(string) {}, OnDownloadPrimaryPlaylist: func(string) {},
			OnDecodeError: func(err error) { t.Error(err) },
		}
		var mu sync.Mutex
		c.OnTracks = func(tracks []*gohlslib.Track) error {
			for _, track := range tracks {
				switch track.Codec.(type) {
				case *gohlscodecs.H264:
					c.OnDataH26x(track, func(_, _ int64, au [][]byte) {
						mu.Lock()
						defer mu.Unlock()
						got.Video = append(got.Video, string(au[len(au)-1]))
					})
				case *gohlscodecs.MPEG4Audio:
					c.OnDataMPEG4Audio(track, func(_ int64, aus [][]byte) {
						mu.Lock()
						defer mu.Unlock()
						for _, au := range aus {
							got.Audio = append(got.Audio, string(au))
						}
					})
				}
			}
			return nil
		}
		st.r.feed <- want[:len(want)/2]
		synctest.Wait()
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		// What arrives in real time from now on.
		for rest := want[len(want)/2:]; len(rest) > 0; {
			n := min(64, len(rest))
			st.r.feed <- rest[:n]
			time.Sleep(rest[n-1].DTS - rest[0].DTS)
			rest = rest[n:]
		}
		st.end(io.EOF)
		if err := c.Wait2(); !errors.Is(err, gohlslib.ErrClientEOS) {
			t.Errorf("client: %v", err)
		}
		all := hlstest.Contents(want)
		mu.Lock()
		defer mu.Unlock()
		// The client begins with the oldest listed segment.
		if n := len(all.Video) - len(got.Video); n < 0 || len(got.Video) < 500 || strings.Join(all.Video[n:], "|") != strings.Join(got.Video, "|") {
			t.Errorf("%d pictures of %d differ", len(got.Video), len(all.Video))
		}
		if n := len(all.Audio) - len(got.Audio); n < 0 || len(got.Audio) < 700 || strings.Join(all.Audio[n:], "|") != strings.Join(got.Audio, "|") {
			t.Errorf("%d audio frames of %d differ", len(got.Audio), len(all.Audio))
		}
	})
}
