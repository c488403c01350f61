package server

import (
	"bytes"
	"net/http"
	"slices"
	"testing"
	"time"

	"livego/internal/flv"
)

// TestStreamMoves ends the home of a stream in order, whose encoder knows nothing of nodes and
// stays: at the home, or at another node. Another node becomes the home. Viewers at other nodes get
// each picture and each sound once, and so do those at the node that ends while its encoder stays.
func TestStreamMoves(t *testing.T) {
	t.Parallel()
	for where, at := range map[string]int{"the encoder at the home": 0, "the encoder at another node": 1} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			g, tags := startGroup(t, 3, func(o *Options) {
				o.HLS.SegmentDuration, o.DrainPublishers = time.Second, time.Minute
			}), clip(t)
			a := g.nodes[0]
			first := publish(t, a, "movie")
			first.send(tags[:4]...)
			e := first
			if at != 0 { // it takes the stream over
				e = publish(t, g.nodes[at], "movie")
			}
			played := marked(tags, 9)
			e.send(played[:4]...)
			watchers := []*watcher{watchRTMP(t, g.nodes[1], "movie"), watchFLV(t, g.nodes[2], "movie")}
			if at == 0 { // else nothing holds up the end of that node
				watchers = append(watchers, watchFLV(t, a, "movie"), watchRTMP(t, a, "movie"))
			}
			awaitAll(t, watchers, played[3])
			const times = 3
			go func() {
				watchers[0].await(t, played[len(played)/2])
				a.cancel()
			}()
			e.perform(t, played[4:], times)
			eventually(t, "another node is the home", func() bool {
				e, err := g.registry.Lookup(t.Context(), "live/movie")
				return err == nil && e.Node.ID != "a"
			})
			e.unpublish()
			for _, w := range watchers {
				w.awaitEnd(t)
				sameMedia(t, w.name, played[4:], times, w.got())
			}
			if err := a.stop(); err != nil {
				t.Error(err)
			}
			wantEqual(t, "encoders that were told to go", a.logs.count("server is shutting down"), 0)
		})
	}
}

// sameMedia checks that a viewer got all pictures and frames of what was performed so many times,
// each once and in order, but for frames before the first picture.
func sameMedia(t testing.TB, name string, tags []flv.Tag, times int, got []flv.Tag) {
	t.Helper()
	for _, kind := range []uint8{flv.TypeVideo, flv.TypeAudio} {
		want, have := bodies(slices.Repeat(only(tags, kind), times)), bodies(only(got, kind))
		most := len(want)
		for len(have) > most { // what there was before
			have = have[1:]
		}
		if missing := len(want) - len(have); missing > 5 || kind == flv.TypeVideo && missing > 0 {
			t.Errorf("%s: %d of type %d, want %d", name, len(have), kind, len(want))
		} else if !slices.EqualFunc(have, want[missing:], bytes.Equal) {
			t.Errorf("%s: what came of type %d is not what was sent", name, kind)
		}
	}
}

// bodies are those of tags that are no headers.
func bodies(tags []flv.Tag) (all [][]byte) {
	for _, tag := range tags {
		if !isHeader(tag) {
			all = append(all, tag.Body)
		}
	}
	return all
}

// TestAloneNodeDrains: without another node an encoder is told to go, as ever.
func TestAloneNodeDrains(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 1, func(o *Options) { o.DrainPublishers = time.Minute }), clip(t)
	e := publish(t, g.nodes[0], "movie")
	e.send(tags...)
	wantEqual(t, "playlist", call(t, http.MethodGet, g.nodes[0].url("http", "hls", "/live/movie.m3u8")).status, http.StatusOK)
	g.nodes[0].stopWithin(10 * time.Second)
}
