package hls

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/ladder"
)

// notes is a Recorder that writes down what it is told.
type notes struct {
	segments []ladder.Segment
	ends     int
}

func (n *notes) Begin(string) ladder.Sink { return n }
func (n *notes) Segment(s ladder.Segment) { n.segments = append(n.segments, s) }
func (n *notes) End()                     { n.ends++ }

// TestRecorder: a recorder gets the bytes that viewers get, of all renditions, and what playlists
// say of them.
func TestRecorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notes{}
		s := newServer(Options{Recorder: n, KeepAfterEnd: true})
		st := hlstest.Encoders(25, 25)[0]
		p, over, done, _ := offer(t, s, "", st.Until(20*time.Second))
		index := body(t, ask(s, "GET", "/live/movie/index.m3u8"))
		p.send(st.Until(21 * time.Second))
		seen := 0
		for _, k := range n.segments {
			r := ask(s, "GET", "/live/movie/"+k.ID+"/"+itoa(k.Seq)+".m4s")
			if r.StatusCode != 200 {
				continue // it left the window
			}
			seen++
			if got := bytes.Join(k.Pieces, nil); body(t, r) != string(got) || len(k.Init) == 0 || k.Target == 0 || k.Duration == 0 || !strings.Contains(index, k.Codecs) {
				t.Errorf("segment %d of %s is not what viewers get: %+v", k.Seq, k.ID, k.Description)
			}
		}
		if seen < 6 {
			t.Errorf("%d segments of %d are those of viewers", seen, len(n.segments))
		}
		before := len(n.segments)
		p.send(io.EOF)
		close(over)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n.ends != 1 || len(n.segments) != before+2 {
			t.Errorf("%d ends, %d segments after %d", n.ends, len(n.segments), before)
		}
		time.Sleep(time.Hour)
	})
}

func itoa(n int64) string {
	tag := target{kind: cmafSegmentFile, seq: n}
	return tag.tag()
}

// TestHold: a stream that is held is packaged although nobody asks, also in its next lives, until
// it is let go.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		st := hlstest.Encoders(25, 25)[0]
		p, over, done, _ := offer(t, s, "", st.Until(8*time.Second))
		s.Hold("live/movie", true)
		synctest.Wait()
		for at := 8 * time.Second; at < 2*time.Minute; at += time.Second {
			time.Sleep(time.Second)
			p.send(st.Until(at + time.Second))
		}
		wantOpen(t, "held", p, 1, 1)
		s.Hold("live/movie", false)
		p.send(st.Until(2*time.Minute + time.Second))
		wantOpen(t, "held no more", p, 1, 0)
		close(over)
		<-done
		s.Hold("live/movie", true)
		p, over, done, _ = offer(t, s, "", st.Until(130 * time.Second)[:600])
		wantOpen(t, "the next life", p, 1, 1)
		p.send(io.EOF)
		close(over)
		<-done
		time.Sleep(time.Minute)
	})
}
