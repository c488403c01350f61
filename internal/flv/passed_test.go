package flv

import (
	"strings"
	"testing"

	"livego/internal/amf"
)

// TestPassed: metadata says by which servers a stream has come, whole where all of it is passed on,
// and the last one where nginx-rtmp made its own of it; what else it says stays.
func TestPassed(t *testing.T) {
	const way = "0123456789abcdef,fedcba9876543210"
	metadata := func(o ...amf.Property) []byte { return amf.Append(nil, "onMetaData", amf.ECMAArray(o)) }
	width := amf.Property{Name: "width", Value: 320.0}
	nginx := func(profile string) []byte {
		return metadata(width, amf.Property{Name: "profile", Value: profile + strings.Repeat("\x00", 32-len(profile))})
	}
	for _, c := range []struct {
		what string
		body []byte
		want string
	}{
		{"ours", AppendPassed(nil, metadata(width), way), way},
		{"ours, by another name before", AppendPassed(nil, metadata(width, amf.Property{Name: "profile", Value: "High"}), way), way},
		{"of nginx-rtmp", nginx("livego fedcba9876543210"), "fedcba9876543210"},
		{"of nginx-rtmp, with a profile", nginx("High"), ""},
		{"of somebody who makes it long", metadata(amf.Property{Name: "livegoPath", Value: strings.Repeat("x", maxPassed+1)}), ""},
		{"without", AppendPassed(nil, metadata(width), ""), ""},
	} {
		var d Demuxer
		units, err := d.Append(nil, TypeData, 0, c.body)
		if err != nil || len(units) != 1 || d.Passed() != c.want {
			t.Errorf("%s: %v, %d units, %q", c.what, err, len(units), d.Passed())
		}
	}
	plain := metadata(width)
	if got := AppendPassed(nil, plain, way); len(got)-len(plain) > MaxPassed(way) || !strings.Contains(string(got), "width") {
		t.Errorf("%d bytes more than %d: %q", len(got)-len(plain), len(plain), got)
	}
	for _, other := range []string{"", "\x02\x00\x05onCue", "\x02\x00\x0aonMetaData"} {
		if got := AppendPassed([]byte("x"), []byte(other), way); string(got) != "x"+other {
			t.Errorf("%q became %q", other, got)
		}
	}
}
