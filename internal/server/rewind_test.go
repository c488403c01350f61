package server

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"livego/internal/hls/hlscheck"
	"livego/internal/spool"
)

// withRewinding keeps segments of half a second and more in a folder.
func withRewinding(dir string) func(*Options) {
	return func(o *Options) {
		o.Rewind.Window, o.Rewind.Dir, o.HLS.SegmentDuration = time.Hour, dir, 500*time.Millisecond
	}
}

// checked asks for something and holds the answer against the rules of the standard.
func checked(t *testing.T, c *hlscheck.Checker, address string, header ...string) answer {
	t.Helper()
	asked := time.Now()
	a := call(t, "GET", address, header...)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range c.Add(hlscheck.Response{URL: u.RequestURI(), Asked: asked, At: time.Now(), Status: a.status, Header: a.header, Body: []byte(a.body)}) {
		// The parts that a server had in memory, just before the end, are in no playlist of the
		// next one.
		if !strings.Contains(problem.Text, "the parts of segment") {
			t.Errorf("%v\n%s", problem, a.body)
		}
	}
	return a
}

// segmentsOf returns the URIs of a playlist's segments that are not gaps.
func segmentsOf(text string) (uris []string) {
	gap := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "#EXT-X-GAP":
			gap = true
		case !strings.HasPrefix(line, "#") && !gap:
			uris = append(uris, line)
		case !strings.HasPrefix(line, "#"):
			gap = false
		}
	}
	return uris
}

// TestRewindAfterRestart: a stream's segments can be played after the server was started again and
// the encoder is back.
func TestRewindAfterRestart(t *testing.T) {
	dir, tags := filepath.Join(t.TempDir(), "hls"), clip(t)
	var c hlscheck.Checker
	was := map[string]string{}
	var first []string
	for life := range 3 {
		s := start(t, withRewinding(dir))
		base := s.url("http", "hls", "/live/movie/")
		e := publish(t, s, "movie")
		e.send(tags...)
		// Who asks while the first segment is under way gets a gap before it, which is not kept.
		eventually(t, "parts of four segments", func() bool {
			all := s.hls.Stats()
			return len(all) == 1 && all[0].Parts >= 4*10
		})
		var text string
		eventually(t, "the clip is packaged", func() bool {
			text = checked(t, &c, base+"index-v0.m3u8").body
			return len(segmentsOf(text)) >= (life+1)*3
		})
		wantEqual(t, "discontinuities", strings.Count(text, "#EXT-X-DISCONTINUITY\n"), life)
		uris := segmentsOf(text)
		if life == 0 {
			first = uris
		}
		wantEqual(t, "first segment", uris[0], first[0])
		for _, uri := range uris {
			a := checked(t, &c, base+uri)
			wantEqual(t, uri, a.status, 200)
			if old, known := was[uri]; known && old != a.body {
				t.Errorf("%s: %d bytes, were %d", uri, len(a.body), len(old))
			}
			was[uri] = a.body
		}
		part := call(t, "GET", base+uris[0], "Range: bytes=10-19")
		wantEqual(t, "status of a range", part.status, 206)
		wantEqual(t, "range", part.body, was[uris[0]][10:20])
		wantEqual(t, "status of one that the client has", call(t, "GET", base+uris[0], "If-None-Match: "+part.header.Get("ETag")).status, 304)
		frames := checked(t, &c, base+"index-v0.iframes.m3u8").body
		wantContains(t, "I-frames", frames, uris[0], "#EXT-X-BYTERANGE")
		checked(t, &c, base+"index-a0.m3u8")
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRewindThatCannotBe: a folder that cannot be made is an error at the start, which names the
// option.
func TestRewindThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	opt := testOptions()
	defer opt.Keys.Close()
	withRewinding(filepath.Join(file, "hls"))(&opt)
	s, err := New(opt)
	if err == nil {
		s.closeListeners()
		t.Fatal("the server began")
	}
	wantContains(t, "error", err.Error(), "hls_dvr_window", file)
}

// TestRewindThatIsOff: without a window nothing is written.
func TestRewindThatIsOff(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hls")
	for name, change := range map[string]func(*Options){
		"no window": func(o *Options) { o.Rewind.Dir = dir },
		"no HLS":    func(o *Options) { o.Rewind.Dir, o.Rewind.Window, o.HLSAddr = dir, time.Hour, "" },
	} {
		s := start(t, change)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRewindBound: the files of all streams together stay within hls_dvr_max_bytes.
func TestRewindBound(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hls")
	const most = 1 << 20
	s := start(t, withRewinding(dir), func(o *Options) { o.Rewind.MaxBytes = most })
	tags := clip(t)
	for i := range 6 {
		name := fmt.Sprintf("movie%d", i)
		e := publish(t, s, name)
		e.send(tags...)
		eventually(t, "the clip is packaged", func() bool {
			return len(segmentsOf(call(t, "GET", s.url("http", "hls", "/live/"+name+"/index-v0.m3u8")).body)) >= 3
		})
		e.unpublish()
	}
	if err := s.stop(); err != nil { // files that come and go while they are counted would count too often
		t.Fatal(err)
	}
	var total int64
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			total += info.Size()
		}
		return nil
	})
	if err != nil || total == 0 || total > most {
		t.Errorf("%d bytes on disk, %v", total, err)
	}
}

// TestRewindFolderInUse: a second server with the same folder does not start, says what to do, and
// does the first one no harm.
func TestRewindFolderInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hls")
	s := start(t, withRewinding(dir))
	publish(t, s, "movie").send(clip(t)...)
	playlist := s.url("http", "hls", "/live/movie/index-v0.m3u8")
	var uris []string
	eventually(t, "the clip is packaged", func() bool {
		uris = segmentsOf(call(t, "GET", playlist).body)
		return len(uris) >= 3
	})
	opt := testOptions()
	withRewinding(dir)(&opt)
	if _, err := New(opt); err == nil || !errors.Is(err, spool.ErrInUse) || !strings.Contains(err.Error(), "data_dir") || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second server: %v", err)
	}
	for _, uri := range uris {
		wantEqual(t, uri, call(t, "GET", s.url("http", "hls", "/live/movie/")+uri).status, 200)
	}
}
