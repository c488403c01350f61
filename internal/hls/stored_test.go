package hls

import (
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"livego/internal/media"
	"livego/internal/spool"
)

func unpack(t testing.TB, d document) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(joined(d)))
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false) // as browsers read it
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestStoredTexts: a playlist says the same wherever its segments are, in each of its forms, plain
// and compressed.
func TestStoredTexts(t *testing.T) {
	store := openSpool(t, spool.Options{})
	stream := 0
	rapid.Check(t, func(rt *rapid.T) {
		first := rapid.Int64Range(100, 300).Draw(rt, "first")
		d := draw("v0", media.Video, first)
		d.others = []*rendition{draw("a0", media.Audio, first).full().show(1).rendition}
		for range rapid.IntRange(5, 140).Draw(rt, "segments") {
			switch rapid.IntRange(0, 20).Draw(rt, "kind") {
			case 0:
				d.gap(1500 * time.Millisecond)
			case 1:
				d.header = &initSegment{seq: d.open().seq, data: []byte("other")}
				d.open().init, d.open().discontinuity = d.header, true
				d.full()
			case 2:
				d.open().dates = []string{`ID="a"`, fmt.Sprintf(`ID="b%d"`, d.open().seq)}
				d.full()
			case 3:
				d.open().independent = false
				d.full()
			default:
				d.full()
			}
		}
		d.full().full().part(500 * time.Millisecond)
		d.now.ended = rapid.Bool().Draw(rt, "ended")
		if d.now.ended {
			d.open().complete = true
		}
		stream++
		life := store.Begin(fmt.Sprint(stream))
		defer life.End(1)
		view := d.rewound(t, store, life, rapid.IntRange(5, 9).Draw(rt, "in memory"))
		d.show(1 << 30)
		for form := range playlistForms {
			want := d.text(form)
			text := d.textAt(view, form)
			if diff := cmp.Diff(want, joined(text.plain.body)); diff != "" {
				rt.Fatalf("form %d: %s", form, diff)
			}
			if got := unpack(t, text.compressed.body); got != want {
				rt.Fatalf("form %d: compressed: %s", form, cmp.Diff(want, got))
			}
		}
	})
}

// TestStoredTextsAreShared: what is on disk is rendered and compressed once, not for each part.
func TestStoredTextsAreShared(t *testing.T) {
	store := openSpool(t, spool.Options{})
	d := draw("v0", media.Video, 100)
	for range 500 {
		d.full()
	}
	d.part(500 * time.Millisecond)
	view := d.rewound(t, store, store.Begin("a"), 4)
	first := d.textAt(view, fullForm).plain.body
	second := d.textAt(again(view), fullForm).plain.body
	for i := 1; i < len(first)-1; i++ {
		if &first[i].data[0] != &second[i].data[0] {
			t.Errorf("piece %d was rendered again", i)
		}
	}
	n := testing.AllocsPerRun(10, func() {
		d.textAt(again(view), fullForm)
	})
	if n > 60 {
		t.Errorf("%v allocations", n)
	}
}

// TestHoleBeforeMemory: what would leave numbers out is not listed.
func TestHoleBeforeMemory(t *testing.T) {
	store := openSpool(t, spool.Options{})
	d := draw("v0", media.Video, 100).full().full().full().full().full()
	d.rewound(t, store, store.Begin("a"), 2)
	if w := d.rendition.storedBefore(103); w.Len() != 3 {
		t.Errorf("%d segments", w.Len())
	}
	if w := d.rendition.storedBefore(104); w.Len() != 0 {
		t.Errorf("%d segments before a hole", w.Len())
	}
	if w := (&rendition{}).storedBefore(104); w.Len() != 0 {
		t.Errorf("%d segments without a disk", w.Len())
	}
}

// BenchmarkRewind is what a part costs in a playlist of six hours: rendering, and compression.
func BenchmarkRewind(b *testing.B) {
	store := openSpool(b, spool.Options{})
	d := draw("v0", media.Video, 100)
	for range 6 * 1800 {
		d.full()
	}
	d.part(500 * time.Millisecond)
	view := d.rewound(b, store, store.Begin("a"), 4)
	for _, form := range []playlistForm{fullForm, deltaForm} {
		b.Run(fmt.Sprint("form", form), func(b *testing.B) {
			b.ReportAllocs()
			var size, packed int
			for b.Loop() {
				text := d.textAt(again(view), form)
				size, packed = text.plain.body.size(), text.compressed.body.size()
			}
			b.ReportMetric(float64(size), "plain-B")
			b.ReportMetric(float64(packed), "gzip-B")
		})
	}
}
