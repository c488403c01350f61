package ladder

import (
	"strings"
	"testing"
	"time"

	"livego/internal/hls/cut"
	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// TestDeserted: the renditions of a publisher that was lost leave the ladder as soon as it is clear
// that the others go on, whichever leads. They come back with it.
func TestDeserted(t *testing.T) {
	for _, lost := range []int{0, 1} {
		other := 1 - lost
		id := strings.TrimPrefix(hlstest.NameOf(lost)+".v0", ".")
		d := newDuet(t, Options{}, 25, 25)
		d.play(9*time.Second, 9*time.Second, 0)
		d.Suspend(d.publication(hlstest.NameOf(lost)))
		rendition := d.show.Rendition(id)
		view := rendition.View.Load()
		d.feed(hlstest.NameOf(other), d.make(other, 9*time.Second+cut.Departure-80*time.Millisecond)...)
		if d.show.Rendition(id) == nil {
			t.Fatalf("%s has left already\n%s", id, &d.log)
		}
		d.feed(hlstest.NameOf(other), d.make(other, 9*time.Second+2*cut.Departure)...)
		if d.show.Rendition(id) != nil || !d.show.Left(id) || len(d.show.View.Load().Renditions) != 2 || d.show.Doubt() > 0 {
			t.Fatalf("%s has not left\n%s", id, &d.log)
		}
		select {
		case <-view.Replaced:
		default:
			t.Errorf("who waits for %s is not told", id)
		}
		if last := view.Segments[len(view.Segments)-1]; !last.Full || last.Start+last.Duration != 9*time.Second {
			t.Errorf("what came of %s is not all published: %v + %v, full %v", id, last.Start, last.Duration, last.Full)
		}
		d.feed(hlstest.NameOf(other), d.make(other, 12*time.Second)...)
		for len(d.sources[lost].Until(12*time.Second)) > 0 { // what was never sent
		}
		d.sources[lost].Epoch = 1
		d.play(21*time.Second, 21*time.Second, 0)
		if d.show.Rendition(id) == nil || len(d.show.View.Load().Renditions) != 3 {
			t.Errorf("%s has not come back\n%s%s", id, d.histories(), &d.log)
		}
		d.finish()
	}
}

// TestNotDeserted: as long as no other video goes on, a rendition stays, for all encoders may come
// back together.
func TestNotDeserted(t *testing.T) {
	cases := map[string]func(d *duet){
		"all are lost": func(d *duet) {
			d.Suspend(d.publication(""))
			d.feed("720p", d.make(1, 9*time.Second+cut.Departure-80*time.Millisecond)...)
			d.Suspend(d.publication("720p"))
		},
		"only sound goes on": func(d *duet) {
			d.Suspend(d.publication(""))
			for _, u := range d.make(1, 11*time.Second) {
				if u.Track.Kind == media.Audio {
					d.feed("720p", u)
				}
			}
		},
	}
	for name, lose := range cases {
		t.Run(name, func(t *testing.T) {
			d := newDuet(t, Options{}, 25, 25)
			d.play(9*time.Second, 9*time.Second, 0)
			lose(d)
			d.look()
			if d.show.Rendition("v0") == nil || d.show.Rendition("720p.v0") == nil {
				t.Errorf("a rendition has left\n%s", &d.log)
			}
		})
	}
}
