package hls

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// TestLastCall: at the end all parts are listed at once, without the end of the segment and of the
// playlist, which come together when players had the time to load the parts.
func TestLastCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		feed, end := onAirAs(t, s, "", hlstest.Encoders(25, 50)[0])
		feed(9300 * time.Millisecond)
		view := s.wanted("live/movie", inCMAF).cmaf.Rendition("v0").View.Load()
		last, part, _ := view.Last()
		done := make(chan error, 1)
		go func() { done <- end(io.EOF) }()
		synctest.Wait()
		text := body(t, ask(s, "GET", "/live/movie/index-v0.m3u8"))
		if !strings.Contains(text, fmt.Sprintf(`URI="v0/%d.%d.m4s"`, last, part+1)) || strings.Contains(text, fmt.Sprintf("\nv0/%d.m4s", last)) || strings.Contains(text, "ENDLIST") {
			t.Errorf("the last parts:\n%s", text)
		}
		held := later(t, s, fmt.Sprintf("/live/movie/index-v0.m3u8?_HLS_msn=%d&_HLS_part=0", last+1))
		began := time.Now()
		text = body(t, <-held)
		if !strings.HasSuffix(text, fmt.Sprintf("\nv0/%d.m4s\n#EXT-X-ENDLIST\n", last)) || time.Since(began) != lastCall {
			t.Errorf("after %v:\n%s", time.Since(began), text)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
	})
}

// TestNoLastCall: nobody is waited for where nobody asked.
func TestNoLastCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		feed, end := onAirAs(t, s, "", hlstest.Encoders(25, 50)[0])
		feed(9300 * time.Millisecond)
		began := time.Now()
		if err := end(io.EOF); err != nil || time.Since(began) > 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		time.Sleep(time.Minute)
	})
}

// TestEndsOfSegmentsOfTheLost: the end of the last segment of a lost publisher comes after its
// parts.
func TestEndsOfSegmentsOfTheLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		st := goOnAir(t, s)
		st.r.feed <- hlstest.Encoders(25, 50)[0].Until(9300 * time.Millisecond)
		st.r.feed <- media.ErrSuspended
		synctest.Wait()
		rendition := s.find("live/movie").cmaf.Rendition("v0")
		for _, whole := range []bool{false, true} {
			v := rendition.View.Load()
			if n := len(v.Segments) - 1; v.Segments[n].Complete != whole || len(v.Segments[n].Parts) < 2 {
				t.Errorf("complete %v, %d parts", v.Segments[n].Complete, len(v.Segments[n].Parts))
			}
			time.Sleep(lastCall)
			synctest.Wait()
		}
		if err := st.end(io.EOF); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
	})
}

// TestBackAtLastCall: a publisher that comes back at once keeps the viewers of CMAF: there is no
// end for them, and who waits gets the playlist of the next life.
func TestBackAtLastCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		feed, end := onAirAs(t, s, "", hlstest.Encoders(25, 50)[0])
		feed(9300 * time.Millisecond)
		first := s.wanted("live/movie", inCMAF)
		last, _, _ := first.cmaf.Rendition("v0").View.Load().Last()
		done := make(chan error, 1)
		go func() { done <- end(io.EOF) }()
		synctest.Wait()
		held := later(t, s, fmt.Sprintf("/live/movie/index-v0.m3u8?_HLS_msn=%d&_HLS_part=0", last+1))
		time.Sleep(lastCall / 2)
		feed, end = onAirAs(t, s, "", hlstest.Encoders(25, 50)[0])
		feed(9300 * time.Millisecond)
		if err := <-done; err != nil {
			t.Error(err)
		}
		text := body(t, <-held)
		if lost := fmt.Sprintf("#EXT-X-GAP\n#EXTINF:0.2,\nv0/%d.m4s\n", last); !strings.Contains(text, lost) || !strings.Contains(text, fmt.Sprintf("\nv0/%d.m4s\n", last+2)) {
			t.Errorf("who waited gets\n%s", text)
		}
		time.Sleep(2 * lastCall)
		if first.cmaf.Rendition("v0").View.Load().Ended {
			t.Error("the playlist of the first life has ended")
		}
		if err := end(io.EOF); err != nil || !first.isReplaced() {
			t.Error(err)
		}
		time.Sleep(time.Minute)
	})
}

