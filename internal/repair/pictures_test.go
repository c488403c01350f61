package repair

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"livego/internal/codec"
	"livego/internal/media"
)

// Slices, by the standards' headers: the first one of a picture and another, of an IDR picture and
// of one that depends on others.
type slices4 struct{ first, second, interFirst, interSecond string }

func slicesOf(c media.Codec) slices4 {
	switch c {
	case media.H264:
		return slices4{"65888410", "65008411", "419a2212", "41102213"}
	case media.HEVC:
		return slices4{"2601af10", "26012f11", "0201d012", "02015013"}
	}
	return slices4{"0039c410", "00394411", "0001c412", "00014413"}
}

// delimiters, filler data, ends of sequence, and SEI before and behind the slices.
type others struct{ delimiter, filler, end, sei, setID string }

func othersOf(c media.Codec) others {
	switch c {
	case media.H264:
		return others{"09f0", "0cff80", "0a", "060501aa80", avcPPS}
	case media.HEVC:
		return others{"460150", "4c01ff80", "4801", "4e010501aa80", hevcPPS}
	}
	return others{"00a128", "00c9ff80", "00a9", "00b90501aa80", vvcPPS}
}

func configOf(t testing.TB, c media.Codec) string {
	switch c {
	case media.H264:
		return avcC
	case media.HEVC:
		return hvcC
	}
	record, err := codec.Record(c, [][]byte{unhex(t, vvcSPS), unhex(t, vvcPPS)})
	if err != nil {
		t.Fatal(err)
	}
	return string(hexOf(record))
}

func setsOf(c media.Codec) []string {
	switch c {
	case media.H264:
		return []string{avcSPS, avcPPS}
	case media.HEVC:
		return []string{hevcVPS, hevcSPS, hevcPPS}
	}
	return []string{vvcSPS, vvcPPS}
}

func hexOf(b []byte) []byte {
	const digits = "0123456789abcdef"
	var out []byte
	for _, v := range b {
		out = append(out, digits[v>>4], digits[v&15])
	}
	return out
}

var nalCodecs = []media.Codec{media.H264, media.HEVC, media.VVC}

// TestForms: what becomes of one key frame in each form, between two pictures that are right.
func TestForms(t *testing.T) {
	for _, c := range nalCodecs {
		s, o, sets := slicesOf(c), othersOf(c), setsOf(c)
		join := func(all ...[]string) (list []string) {
			for _, a := range all {
				list = append(list, a...)
			}
			return list
		}
		whole := units(o.delimiter, s.first, s.second)
		for _, tc := range []struct {
			name, data, want string
			fault            string
		}{
			{"right", whole, whole, ""},
			{"with all that may be there", units(join([]string{o.delimiter}, sets, []string{o.sei, s.first, s.second, o.filler, o.end})...),
				units(join([]string{o.delimiter}, sets, []string{o.sei, s.first, s.second, o.filler, o.end})...), ""},
			{"empty units between", units("-", o.delimiter, "-", s.first, s.second), whole, faultEmpty},
			{"an empty unit at the end", units(o.delimiter, s.first, s.second, "-"), whole, faultEmpty},
			{"one zero at the end", whole + "00", whole, faultZeros},
			{"three zeros at the end", whole + "000000", whole, faultZeros},
			{"one byte at the end", whole + "ff", whole, faultStray},
			{"a unit that is too long", whole + "00000009" + s.second, whole, faultBroken},
			{"a unit that is far too long", whole + "ffffffff" + s.second, whole, faultBroken},
			{"zeros within the length", units(o.delimiter, s.first+"0000", s.second+"00"), whole, faultZeros},
			{"a unit of zeros", units(o.delimiter, "000000", s.first, s.second), whole, faultZeros},
			{"a start code within the length", units(o.delimiter, "00000001"+s.first, "000001"+s.second), whole, faultStream},
			{"what is no NAL unit", units(o.delimiter, "ffff", s.first, s.second), whole, faultNoise},
			{"start codes of four bytes", stream(o.delimiter, s.first, s.second), whole, faultStream},
			{"start codes of three bytes", "000001" + o.delimiter + "000001" + s.first + "000001" + s.second, whole, faultStream},
			{"start codes and zeros", "0000000001" + o.delimiter + "000000000001" + s.first + "000001" + s.second + "0000", whole, faultStream},
			{"a delimiter in the middle", units(o.delimiter, s.first, o.delimiter, s.second), whole, faultDelimiter},
			{"a delimiter twice", units(o.delimiter, o.delimiter, s.first, s.second), whole, faultDelimiter},
			{"a delimiter at the end", units(o.delimiter, s.first, s.second, o.delimiter), whole, faultDelimiter},
			{"an end of sequence in front", units(o.end, o.delimiter, s.first, s.second), whole, faultDelimiter},
			{"no delimiter", units(s.first), units(s.first), ""},
		} {
			name := string(c) + ", " + tc.name
			r, tr := begin(t), trackOf(t, c, configOf(t, c))
			r.header(tr)
			data := strings.Join(strings.Fields(tc.data), "")
			r.send(tr, message{0, true, whole}, message{40, false, units(s.interFirst)}, message{80, true, data}, message{120, false, units(s.interFirst)})
			r.check(name, "header "+configOf(t, c), "0* "+whole, "40 "+units(s.interFirst), "80* "+tc.want, "120 "+units(s.interFirst))
			if tc.fault == "" {
				r.reported(name)
			} else {
				r.reported(name, tc.fault)
			}
		}
	}
}

