package media

import (
	"strings"
	"testing"
)

// names lists the bodies of a set.
func names(h *Headers) string {
	var all []string
	for _, u := range h.Units() {
		all = append(all, string(u.Body))
	}
	return strings.Join(all, " ")
}

func TestHeaders(t *testing.T) {
	v0, v1, a0 := &Track{Kind: Video}, &Track{Kind: Video, ID: 1}, &Track{Kind: Audio}
	data := &Track{Kind: Data}
	unit := func(t *Track, h Header, body string) AccessUnit {
		return AccessUnit{Track: t, Header: h, Body: []byte(body), Epoch: 1, Multitrack: strings.HasPrefix(body, "multi")}
	}
	next := unit(v0, SequenceHeader, "v0 of the next")
	next.Epoch = 2
	for _, c := range []struct {
		what  string
		units []AccessUnit
		want  string
	}{
		{"nothing", nil, ""},
		{"samples are none", []AccessUnit{unit(v0, Sample, "x"), unit(v0, SequenceEnd, "x"), unit(v0, Command, "x")}, ""},
		{"metadata comes first", []AccessUnit{unit(v0, SequenceHeader, "v"), unit(a0, SequenceHeader, "a"), unit(data, Metadata, "m")}, "m v a"},
		{"a new header takes the place of the old one", []AccessUnit{
			unit(v0, SequenceHeader, "v"), unit(v0, Colour, "c"), unit(a0, SequenceHeader, "a"), unit(&Track{Kind: Video}, SequenceHeader, "w"),
		}, "w c a"},
		{"but not in front of a message that holds it and others", []AccessUnit{
			unit(v0, SequenceHeader, "multi01"), unit(v1, SequenceHeader, "multi01"), unit(&Track{Kind: Video}, SequenceHeader, "multi0"),
		}, "multi01 multi0"},
		{"nor behind one that came after it", []AccessUnit{
			unit(v0, SequenceHeader, "multi01"), unit(v1, SequenceHeader, "multi01"), unit(&Track{Kind: Video, ID: 1}, SequenceHeader, "multi1"),
		}, "multi01 multi1"},
		{"a new session", []AccessUnit{unit(v0, SequenceHeader, "v"), unit(a0, SequenceHeader, "a"), next}, "v0 of the next"},
	} {
		var h *Headers
		for i := range c.units {
			h = h.After(&c.units[i])
		}
		if got := names(h); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// TestHeadersAreImmutable: who holds a set keeps it.
func TestHeadersAreImmutable(t *testing.T) {
	var h *Headers
	for i := range 3 {
		h = h.After(&AccessUnit{Track: &Track{Kind: Video, ID: uint8(i)}, Header: SequenceHeader, Body: []byte{'0' + byte(i)}, Multitrack: true})
	}
	before := names(h)
	next := h.After(&AccessUnit{Track: &Track{Kind: Video, ID: 1}, Header: SequenceHeader, Body: []byte("new"), Multitrack: true})
	if names(h) != before || names(next) != "0 2 new" {
		t.Errorf("%q and %q", names(h), names(next))
	}
	same := h.Units()[0]
	if h.After(&same) != h {
		t.Error("the same header makes a new set")
	}
}

// TestHeadersAreBounded whatever the number of tracks.
func TestHeadersAreBounded(t *testing.T) {
	var h *Headers
	for i := range 1000 {
		for _, header := range []Header{SequenceHeader, Colour, Multichannel} {
			h = h.After(&AccessUnit{Track: &Track{Kind: Kind(1 + i/256), ID: uint8(i)}, Header: header, Body: []byte{1}})
		}
	}
	if n := len(h.Units()); n != maxHeaders {
		t.Errorf("%d headers", n)
	}
}