// TestBackBeforeListed: what players know of the life before is not refused while the next one has
// not listed anything: its files are there, and what comes next is waited for.
func TestBackBeforeListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		feed, end := onAirAs(t, s, "", hlstest.Encoders(25, 50)[0])
		feed(9300 * time.Millisecond)
		view := s.wanted("live/movie", inCMAF).cmaf.Rendition("v0").View.Load()
		next, part, _ := view.Next()
		file := func(seq int64, part int) string { return fmt.Sprintf("/live/movie/v0/%d.%d.m4s", seq, part) }
		go func() { _ = end(io.EOF) }()
		time.Sleep(lastCall / 2)
		held := later(t, s, file(next+1, 0))
		feed, end = onAirAs(t, s, "", hlstest.Encoders(25, 50)[0])
		list, unknown := later(t, s, "/live/movie/index-v0.m3u8"), ask(s, "GET", "/live/movie/v1/1.0.m4s")
		waits := later(t, s, file(next, part+9))
		if r := ask(s, "GET", file(next, part-1)); r.StatusCode != 200 || body(t, r) == "" {
			t.Errorf("a part of the last life: %d", r.StatusCode)
		}
		if r := ask(s, "GET", fmt.Sprintf("/live/movie/v0/%d.mp4", view.Segments[0].Init.Seq)); r.StatusCode != 200 {
			t.Errorf("its initialization section: %d", r.StatusCode)
		}
		if unknown.StatusCode != 404 {
			t.Errorf("a rendition that never was: %d", unknown.StatusCode)
		}
		time.Sleep(3 * time.Second)
		feed(4 * time.Second)
		for what, answer := range map[string]<-chan *http.Response{"the playlist": list, "the part that was to come": held, "one that the last segment did not have": waits} {
			if r := <-answer; r.StatusCode != 200 {
				t.Errorf("%s: %d %s", what, r.StatusCode, body(t, r))
			}
		}
		time.Sleep(time.Minute)
		if r := ask(s, "GET", file(next, part-1)); r.StatusCode != 200 || body(t, r) != "" {
			t.Errorf("a part of the last life, later: %d", r.StatusCode)
		}
		_ = end(io.EOF)
		time.Sleep(time.Minute)
	})
}

// TestBackBeforeItLeft: a publisher that is back before the one that ended has left begins the next
// life, and its renditions are not refused meanwhile.
func TestBackBeforeItLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		feed, end := onAirAs(t, s, "", hlstest.Encoders(25, 50)[0])
		feed(9300 * time.Millisecond)
		first := s.wanted("live/movie", inCMAF)
		last, _, _ := first.cmaf.Rendition("v0").View.Load().Last()
		feedNext, endNext := onAirAs(t, s, "", hlstest.Encoders(25, 50)[0])
		held := later(t, s, fmt.Sprintf("/live/movie/index-v0.m3u8?_HLS_msn=%d&_HLS_part=0", last+1))
		go func() { _ = end(io.EOF) }()
		time.Sleep(lastCall / 2)
		list := later(t, s, "/live/movie/index-v0.m3u8")
		feedNext(9300 * time.Millisecond)
		for _, answer := range []<-chan *http.Response{held, list} {
			if text := body(t, <-answer); !strings.Contains(text, fmt.Sprintf("\nv0/%d.m4s\n", last+2)) || strings.Contains(text, "ENDLIST") {
				t.Errorf("who asked gets\n%s", text)
			}
		}
		if !first.isReplaced() {
			t.Error("the stream has the life that it had")
		}
		_ = endNext(io.EOF)
		time.Sleep(time.Minute)
	})
}