// TestFirstPicture: the same forms from the first picture on, and all the time.
func TestFirstPicture(t *testing.T) {
	for _, c := range nalCodecs {
		s := slicesOf(c)
		key, inter := units(s.first, s.second), units(s.interFirst, s.interSecond)
		for name, wrap := range map[string]func(...string) string{
			"start codes":                   stream,
			"start codes of three bytes":    func(all ...string) string { return "000001" + strings.Join(all, "000001") },
			"start codes behind one length": func(all ...string) string { return units(strings.Join(all, "00000001")) },
			"start codes behind lengths": func(all ...string) string {
				for i := range all {
					all[i] = "00000001" + all[i]
				}
				return units(all...)
			},
			"empty units": func(all ...string) string { return units("-") + units(all...) + units("-", "-") },
			"stray bytes": func(all ...string) string { return units(all...) + "0102" },
		} {
			r, tr := begin(t), trackOf(t, c, configOf(t, c))
			r.header(tr)
			r.send(tr, message{0, true, wrap(s.first, s.second)}, message{40, false, wrap(s.interFirst, s.interSecond)},
				message{80, true, wrap(s.first, s.second)})
			r.check(string(c)+", "+name, "header "+configOf(t, c), "0* "+key, "40 "+inter, "80* "+key)
			if len(r.faults) != 1 {
				t.Errorf("%s, %s: %q", c, name, r.faults)
			}
			for i := range r.out {
				if u := &r.out[i]; u.Track != tr {
					t.Errorf("%s, %s: unit %d has another track", c, name, i)
				}
			}
		}
	}
}

// TestRightIsUntouched: the units are those that came, byte for byte and in the same memory.
func TestRightIsUntouched(t *testing.T) {
	for _, c := range nalCodecs {
		s := slicesOf(c)
		r, tr := begin(t), trackOf(t, c, configOf(t, c))
		r.header(tr)
		for i, data := range []string{units(s.first, s.second), units(s.interFirst), units(s.interFirst, s.interSecond)} {
			u := sample(t, tr, message{40 * i, i == 0, data})
			r.out = r.Flush(r.Append(r.out[:0], []media.AccessUnit{u}))
			if len(r.out) == 0 || &r.out[0].Body[0] != &u.Body[0] && i > 0 || !bytes.Equal(r.out[len(r.out)-1].Body, u.Body) ||
				&r.out[len(r.out)-1].Body[0] != &u.Body[0] {
				t.Errorf("%s, picture %d: %v", c, i, r.out)
			}
		}
		r.reported(string(c))
	}
}

