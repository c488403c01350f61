package live

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"livego/internal/media"
)

// TestPackedUnits: a ring that packs what nobody reads holds the same as one that does not,
// whenever somebody comes, whatever the units are.
func TestPackedUnits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := new(store)
		packs, plain := newRing(1<<30, 1, s), newRing(1<<30, 1, nil)
		keep := time.Duration(rapid.IntRange(0, 3000).Draw(rt, "keep")) * time.Millisecond
		packs.keep, plain.keep = keep, keep
		tracks := []*media.Track{{Kind: media.Video}, {Kind: media.Audio}, {Kind: media.Video, ID: 1}}
		ahead := rapid.SampledFrom([]time.Duration{0, 0, 300 * time.Millisecond, 2 * time.Second}).Draw(rt, "ahead")
		var epoch uint32
		var last media.AccessUnit
		n := rapid.IntRange(1, 300).Draw(rt, "units")
		for i := range n {
			u := drawUnit(rt, tracks, &last)
			if rapid.IntRange(0, 99).Draw(rt, "session") == 0 {
				epoch++
			}
			u.Epoch, u.DTS = epoch, ms(i*40)
			if u.Track.Kind == media.Audio {
				u.DTS += ahead
			}
			u.PTS = u.DTS + ms(rapid.IntRange(-40, 80).Draw(rt, "composition"))
			last = u
			packs.push(u, packs.next+1)
			plain.push(u, plain.next+1)
			if rapid.IntRange(0, 60).Draw(rt, "comes") == 0 {
				packs.all++
				packs.thaw()
				compareRings(rt, &packs, &plain)
			}
			if packs.all > 0 && rapid.IntRange(0, 20).Draw(rt, "goes") == 0 {
				packs.all--
			}
		}
		packs.all++
		packs.thaw()
		compareRings(rt, &packs, &plain)
		packs.forgetCold()
		if len(s.regions) > 0 || s.free != 0 {
			rt.Errorf("%d regions are left, %d chunks", len(s.regions), s.free)
		}
	})
}

// drawUnit draws a unit that comes behind last.
func drawUnit(rt *rapid.T, tracks []*media.Track, last *media.AccessUnit) media.AccessUnit {
	some := func(label string) bool { return rapid.Bool().Draw(rt, label) }
	u := media.AccessUnit{
		Track: rapid.SampledFrom(tracks).Draw(rt, "track"), RandomAccess: some("access"), Recovery: some("recovery"), Skipped: some("skipped"),
		Join: rapid.IntRange(0, 9).Draw(rt, "join") == 0, Discontinuity: some("discontinuity"), Multitrack: some("multitrack"),
		MessageType: rapid.Byte().Draw(rt, "type"), Nanos: rapid.Uint32().Draw(rt, "nanos"), Arrived: rapid.Int64().Draw(rt, "arrived"),
	}
	if rapid.IntRange(0, 30).Draw(rt, "header") == 0 {
		u.Header, u.Join = rapid.SampledFrom([]media.Header{media.SequenceHeader, media.SequenceEnd, media.Metadata, media.Command}).Draw(rt, "of"), false
	}
	size := rapid.SampledFrom([]int{0, 1, 100, 5000, 9000, 2 * chunkSize, 40_000}).Draw(rt, "size")
	u.Body = bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(rt, "bytes"), size)
	if len(last.Body) > 0 && some("shared") {
		u.Shared, u.Body = true, last.Body
	}
	switch rapid.IntRange(0, 9).Draw(rt, "data") {
	case 0:
		u.Data = []byte("elsewhere")
	case 1:
	default:
		from := rapid.IntRange(0, len(u.Body)).Draw(rt, "from")
		u.Data = u.Body[from:rapid.IntRange(from, len(u.Body)).Draw(rt, "to")]
	}
	return u
}

