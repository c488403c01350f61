package live

import (
	"slices"
	"testing"

	"livego/internal/media"
)

// TestTrackWithoutKeyFrames: a lower track that never has one does not keep the others from being
// joined.
func TestTrackWithoutKeyFrames(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p := publish(t, h)
	dead, good := &media.Track{Kind: media.Video}, &media.Track{Kind: media.Video, ID: 1}
	pub, _ := h.Lookup(name)
	for i := range 100 {
		write(t, p,
			media.AccessUnit{Track: dead, DTS: ms(i * 40), Body: []byte{1}, Data: []byte{1}},
			media.AccessUnit{Track: good, DTS: ms(i * 40), RandomAccess: i%25 == 0, Body: []byte{2}, Data: []byte{2}})
	}
	got, _ := drain(t, pub.NewReader(ReaderOptions{GOPs: 2}))
	if len(got) != 50 || got[0].Track != good || !got[0].Join {
		t.Fatalf("%d units", len(got))
	}
	write(t, p, media.AccessUnit{Track: dead, DTS: ms(4000), RandomAccess: true, Body: []byte{1}, Data: []byte{1}})
	got, _ = drain(t, pub.NewReader(ReaderOptions{GOPs: 1}))
	if len(got) != 1 || got[0].Track != dead || !got[0].Join {
		t.Errorf("the lowest track has a key frame and is not the one to join on: %d units", len(got))
	}
}

// TestTrackThatBeginsEarlier than the one to join on keeps its first GOP, at its own times.
func TestTrackThatBeginsEarlier(t *testing.T) {
	for _, c := range []struct {
		early int
		kept  bool
	}{{0, true}, {40, true}, {480, true}, {520, false}} {
		h := newHub(Options{})
		p := publish(t, h)
		lead, other := &media.Track{Kind: media.Video}, &media.Track{Kind: media.Video, ID: 1}
		pub, _ := h.Lookup(name)
		r := pub.NewReader(ReaderOptions{})
		picture := func(track *media.Track, at int, key bool) {
			write(t, p, media.AccessUnit{Track: track, DTS: ms(at), PTS: ms(at + 80), RandomAccess: key, Body: []byte{byte(at)}, Data: []byte{1}, Multitrack: true})
		}
		write(t, p, media.AccessUnit{Track: lead, Header: media.SequenceHeader, Body: []byte("header")}) // so that it is known
		const start = 1000
		for at := start; at < start+2000; at += 40 {
			picture(other, at, at == start)
			if at == start+c.early-c.early%40 {
				picture(lead, start+c.early, true)
			}
		}
		got, _ := drain(t, r)
		got = samples(got)
		if got[0].Track != lead || !got[0].Join || got[0].DTS != ms(start+c.early) {
			t.Errorf("%d ms early: begins with track %d at %v", c.early, got[0].Track.ID, got[0].DTS)
		}
		first := slices.IndexFunc(got, func(u media.AccessUnit) bool { return u.Track == other })
		if !c.kept {
			if first >= 0 {
				t.Errorf("%d ms early: has pictures without a key frame", c.early)
			}
			continue
		}
		if u := got[first]; u.DTS != ms(start) || u.PTS-u.DTS != ms(80) || !u.RandomAccess || len(got) != 51 {
			t.Errorf("%d ms early: the other track begins at %v, %d units", c.early, u.DTS, len(got))
		}
		h.Close()
	}
}

// TestTracksInOneMessageInAnyOrder: the message goes out once, whichever of its tracks the session
// begins with.
func TestTracksInOneMessageInAnyOrder(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p := publish(t, h)
	low, high := &media.Track{Kind: media.Video}, &media.Track{Kind: media.Video, ID: 1}
	pub, _ := h.Lookup(name)
	r := pub.NewReader(ReaderOptions{})
	write(t, p, media.AccessUnit{Track: low, DTS: ms(0), Body: []byte{0}, Data: []byte{0}}) // so that it is known
	body := []byte("both")
	write(t, p, media.AccessUnit{Track: high, DTS: ms(40), RandomAccess: true, Body: body, Data: body, Multitrack: true},
		media.AccessUnit{Track: low, DTS: ms(40), RandomAccess: true, Body: body, Data: body, Multitrack: true, Shared: true})
	got, _ := drain(t, r)
	if len(got) != 2 || got[0].Shared || !got[1].Shared || got[0].Track != low {
		t.Errorf("%+v", got)
	}
}
