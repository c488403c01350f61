package playlist

import (
	"fmt"
	"testing"
)

func TestDirectives(t *testing.T) {
	none := Directives{MSN: -1, Part: -1}
	cases := []struct {
		query string
		want  Directives
		err   error
	}{
		{"", none, nil},
		{"x=1&y", none, nil},
		{"_HLS_msn=7", Directives{7, -1, false}, nil},
		{"_HLS_msn=7&_HLS_part=0", Directives{7, 0, false}, nil},
		{"token=a%20b&_HLS_part=3&_HLS_msn=7&_HLS_skip=YES", Directives{7, 3, true}, nil},
		{"_HLS_skip=v2", Directives{-1, -1, true}, nil},
		{"_HLS_skip=NO", none, nil},
		{"_HLS_new=1", none, nil},
		{"_HLS_msn=7&_HLS_part=99999999", Directives{7, MaxPartIndex + 1, false}, nil},
		// RFC 8216bis 6.2.5.2: an error in the request.
		{"_HLS_part=1", Directives{}, ErrPartOnly},
		{"_HLS_msn=", Directives{}, ErrBadNumber},
		{"_HLS_msn", Directives{}, ErrBadNumber},
		{"_HLS_msn=-1", Directives{}, ErrBadNumber},
		{"_HLS_msn=1.5", Directives{}, ErrBadNumber},
		{"_HLS_msn=0x7", Directives{}, ErrBadNumber},
		{"_HLS_msn=9223372036854775808", Directives{}, ErrBadNumber},
		{"_HLS_msn=1&_HLS_msn=2", Directives{}, ErrBadNumber},
		{"_HLS_msn=1&_HLS_part=x", Directives{}, ErrBadNumber},
		{"_HLS_msn=1&_HLS_part=1&_HLS_part=1", Directives{}, ErrBadNumber},
	}
	for _, c := range cases {
		got, err := ParseDirectives(c.query)
		if err != c.err || err == nil && got != c.want {
			t.Errorf("%q: %+v, %v", c.query, got, err)
		}
	}
}

// FuzzDirectives: what is taken can be written down and read again.
func FuzzDirectives(f *testing.F) {
	for _, query := range []string{"_HLS_msn=7&_HLS_part=0&_HLS_skip=YES", "_HLS_part=1", "a=b&&_HLS_msn=%31", "_HLS_msn=007"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		d, err := ParseDirectives(query)
		if err != nil {
			return
		}
		if d.Part >= 0 && d.MSN < 0 || d.Part > MaxPartIndex+1 {
			t.Fatalf("%q: %+v", query, d)
		}
		text := ""
		if d.MSN >= 0 {
			text += fmt.Sprintf("_HLS_msn=%d", d.MSN)
		}
		if d.Part >= 0 {
			text += fmt.Sprintf("&_HLS_part=%d", d.Part)
		}
		if d.Skip {
			text += "&_HLS_skip=v2"
		}
		if again, err := ParseDirectives(text); err != nil || again != d {
			t.Errorf("%q is %+v, but %q is %+v, %v", query, d, text, again, err)
		}
	})
}