// compareRings holds what a ring has against what it should have.
func compareRings(rt *rapid.T, got, want *ring) {
	if got.first != want.first || got.next != want.next {
		rt.Fatalf("it holds units %d to %d, want %d to %d", got.first, got.next, want.first, want.next)
	}
	for seq := want.first; seq < want.next; seq++ {
		g, w := *got.at(seq), *want.at(seq)
		if g.Track != w.Track || !bytes.Equal(g.Body, w.Body) || !bytes.Equal(g.Data, w.Data) {
			rt.Fatalf("unit %d has another track, body or data", seq)
		}
		g.Track, g.Body, g.Data, w.Track, w.Body, w.Data = nil, nil, nil, nil, nil, nil
		if diff := cmp.Diff(w, g); diff != "" {
			rt.Fatalf("unit %d: %s", seq, diff)
		}
	}
	if !slices.Equal(want.joins, got.joins) {
		rt.Fatalf("joins %v, want %v", got.joins, want.joins)
	}
	for _, seq := range []uint64{want.first, want.next} {
		g, w := got.headersAt(seq).Units(), want.headersAt(seq).Units()
		if len(g) != len(w) {
			rt.Fatalf("%d headers at %d, want %d", len(g), seq, len(w))
		}
		for i := range g {
			if g[i].Track != w[i].Track || g[i].Header != w[i].Header || !bytes.Equal(g[i].Body, w[i].Body) {
				rt.Fatalf("header %d at %d is another one", i, seq)
			}
		}
	}
	if bytes := heldBy(got); got.bytes != bytes {
		rt.Fatalf("it accounts for %d bytes, and has %d", got.bytes, bytes)
	}
}

func heldBy(r *ring) (n int) {
	for seq := r.first; seq < r.next; seq++ {
		n += cost(r.at(seq))
	}
	return n
}

// TestKeptIsPacked: what is kept for those who may come is in no unit's memory, within the bound of
// the ring, and gone with the stream.
func TestKeptIsPacked(t *testing.T) {
	h := newHub(Options{GOPs: 1, Memory: 300_000})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	pub := p.Publication()
	picture := func(at int, key bool) media.AccessUnit {
		u := e.picture(at, key)
		u.Data = u.Body[5:]
		return u
	}
	write(t, p, e.headers()...)
	for i := range 100 {
		write(t, p, picture(i*100, i%10 == 0))
	}
	if n := pub.ring.next - pub.ring.first; n > 20 {
		t.Errorf("%d units are not packed", n)
	}
	if n := pub.ring.cold.units; n < 40 || n > 60 {
		t.Errorf("%d units are packed, want those of five seconds", n)
	}
	player := pub.NewReader(ReaderOptions{GOPs: 1})
	if got, _ := drain(t, player); len(samples(got)) > 10 || pub.ring.cold.units == 0 {
		t.Errorf("a player begins with %d units, and %d are packed", len(got), pub.ring.cold.units)
	}
	player.Close()
	all := pub.NewReader(ReaderOptions{GOPs: -1})
	got, _ := drain(t, all)
	if n := len(samples(got)); n < 50 || n > 70 || pub.ring.cold.units > 0 {
		t.Errorf("who wants all gets %d units, and %d are packed", n, pub.ring.cold.units)
	}
	checkRising(t, got)
	for i := 100; i < 200; i++ {
		write(t, p, picture(i*100, i%10 == 0))
	}
	if pub.ring.cold.units > 0 || pub.ring.next-pub.ring.first < 50 {
		t.Error("units are packed although somebody reads all")
	}
	all.Close()
	for i := 200; i < 300; i++ {
		big := picture(i*100, i%10 == 0)
		big.Body = make([]byte, 10_000)
		big.Data = big.Body
		write(t, p, big)
		if n := pub.Bytes(); n > 300_000 {
			t.Fatalf("%d bytes are held", n)
		}
	}
	if pub.ring.cold.units == 0 {
		t.Error("no unit is packed within the bound of the ring")
	}
	p.Unpublish()
	if n := len(h.store.regions); n > 0 {
		t.Errorf("%d regions of memory are left of a stream that has ended", n)
	}
}

// BenchmarkPack is what it costs that a unit is packed, and let go of.
func BenchmarkPack(b *testing.B) {
	r := newRing(1<<30, 1, new(store))
	r.keep = 5 * time.Second
	track := &media.Track{Kind: media.Video}
	body := make([]byte, 1600)
	b.SetBytes(int64(len(body)))
	for i := range b.N {
		u := media.AccessUnit{Track: track, DTS: ms(i * 33), Join: i%60 == 0, Body: body, Data: body[5:]}
		r.push(u, r.next+1)
	}
}
