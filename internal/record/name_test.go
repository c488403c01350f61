package record

import (
	"strings"
	"testing"
	"time"
)

func TestTemplates(t *testing.T) {
	at := time.Date(2026, 3, 1, 23, 59, 58, 0, time.FixedZone("", -3600))
	long := strings.Repeat("ü", 200)
	for _, c := range []struct{ template, app, stream, want string }{
		{"{app}/{stream}/{start:20060102T150405Z}-{id}", "live", "movie", "live/movie/20260302T005958Z-id1"},
		{"{stream}/{start:2006/01/02}/{id}", "live", "team/red", "team/red/2026/03/02/id1"},
		{"{id}", "live", "movie", "id1"},
		{"{start}", "live", "movie", "20260302T005958Z"},
		{"{app}/{stream}/{id}", "a b", "Kino: 映画 é?", "a=20b/Kino=3A=20映画=20é=3F/id1"},
		{"{stream}-{id}", "live", "x=3D", "x=3D3D-id1"},
		{"{stream}/{id}", "live", "a/../b", "a/=2E./b/id1"},
	} {
		tm, err := ParseTemplate(c.template)
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		if got := tm.Name(c.app, c.stream, "id1", at); got != c.want {
			t.Errorf("%s: %s, want %s", c.template, got, c.want)
		}
	}
	tm, _ := ParseTemplate("{stream}/{id}")
	one, other := tm.Name("live", long+"1", "id", at), tm.Name("live", long+"2", "id", at)
	if one == other || len(one) > maxElement+len("/id") {
		t.Errorf("%q and %q", one, other)
	}
}

func TestBadTemplates(t *testing.T) {
	for _, text := range []string{
		"", "recordings", "{app}/{stream}", "../{id}", "{app}/../{id}", "/{id}", "{id}/", "{app}//{id}", "{id", "id}", "{key}/{id}", "{app:x}/{id}",
		".{id}", "a/.b/{id}", "./{id}", `a\{id}`,
	} {
		if _, err := ParseTemplate(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
