package live

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestNotices: a stream begins and ends once, however many renditions it has, and is lost when all
// its publishers are.
func TestNotices(t *testing.T) {
	var got []string
	words := map[Change]string{
		Started: "started", Ended: "ended", Lost: "lost", Returned: "returned", TakenOver: "taken over", Added: "added", Removed: "removed",
	}
	synctest.Test(t, func(t *testing.T) {
		h := newHub(Options{Notify: func(n Notice) {
			got = append(got, fmt.Sprint(words[n.Change], " ", n.Name, " by ", n.By, ": ", n.Cause))
		}})
		begin := func(by, rendition string) *Publisher {
			t.Helper()
			p, err := h.PublishBy(by, Name{"live", "movie", rendition}, func(error) {})
			if err != nil {
				t.Fatal(err)
			}
			newEncoder().gops(t, p, 0, 1)
			return p
		}
		a := begin("a", "")
		b := begin("b", "low")
		a.Lose(io.EOF)
		b.Lose(io.EOF)
		b = begin("c", "low")
		begin("d", "low")
		b.Lose(io.EOF) // it was taken over before
		time.Sleep(11 * time.Second)
		h.Close()
		if _, err := h.PublishBy("e", name, func(error) {}); err == nil {
			t.Error("a closed hub takes publishers")
		}
	})
	want := []string{
		"started live/movie by a: <nil>",
		"added live/movie by a: <nil>",
		"added live/movie?rendition=low by b: <nil>",
		"lost live/movie by <nil>: EOF",
		"returned live/movie by c: <nil>",
		"taken over live/movie?rendition=low by d: <nil>",
		"removed live/movie by <nil>: EOF",
		"removed live/movie?rendition=low by <nil>: server is closing",
		"ended live/movie by <nil>: server is closing",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestCopies: nobody is told of what another node publishes; who publishes here goes before a copy,
// and the readers of both stay.
func TestCopies(t *testing.T) {
	var got []string
	words := map[Change]string{
		Started: "started", Ended: "ended", Lost: "lost", Returned: "returned", TakenOver: "taken over", Added: "added", Removed: "removed",
	}
	synctest.Test(t, func(t *testing.T) {
		begun := 0
		h := NewHub(Options{
			OnPublication: func(*Publication) { begun++ },
			Notify:        func(n Notice) { got = append(got, fmt.Sprint(words[n.Change], ": ", n.Cause)) },
		})
		begin := func(start func(Name, func(error)) (*Publisher, error), from, want int) *Publisher {
			t.Helper()
			p, err := start(name, func(error) {})
			if err != nil {
				t.Fatal(err)
			}
			newEncoder().gops(t, p, from, 1)
			if begun != want {
				t.Errorf("%d publications began, want %d", begun, want)
			}
			return p
		}
		c := begin(h.Copy, 0, 0)
		pub := c.Publication()
		r := pub.NewReader(ReaderOptions{})
		defer r.Close()
		c.Lose(io.EOF)
		time.Sleep(9 * time.Second) // without grace, a copy waits
		begin(h.Copy, 1, 0)
		p := begin(h.Publish, 2, 1)
		if _, err := h.Publish(name, func(error) {}); err != ErrInUse {
			t.Errorf("a second publisher: %v", err)
		}
		c = begin(h.Copy, 3, 1)
		p.Lose(io.EOF) // it has lost its place before
		q := begin(h.Publish, 4, 2)
		if q.Publication() != pub || pub.Readers() != 1 {
			t.Error("the stream is not what it was")
		}
		q.Unpublish()
		c.Lose(io.EOF)
		begin(h.Copy, 0, 2).Unpublish()
	})
	want := []string{
		"started: <nil>", "added: <nil>", "removed: " + ErrMoved.Error(), "ended: " + ErrMoved.Error(),
		"started: <nil>", "added: <nil>", "removed: unpublished", "ended: unpublished",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
