package hls

import (
	"fmt"
	"testing"
)

func TestDirectives(t *testing.T) {
	none := directives{msn: -1, part: -1}
	cases := []struct {
		query string
		want  directives
		err   error
	}{
		{"", none, nil},
		{"x=1&y", none, nil},
		{"_HLS_msn=7", directives{7, -1, false}, nil},
		{"_HLS_msn=7&_HLS_part=0", directives{7, 0, false}, nil},
		{"token=a%20b&_HLS_part=3&_HLS_msn=7&_HLS_skip=YES", directives{7, 3, true}, nil},
		{"_HLS_skip=v2", directives{-1, -1, true}, nil},
		{"_HLS_skip=NO", none, nil},
		{"_HLS_new=1", none, nil},
		{"_HLS_msn=7&_HLS_part=99999999", directives{7, maxPartIndex + 1, false}, nil},
		// RFC 8216bis 6.2.5.2: an error in the request.
		{"_HLS_part=1", directives{}, errPartOnly},
		{"_HLS_msn=", directives{}, errBadNumber},
		{"_HLS_msn", directives{}, errBadNumber},
		{"_HLS_msn=-1", directives{}, errBadNumber},
		{"_HLS_msn=1.5", directives{}, errBadNumber},
		{"_HLS_msn=0x7", directives{}, errBadNumber},
		{"_HLS_msn=9223372036854775808", directives{}, errBadNumber},
		{"_HLS_msn=1&_HLS_msn=2", directives{}, errBadNumber},
		{"_HLS_msn=1&_HLS_part=x", directives{}, errBadNumber},
		{"_HLS_msn=1&_HLS_part=1&_HLS_part=1", directives{}, errBadNumber},
	}
	for _, c := range cases {
		got, err := parseDirectives(c.query)
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
		d, err := parseDirectives(query)
		if err != nil {
			return
		}
		if d.part >= 0 && d.msn < 0 || d.part > maxPartIndex+1 {
			t.Fatalf("%q: %+v", query, d)
		}
		text := ""
		if d.msn >= 0 {
			text += fmt.Sprintf("_HLS_msn=%d", d.msn)
		}
		if d.part >= 0 {
			text += fmt.Sprintf("&_HLS_part=%d", d.part)
		}
		if d.skip {
			text += "&_HLS_skip=v2"
		}
		if again, err := parseDirectives(text); err != nil || again != d {
			t.Errorf("%q is %+v, but %q is %+v, %v", query, d, text, again, err)
		}
	})
}
