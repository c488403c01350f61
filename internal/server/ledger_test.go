package server

import (
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"livego/internal/ledger"
)

// numbersOf returns the first and the last number of a playlist's segments that are not gaps.
func numbersOf(t *testing.T, text string) (first, last int) {
	t.Helper()
	uris := segmentsOf(text)
	for n, uri := range map[*int]string{&first: uris[0], &last: uris[len(uris)-1]} {
		var err error
		if *n, err = strconv.Atoi(strings.TrimSuffix(path.Base(uri), path.Ext(uri))); err != nil {
			t.Fatal(err)
		}
	}
	return first, last
}

// noted returns what is in the ledger as soon as it has a number after one of MPEG-TS: it is
// written beside the playlists.
func noted(t *testing.T, file string, number int64) (data []byte) {
	copied := filepath.Join(t.TempDir(), "copy")
	eventually(t, "the ledger has the last number", func() bool {
		var err error
		if data, err = os.ReadFile(file); err == nil {
			err = os.WriteFile(copied, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		l := ledger.Open(ledger.Options{Path: copied})
		defer l.Close(t.Context())
		_, last, _ := l.Begin("live/movie")
		return last.Next > number
	})
	return data
}

// TestNumbersGoOn: the segments of a stream have the next numbers after the server ended, or was
// killed.
func TestNumbersGoOn(t *testing.T) {
	file, tags := filepath.Join(t.TempDir(), "hls.ledger"), clip(t)
	// Of CMAF, one segment was under way, and one may have been complete that was not listed as
	// such yet.
	most := map[string]int{"/live/movie.m3u8": 1, "/live/movie/index-v0.m3u8": 3}
	last := map[string]int{}
	for life, killed := range []bool{false, true, false, true} {
		s := start(t, func(o *Options) { o.HLSLedger, o.HLS.SegmentDuration = file, 500*time.Millisecond })
		publish(t, s, "movie").send(tags...)
		for name, most := range most {
			var text string
			eventually(t, "the clip is packaged", func() bool {
				text = call(t, "GET", s.url("http", "hls", name)).body
				return len(segmentsOf(text)) >= 3
			})
			first, end := numbersOf(t, text)
			if jump := first - last[name]; life > 0 && (jump < 1 || jump > most) {
				t.Errorf("life %d of %s begins with %d after %d", life, name, first, last[name])
			}
			last[name] = end
		}
		left := noted(t, file, int64(last["/live/movie.m3u8"]))
		err := s.stop()
		if err == nil && killed {
			err = os.WriteFile(file, left, 0o600) // as a killed process leaves it
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
