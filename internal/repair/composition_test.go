package repair

import (
	"slices"
	"testing"
	"time"

	"livego/internal/media"
)

func TestCompositions(t *testing.T) {
	usual := []int{80, 160, 80, 0, 40, 160, 80, 0, 40, 160, 80, 0, 40}
	for _, c := range []struct {
		name     string
		in, want []int // ms, after the usual ones
	}{
		{"usual", []int{80, 0, 160}, []int{80, 0, 160}},
		{"a little more", []int{240, 560, 900}, []int{240, 560, 900}},
		{"one far ahead", []int{80, 3600_000, 160, 0}, []int{80, 80, 160, 0}},
		{"one that could be", []int{80, 5000, 160, 0}, []int{80, 80, 160, 0}},
		{"one before it is decoded", []int{80, -1500, 160}, []int{80, 80, 160}},
		{"one long before", []int{160, -8000_000, 0}, []int{160, 160, 0}},
		{"two", []int{80, 5000, -9000, 160}, []int{80, 80, 80, 160}},
		{"another delay from here on", []int{80, 2000, 2080, 2160, 2000, 2080}, []int{80, 80, 80, 2160, 2000, 2080}},
		{"negative from here on", []int{80, -600, -680, -600, -640}, []int{80, 80, 80, -600, -640}},
		{"a delay that no format has", []int{80, 20_000, 20_080, 20_000, 20_160, 20_040}, []int{80, 80, 80, 0, 160, 40}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s compositions
			var got []int
			for i, ms := range slices.Concat(usual, c.in) {
				mended := int(s.mend(time.Duration(ms)*time.Millisecond) / time.Millisecond)
				if i < len(usual) && mended != ms {
					t.Fatalf("%d became %d", ms, mended)
				}
				got = append(got, mended)
			}
			if got = got[len(usual):]; !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	var s compositions
	for _, ms := range []time.Duration{-5 * time.Hour, 0, 7 * time.Hour, 40 * time.Millisecond} {
		if got := s.mend(ms); got < 0 || got > 40*time.Millisecond {
			t.Errorf("at first, %v became %v", ms, got)
		}
	}
}

// TestCompositionOfAMessage: the message has the time that is meant, and all else of it is as it
// came.
func TestCompositionOfAMessage(t *testing.T) {
	var faults []Fault
	s := Session{
		Body:   func(like, u *media.AccessUnit) ([]byte, error) { return append([]byte("new"), u.Data...), nil },
		Report: func(f Fault) { faults = append(faults, f) },
	}
	track := &media.Track{Kind: media.Video, Codec: media.H264, Parsed: true, NALLengthSize: 4}
	for i, composition := range []time.Duration{40, 40, 9_000_000, 0, 40} {
		at := time.Duration(i) * 40 * time.Millisecond
		data := []byte{0, 0, 0, 3, 0x41, 0x9a, byte(i + 1)}
		u := media.AccessUnit{Track: track, DTS: at, PTS: at + composition*time.Millisecond, Body: data, Data: data, RandomAccess: i == 0}
		out := s.Append(nil, []media.AccessUnit{u})
		out = s.Flush(out)
		for _, v := range out {
			want, body := composition*time.Millisecond, string(data)
			if i == 2 {
				want, body = 40*time.Millisecond, "new"+body
			}
			if v.PTS-v.DTS != want || v.DTS != at || string(v.Body) != body || string(v.Data) != string(data) {
				t.Errorf("picture %d: composition time %v, body %q", i, v.PTS-v.DTS, v.Body)
			}
		}
	}
	if len(faults) == 0 || !slices.ContainsFunc(faults, func(f Fault) bool { return f.What == faultComposition }) {
		t.Errorf("%v", faults)
	}
}
