package live

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestFigures: what others may know of a publication, from its start to its end.
func TestFigures(t *testing.T) {
	h := newHub(Options{Grace: time.Hour})
	p, e := publish(t, h), newEncoder()
	write(t, p, e.headers()...)
	e.gops(t, p, 0, 4)
	got := h.Figures(nil)
	if len(got) != 1 || got[0].RingBytes != int64(p.Publication().Bytes()) || got[0].RingBytes == 0 {
		t.Fatalf("on air: %+v", got)
	}
	want := []Figures{{Name: p.Publication().Name(), OnAir: true, RingBytes: got[0].RingBytes}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("on air (-want +got):\n%s", diff)
	}
	p.Lose(nil)
	if got = h.Figures(got[:0]); len(got) != 1 || got[0].OnAir {
		t.Errorf("in grace: %+v", got)
	}
	p.Publication().Evict(ErrLost)
	if got = h.Figures(nil); len(got) != 0 {
		t.Errorf("after the end: %+v", got)
	}
}
