package e2e

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bluenviron/gohlslib/v2"
	"github.com/bluenviron/gohlslib/v2/pkg/codecs"
)

// TestLLHLSGohlslib reads Low-Latency HLS with the client of gohlslib, which fetches nothing but
// hinted parts and gives a track up for the first one that does not come. It refuses multivariant
// playlists with other codecs than H.264, HEVC and AAC, so that it gets their media playlists.
func TestLLHLSGohlslib(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		clip, list string
		codecs     []string
	}{
		{"h264-aac-b", "index", []string{"*codecs.H264", "*codecs.MPEG4Audio"}},
		{"hevc-aac", "index", []string{"*codecs.H265", "*codecs.MPEG4Audio"}},
		{"av1-opus", "index-v0", []string{"*codecs.AV1"}},
		{"av1-opus", "index-a0", []string{"*codecs.Opus"}},
		{"vp9-flac", "index-v0", []string{"*codecs.VP9"}},
	} {
		t.Run(test.clip+" "+test.list, func(t *testing.T) {
			t.Parallel()
			s, room := shared(t), roomOf(t)
			publish(t, s, s.key(t, room), wrap(t, clip(t, test.clip, 5, "mp4"), wrapping{}), pacing{loop: true})
			s.waitOnAir(t, room)
			waitIndex(t, s, room)
			got := readWithGohlslib(t, strings.Replace(s.indexURL(room), "index.m3u8", test.list+".m3u8", 1))
			for _, codec := range test.codecs {
				if got.frames[codec] == nil {
					t.Fatalf("it finds no %s: %v", codec, got.frames)
				}
				if !waitUntil(slack*20*time.Second, func() bool { return got.frames[codec].Load() > 100 }) {
					t.Errorf("%d frames of %s came", got.frames[codec].Load(), codec)
				}
			}
			if parts := got.parts.Load(); parts < 3 {
				t.Errorf("it fetched %d parts", parts)
			}
			if problem := got.problem.Load(); problem != nil {
				t.Errorf("it says: %v", *problem)
			}
		})
	}
}

// libraryReader counts what a client of gohlslib gets.
type libraryReader struct {
	frames  map[string]*atomic.Int64 // by codec
	parts   atomic.Int64
	problem atomic.Pointer[string]
}

// readWithGohlslib begins to read and returns when the tracks are known.
func readWithGohlslib(t testing.TB, address string) *libraryReader {
	t.Helper()
	reader, ready := &libraryReader{frames: map[string]*atomic.Int64{}}, make(chan struct{})
	var last atomic.Pointer[string]
	quiet := func(address string) { last.Store(&address) }
	client := &gohlslib.Client{
		URI: address, OnDownloadPrimaryPlaylist: quiet, OnDownloadStreamPlaylist: quiet, OnDownloadSegment: quiet,
		OnDownloadPart: func(address string) { quiet(address); reader.parts.Add(1) },
		OnDecodeError:  func(err error) { text := err.Error(); reader.problem.Store(&text) },
	}
	client.OnTracks = func(tracks []*gohlslib.Track) error {
		for _, track := range tracks {
			count := &atomic.Int64{}
			reader.frames[fmt.Sprintf("%T", track.Codec)] = count
			reader.listen(client, track, count)
		}
		close(ready)
		return nil
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	ended := make(chan error, 1)
	go func() { ended <- client.Wait2() }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("gohlslib ends: %v after %s", err, *last.Load())
	case <-time.After(20 * time.Second):
		t.Fatal("gohlslib finds no tracks")
	}
	return reader
}

// listen counts the access units of a track.
func (r *libraryReader) listen(client *gohlslib.Client, track *gohlslib.Track, count *atomic.Int64) {
	several := func(_ int64, units [][]byte) { count.Add(int64(len(units))) }
	one := func(int64, []byte) { count.Add(1) }
	switch track.Codec.(type) {
	case *codecs.H264, *codecs.H265:
		client.OnDataH26x(track, func(_, _ int64, _ [][]byte) { count.Add(1) })
	case *codecs.AV1:
		client.OnDataAV1(track, func(int64, [][]byte) { count.Add(1) })
	case *codecs.VP9:
		client.OnDataVP9(track, one)
	case *codecs.MPEG4Audio:
		client.OnDataMPEG4Audio(track, several)
	case *codecs.Opus:
		client.OnDataOpus(track, several)
	case *codecs.FLAC:
		client.OnDataFLAC(track, one)
	}
}