// TestAllocations: what is right costs none.
func TestAllocations(t *testing.T) {
	s := slicesOf(media.H264)
	r, tr := begin(t), trackOf(t, media.H264, avcC)
	r.header(tr)
	r.send(tr, message{0, true, units(s.first)})
	units := []media.AccessUnit{sample(t, tr, message{40, true, units("09f0", avcSPS, avcPPS, s.first, s.second)})}
	if n := testing.AllocsPerRun(100, func() { r.out = r.Append(r.out[:0], units) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestLengthsLikeStartCodes: a first unit of 256 to 511 bytes begins like a start code, also behind
// empty units. Nor is a byte stream taken for lengths.
func TestLengthsLikeStartCodes(t *testing.T) {
	for _, c := range nalCodecs {
		s, o := slicesOf(c), othersOf(c)
		for _, n := range []int{256, 262, 300, 353, 359, 511} {
			long := s.interFirst + strings.Repeat("aa", n-len(s.interFirst)/2)
			sei := o.sei[:len(o.sei)-2] + strings.Repeat("aa", n-len(o.sei)/2+1)
			for name, tc := range map[string]struct{ data, want string }{
				"empty in front":  {units("-", long), units(long)},
				"empty behind":    {units(long, "-"), units(long)},
				"a byte behind":   {units(long) + "00", units(long)},
				"cut off":         {units(sei, s.interFirst) + "00000fff" + s.interFirst, units(sei, s.interFirst)},
				"a byte stream":   {"000001" + strings.Join([]string{o.delimiter, o.sei, long}, "000001"), units(o.delimiter, o.sei, long)},
				"of four bytes":   {stream(o.sei, long), units(o.sei, long)},
				"of one long SEI": {"000001" + sei + "000001" + s.interFirst, units(sei, s.interFirst)},
			} {
				r, tr := begin(t), trackOf(t, c, configOf(t, c))
				r.header(tr)
				r.send(tr, message{0, true, units(s.first)}, message{40, false, tc.data}, message{80, false, tc.data})
				r.check(fmt.Sprintf("%s, %d bytes, %s", c, n, name), "header "+configOf(t, c), "0* "+units(s.first), "40 "+tc.want, "80 "+tc.want)
			}
		}
	}
}

// TestLengths of other sizes become lengths of 4 bytes, in the header too.
func TestLengths(t *testing.T) {
	wrap := func(size int, all ...string) (s string) {
		for _, u := range all {
			s += units(u)[8-2*size:]
		}
		return s
	}
	s := slicesOf(media.H264)
	key, inter := units(s.first, s.second), units(s.interFirst)
	for size := 1; size <= 3; size++ {
		r, tr := begin(t), trackOf(t, media.H264, strings.Replace(avcC, "0dff", "0dfc", 1))
		config := unhex(t, avcC)
		config[4] = 0xFC | byte(size-1)
		codec.Configure(tr, config)
		r.header(tr)
		r.send(tr, message{0, true, wrap(size, s.first, s.second)}, message{40, false, wrap(size, s.interFirst)})
		r.check("lengths", "header "+avcC, "0* "+key, "40 "+inter)
		r.reported("lengths", faultHeader, faultLengths)
	}
	// The header says 4.
	r, tr := begin(t), trackOf(t, media.H264, avcC)
	r.header(tr)
	r.send(tr, message{0, true, wrap(2, s.first, s.second)}, message{40, false, wrap(2, s.interFirst)})
	r.check("lengths that contradict the header", "header "+avcC, "0* "+key, "40 "+inter)
}

// TestNoHeader: the track is made of the sets in the first key frame.
func TestNoHeader(t *testing.T) {
	for _, c := range nalCodecs {
		s := slicesOf(c)
		all := append(setsOf(c), s.first)
		for name, wrap := range map[string]func(...string) string{"lengths": units, "start codes": stream} {
			r, tr := begin(t), trackOf(t, c, "")
			r.send(tr, message{0, false, wrap(s.interFirst)}, message{40, true, wrap(all...)}, message{80, false, wrap(s.interFirst)},
				message{120, true, wrap(all...)})
			r.check(string(c)+", "+name, "0 "+units(s.interFirst), "header "+configOf(t, c), "40* "+units(all...), "80 "+units(s.interFirst),
				"120* "+units(all...))
			last := r.out[len(r.out)-1].Track
			if !last.Parsed || last.Width == 0 || last != r.out[1].Track || string(r.out[1].Body[:4]) != "made" || r.out[1].DTS != 40*time.Millisecond {
				t.Errorf("%s, %s: %+v", c, name, last)
			}
		}
	}
}

// TestSetsInMessagesOfTheirOwn come together with the picture behind them.
func TestSetsInMessagesOfTheirOwn(t *testing.T) {
	for _, c := range nalCodecs {
		s, o := slicesOf(c), othersOf(c)
		r, tr := begin(t), trackOf(t, c, "")
		r.send(tr, message{0, true, units(o.delimiter)})
		for _, set := range setsOf(c) {
			r.send(tr, message{0, true, units(set)})
		}
		r.send(tr, message{0, false, units(o.sei)}, message{0, true, units(o.delimiter, s.first)}, message{40, false, units(o.filler)},
			message{40, false, units(s.interFirst)}, message{80, false, units(o.end)}, message{80, false, units(s.interFirst)})
		all := append(append([]string{o.delimiter}, setsOf(c)...), o.sei, s.first)
		r.check(string(c), "header "+configOf(t, c), "0* "+units(all...), "40 "+units(s.interFirst), "80 "+units(s.interFirst))
	}
}

// TestSplitPictures: messages of one slice each.
func TestSplitPictures(t *testing.T) {
	for _, c := range nalCodecs {
		s := slicesOf(c)
		r, tr := begin(t), trackOf(t, c, configOf(t, c))
		r.header(tr)
		r.send(tr, message{0, true, units(s.first)}, message{0, true, units(s.second)}, message{0, true, units(s.second)},
			message{40, false, units(s.interFirst)}, message{40, false, units(s.interSecond)}, message{80, false, units(s.interFirst)},
			message{83, false, units(s.interSecond)}) // by the clock of its arrival
		if r.Waits() != splitFor {
			t.Error("the newest picture is not waited for")
		}
		r.check(string(c), "header "+configOf(t, c), "0* "+units(s.first, s.second, s.second), "40 "+units(s.interFirst, s.interSecond),
			"80 "+units(s.interFirst, s.interSecond))
		r.reported(string(c), faultSlices)
		// After many that came whole nobody waits any more.
		for i := range wholes + 2 {
			r.send(tr, message{1000 + 40*i, false, units(s.interFirst, s.interSecond)})
		}
		if r.Waits() != 0 {
			t.Errorf("%s: whole pictures are waited for", c)
		}
	}
}

// TestFirstPictureWaits for what else may be of it: until the next message of its track, or a later
// one of another.
func TestFirstPictureWaits(t *testing.T) {
	s := slicesOf(media.H264)
	for _, c := range []struct {
		name  string
		next  message
		waits bool
	}{
		{"sound before", message{data: "2110", ms: 90}, true},
		{"sound of its time", message{data: "2110", ms: 100}, false},
		{"later sound", message{data: "2110", ms: 120}, false},
	} {
		r, tr := begin(t), trackOf(t, media.H264, avcC)
		r.header(tr)
		r.send(tr, message{100, true, units(s.first)})
		if r.Waits() != firstFor {
			t.Fatal("the first picture is not waited for")
		}
		r.send(trackOf(t, media.AAC, "1210"), c.next)
		if (r.Waits() > 0) != c.waits {
			t.Errorf("%s: waits %v", c.name, r.Waits())
		}
	}
}

// TestSeveralPictures in one message are one each, a picture's length apart.
func TestSeveralPictures(t *testing.T) {
	for _, c := range nalCodecs {
		s, o := slicesOf(c), othersOf(c)
		config := configOf(t, c)
		step := 40 // of 25 pictures a second
		r, tr := begin(t), trackOf(t, c, config)
		r.header(tr)
		key := append(append([]string{o.delimiter}, setsOf(c)...), s.first, s.second)
		all := append(append([]string{}, key...), o.delimiter, s.interFirst, s.interSecond, o.sei, s.interFirst)
		r.send(tr, message{0, true, units(all...)}, message{3 * step, false, units(s.interFirst, s.interFirst)})
		r.check(string(c), "header "+config, "0* "+units(key...), "40 "+units(o.delimiter, s.interFirst, s.interSecond),
			"80 "+units(o.sei, s.interFirst), "120 "+units(s.interFirst), "160 "+units(s.interFirst))
		r.reported(string(c), faultPieces)
		r = begin(t)
		r.header(tr)
		r.send(tr, message{0, true, units(s.first)}, message{step, true, units(append([]string{s.interFirst}, key...)...)})
		r.check(string(c)+", a key frame behind", "header "+config, "0* "+units(s.first), "40 "+units(s.interFirst), "80* "+units(key...))
	}
}

// TestFields: two fields of H.264 are one access unit, as they are one picture.
func TestFields(t *testing.T) {
	// x264 made it of interlaced pictures: frame_mbs_only_flag is 0.
	const interlacedSPS = "67640015acd94143360220000003002000000643e28532c0"
	s := slicesOf(media.H264)
	config, err := codec.Record(media.H264, [][]byte{unhex(t, interlacedSPS), unhex(t, avcPPS)})
	if err != nil {
		t.Fatal(err)
	}
	r, tr := begin(t), trackOf(t, media.H264, string(hexOf(config)))
	r.header(tr)
	r.send(tr, message{0, true, units(s.first, s.interFirst)}, message{40, false, units(s.interFirst, s.interFirst)})
	r.check("fields", "header "+string(hexOf(config)), "0* "+units(s.first, s.interFirst), "40 "+units(s.interFirst, s.interFirst))
	r.reported("fields")
}

// TestUnmarkedKeyFrames are marked.
func TestUnmarkedKeyFrames(t *testing.T) {
	for _, c := range nalCodecs {
		s := slicesOf(c)
		r, tr := begin(t), trackOf(t, c, configOf(t, c))
		r.header(tr)
		r.send(tr, message{0, false, units(s.first)}, message{40, false, units(s.interFirst)}, message{80, false, units(s.first)})
		r.check(string(c), "header "+configOf(t, c), "0* "+units(s.first), "40 "+units(s.interFirst), "80* "+units(s.first))
		r.reported(string(c), faultUnmarked)
	}
}

// TestUnreadable: what cannot be read of a good track is left out; a track of which nothing can be
// read passes as it came, but is no track to package.
func TestUnreadable(t *testing.T) {
	for _, c := range nalCodecs {
		s := slicesOf(c)
		r, tr := begin(t), trackOf(t, c, configOf(t, c))
		r.header(tr)
		r.send(tr, message{0, true, "ffffffffffff"}, message{40, false, "ffff"})
		if r.check(string(c), "header "+configOf(t, c), "0* ffffffffffff", "40 ffff"); r.out[1].Track.Parsed || r.out[1].Track.Err == "" {
			t.Errorf("%s: %+v", c, r.out[1].Track)
		}
		r.out = nil
		r.send(tr, message{80, true, units(s.first)}, message{120, false, "ffff"}, message{160, false, "00000000"}, message{200, false, units(s.interFirst)})
		if r.check(string(c)+", then good", "80* "+units(s.first), "200 "+units(s.interFirst)); r.out[0].Track != tr {
			t.Errorf("%s: %+v", c, r.out[0].Track)
		}
		r.reported(string(c), faultUnreadable, faultNoPicture, faultEmpty, faultBroken, faultStray)
	}
}

// TestForeignPictures: a track of NAL units in which nothing known stands passes as it came, in
// this one H.264 by the name of VVC.
func TestForeignPictures(t *testing.T) {
	key, inter := units(avcSPS, avcPPS, "060501aa80", "65888410"), units("419a2212")
	config := configOf(t, media.VVC)
	r, tr := begin(t), trackOf(t, media.VVC, config)
	r.header(tr)
	r.send(tr, message{0, true, key}, message{40, false, inter}, message{80, true, key})
	r.check("foreign", "header "+config, "0* "+key, "40 "+inter, "80* "+key)
	r.reported("foreign", faultNoise, faultUnreadable)
}

// TestLayers: units of layers above, alone in a message, are not looked at.
func TestLayers(t *testing.T) {
	r, tr := begin(t), trackOf(t, media.HEVC, hvcC)
	r.header(tr)
	r.send(tr, message{0, true, units("2601af10")}, message{0, true, units("2609af10")})
	r.check("layers", "header "+hvcC, "0* "+units("2601af10"), "0* "+units("2609af10"))
	r.reported("layers")
}

// TestUnknownUnits: units that have no picture and mean nothing here, in messages of their own, go
// in front of the next picture. Players took them for pictures.
func TestUnknownUnits(t *testing.T) {
	for c, other := range map[media.Codec]string{media.H264: "1e0304", media.HEVC: "60010304", media.VVC: "00f10304"} {
		s := slicesOf(c)
		r, tr := begin(t), trackOf(t, c, configOf(t, c))
		r.header(tr)
		r.send(tr, message{0, true, units(s.first)}, message{40, false, units(other)}, message{40, false, units(s.interFirst)}, message{80, false, units(other)})
		r.check(string(c), "header "+configOf(t, c), "0* "+units(s.first), "40 "+units(other, s.interFirst))
		r.reported(string(c), faultAlone)
	}
}

// TestManyUnits: a message of nothing but tiny units costs no more than a bounded look.
func TestManyUnits(t *testing.T) {
	s := slicesOf(media.H264)
	r, tr := begin(t), trackOf(t, media.H264, avcC)
	r.header(tr)
	slice := units(s.interSecond)
	r.send(tr, message{0, true, units(s.first)}, message{40, false, units(s.interFirst) + strings.Repeat(slice, 3*maxUnits)})
	r.check("many", "header "+avcC, "0* "+units(s.first), "40 "+units(s.interFirst)+strings.Repeat(slice, maxUnits-1))
	r.reported("many", faultMany)
	r.send(tr, message{80, false, strings.Repeat("00", 40*maxUnits)})
	r.reported("zeros", faultMany, faultEmpty, faultNoPicture)
}

// BenchmarkRight is what a picture costs that is right: one slice of 10 KB.
func BenchmarkRight(b *testing.B) {
	r, tr := begin(b), trackOf(b, media.H264, avcC)
	r.header(tr)
	r.send(tr, message{0, true, units("65888410")})
	long := sample(b, tr, message{40, false, units("06 0501aa80", "419a2212"+strings.Repeat("aa", 10_000))})
	all := []media.AccessUnit{long}
	b.ReportAllocs()
	for b.Loop() {
		r.out = r.Append(r.out[:0], all)
	}
}
