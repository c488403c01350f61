package playlist_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/playlist"
	"livego/internal/media"
	"livego/internal/spool"
)

func unpack(t testing.TB, d playlist.Document) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(hlstest.Joined(d)))
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
	store := hlstest.OpenSpool(t, spool.Options{})
	stream := 0
	rapid.Check(t, func(rt *rapid.T) {
		first := rapid.Int64Range(100, 300).Draw(rt, "first")
		d := hlstest.Draw("v0", media.Video, first)
		d.Others = []*playlist.Rendition{hlstest.Draw("a0", media.Audio, first).Full().Show(1).Rendition}
		for range rapid.IntRange(5, 140).Draw(rt, "segments") {
			switch rapid.IntRange(0, 20).Draw(rt, "kind") {
			case 0:
				d.Gap(1500 * time.Millisecond)
			case 1:
				d.Header = &playlist.Init{Seq: d.Open().Seq, Data: []byte("other")}
				d.Open().Init, d.Open().Discontinuity = d.Header, true
				d.Full()
			case 2:
				d.Open().Dates = []string{`ID="a"`, fmt.Sprintf(`ID="b%d"`, d.Open().Seq)}
				d.Full()
			case 3:
				d.Open().Independent = false
				d.Full()
			default:
				d.Full()
			}
		}
		d.Full().Full().Part(500 * time.Millisecond)
		d.Now.Ended = rapid.Bool().Draw(rt, "ended")
		if d.Now.Ended {
			d.Open().Complete = true
		}
		stream++
		life := store.Begin(fmt.Sprint(stream))
		defer life.End(1)
		view := d.Rewound(t, store, life, rapid.IntRange(5, 9).Draw(rt, "in memory"))
		d.Show(1 << 30)
		for form := range playlist.Forms {
			want := d.Text(form)
			text := d.TextAt(view, form)
			if diff := cmp.Diff(want, hlstest.Joined(text.Plain.Body)); diff != "" {
				rt.Fatalf("form %d: %s", form, diff)
			}
			if got := unpack(t, text.Compressed.Body); got != want {
				rt.Fatalf("form %d: compressed: %s", form, cmp.Diff(want, got))
			}
		}
	})
}

// TestStoredTextsAreShared: what is on disk is rendered and compressed once, not for each part.
func TestStoredTextsAreShared(t *testing.T) {
	store := hlstest.OpenSpool(t, spool.Options{})
	d := hlstest.Draw("v0", media.Video, 100)
	for range 500 {
		d.Full()
	}
	d.Part(500 * time.Millisecond)
	view := d.Rewound(t, store, store.Begin("a"), 4)
	first := d.TextAt(view, playlist.Full).Plain.Body
	second := d.TextAt(hlstest.Again(view), playlist.Full).Plain.Body
	for i := 1; i < len(first)-1; i++ {
		if &first[i].Data.Bytes()[0] != &second[i].Data.Bytes()[0] {
			t.Errorf("piece %d was rendered again", i)
		}
	}
	n := testing.AllocsPerRun(10, func() {
		d.TextAt(hlstest.Again(view), playlist.Full)
	})
	if n > 60 {
		t.Errorf("%v allocations", n)
	}
}

// TestHoleBeforeMemory: what would leave numbers out is not listed.
func TestHoleBeforeMemory(t *testing.T) {
	store := hlstest.OpenSpool(t, spool.Options{})
	d := hlstest.Draw("v0", media.Video, 100).Full().Full().Full().Full().Full()
	d.Rewound(t, store, store.Begin("a"), 2)
	if w := d.Rendition.StoredBefore(103); w.Len() != 3 {
		t.Errorf("%d segments", w.Len())
	}
	if w := d.Rendition.StoredBefore(104); w.Len() != 0 {
		t.Errorf("%d segments before a hole", w.Len())
	}
	if w := (&playlist.Rendition{}).StoredBefore(104); w.Len() != 0 {
		t.Errorf("%d segments without a disk", w.Len())
	}
}

// BenchmarkRewind is what a part costs in a playlist of six hours: rendering, and compression.
func BenchmarkRewind(b *testing.B) {
	store := hlstest.OpenSpool(b, spool.Options{})
	d := hlstest.Draw("v0", media.Video, 100)
	for range 6 * 1800 {
		d.Full()
	}
	d.Part(500 * time.Millisecond)
	view := d.Rewound(b, store, store.Begin("a"), 4)
	for _, form := range []playlist.Form{playlist.Full, playlist.Delta} {
		b.Run(fmt.Sprint("form", form), func(b *testing.B) {
			b.ReportAllocs()
			var size, packed int
			for b.Loop() {
				text := d.TextAt(hlstest.Again(view), form)
				size, packed = text.Plain.Body.Size(), text.Compressed.Body.Size()
			}
			b.ReportMetric(float64(size), "plain-B")
			b.ReportMetric(float64(packed), "gzip-B")
		})
	}
}
