package repair

import (
	"fmt"
	"slices"
	"testing"

	"livego/internal/media"
)

// recoveryOf is what says in a picture of a codec that decoding may begin there: an SEI message, or
// in VVC the picture itself.
func recoveryOf(c media.Codec) (sei []string, slice string) {
	s := slicesOf(c)
	switch c {
	case media.H264:
		return []string{"06060309c10080"}, s.interFirst
	case media.HEVC:
		return []string{"4e0106012480"}, s.interFirst
	}
	return nil, "0051c412"
}

// access lists the random access points that came out: their times, with R where they are recovery
// points.
func (r *run) access() (all []string) {
	r.out = r.Flush(r.out)
	for i := range r.out {
		if u := &r.out[i]; u.Header == media.Sample && u.RandomAccess {
			what := fmt.Sprint(u.DTS.Seconds())
			if u.Recovery {
				what += "R"
			}
			all = append(all, what)
		}
	}
	return all
}

// TestRecoveryPoints: a picture that is marked as key frame and is none is no sync sample. One that
// is not marked is a random access point if there was none for five seconds, and marked then;
// without recovery points players begin anywhere after ten.
func TestRecoveryPoints(t *testing.T) {
	for _, c := range nalCodecs {
		s := slicesOf(c)
		sei, slice := recoveryOf(c)
		recovery, inter, sync := units(append(sei, slice)...), units(s.interFirst), units(s.first)
		for _, test := range []struct {
			name string
			// each second has one picture: of what kind, and whether it is marked.
			pictures []string
			marked   bool
			want     []string
			faults   []string
		}{
			{"IDR pictures each second", []string{sync, sync, sync}, true, []string{"0", "1", "2"}, nil},
			{"intra refresh, marked", []string{sync, inter, recovery, inter, inter, inter, recovery}, true, []string{"0", "2R", "6R"}, []string{faultRecovery}},
			{"a recovery point soon after an IDR picture, marked", []string{sync, inter, recovery, inter, sync}, true, []string{"0", "2R", "4"}, nil},
			{"the same, not marked", []string{sync, inter, recovery, inter, sync}, false, []string{"0", "4"}, []string{faultUnmarked}},
			{"not marked, for long", []string{sync, inter, recovery, inter, recovery, inter, recovery, inter, recovery, recovery, recovery, recovery}, false,
				[]string{"0", "6R", "11R"}, []string{faultUnmarked, faultRecovery}},
			{"no IDR picture at all", []string{inter, recovery, inter, inter, recovery, recovery, inter}, false, []string{"5R"}, []string{faultRecovery}},
			{"nothing at all", []string{inter, inter, inter, inter, inter, inter, inter, inter, inter, inter, inter, inter, inter}, false,
				[]string{"10R"}, []string{faultNoAccess, faultRecovery}},
			{"one IDR picture and then nothing", []string{sync, inter, inter, inter, inter, inter, inter, inter, inter, inter, inter, inter}, false,
				[]string{"0"}, []string{faultUnmarked}},
		} {
			t.Run(string(c)+", "+test.name, func(t *testing.T) {
				r, tr := begin(t), trackOf(t, c, configOf(t, c))
				r.header(tr)
				for i, data := range test.pictures {
					r.send(tr, message{1000 * i, test.marked && data != inter, data})
				}
				if got := r.access(); !slices.Equal(got, test.want) {
					t.Errorf("random access points %v, want %v", got, test.want)
				}
				r.reported(test.name, test.faults...)
			})
		}
	}
}

// TestMarkedPictures: all pictures are marked as key frames, and some are. Players begin at those;
// if there was none for half a minute, anywhere.
func TestMarkedPictures(t *testing.T) {
	for _, c := range nalCodecs {
		s := slicesOf(c)
		sync, inter := units(s.first), units(s.interFirst)
		r, tr := begin(t), trackOf(t, c, configOf(t, c))
		r.header(tr)
		for i, data := range []string{sync, inter, inter, sync, inter} {
			r.send(tr, message{1000 * i, true, data})
		}
		r.send(tr, message{32_000, true, inter}, message{34_000, true, inter})
		if got := r.access(); !slices.Equal(got, []string{"0", "3", "34R"}) {
			t.Errorf("%s: random access points %v", c, got)
		}
		r.reported(string(c), faultMarked, faultRecovery)
	}
	// Pictures of intra slices are random access points in H.264, as cameras make them.
	r, tr := begin(t), trackOf(t, media.H264, avcC)
	r.header(tr)
	r.send(tr, message{0, true, units(slicesOf(media.H264).first)}, message{1000, true, units("41888410")}, message{2000, true, units("41b08410")})
	if got := r.access(); !slices.Equal(got, []string{"0", "1R", "2R"}) {
		t.Errorf("of intra slices: random access points %v", got)
	}
	r.reported("of intra slices")
}

// TestSkippedPictures: RASL pictures behind a CRA picture are known, those that can be decoded
// (RADL) are not among them.
func TestSkippedPictures(t *testing.T) {
	for c, p := range map[media.Codec][4]string{
		media.HEVC: {"2a01af10", "1001d012", "1201d012", "0e01d012"},
		media.VVC:  {"0049c410", "0019c412", "0019c412", "0011c412"},
	} {
		r, tr := begin(t), trackOf(t, c, configOf(t, c))
		r.header(tr)
		for i := range 8 {
			r.send(tr, message{40 * i, i%4 == 0, units(p[i%4])})
		}
		r.out = r.Flush(r.out)
		for i := range 8 {
			u := r.out[1+i]
			if want := i%4 == 1 || i%4 == 2; u.Skipped != want || u.Recovery || u.RandomAccess != (i%4 == 0) {
				t.Errorf("%s, picture %d: %+v", c, i, u)
			}
		}
		r.reported(string(c))
	}
}
