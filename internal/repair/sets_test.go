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

// recordOf is the record of parameter sets.
func recordOf(t testing.TB, c media.Codec, sets ...string) string {
	var all [][]byte
	for _, s := range sets {
		all = append(all, unhex(t, s))
	}
	record, err := codec.Record(c, all)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", record)
}

// TestContradiction: the pictures are believed from the first on, also if the header comes again.
func TestContradiction(t *testing.T) {
	s := slicesOf(media.H264)
	other := recordOf(t, media.H264, avcOther, avcPPS)
	r, tr := begin(t), trackOf(t, media.H264, avcC)
	r.header(tr)
	key, inter := units(avcOther, avcPPS, s.first), units(s.interFirst)
	r.send(tr, message{0, true, key}, message{40, false, inter}, message{80, true, key})
	r.header(tr)
	r.send(tr, message{120, true, key}, message{160, true, units(s.first)})
	r.check("contradiction", "header "+avcC, "header "+other, "0* "+key, "40 "+inter, "80* "+key, "header "+other, "120* "+key,
		"160* "+units(s.first))
	r.reported("contradiction", faultContradicts)
	first := r.out[1].Track
	for i, u := range r.out[1:] {
		if u.Track != first {
			t.Errorf("unit %d has another track", i+1)
		}
	}
	if first.Width != 320 || first.Height != 180 || &r.out[1].Body[0] != &r.out[5].Body[0] {
		t.Errorf("%d x %d", first.Width, first.Height)
	}
	if r.out[2].Body == nil || !bytes.HasPrefix(r.out[2].Body, prefix) {
		t.Error("the pictures themselves are right: they pass as they came")
	}
}

// TestChange: a size that changes in the pictures is a new track and a new header, at the key
// frame; so is the way back.
func TestChange(t *testing.T) {
	for _, c := range []struct {
		codec           media.Codec
		header          string
		before, changed []string
	}{
		{media.H264, avcC, []string{avcSPS, avcPPS}, []string{avcOther, avcPPS}},
		{media.HEVC, hvcC, []string{hevcVPS, hevcSPS, hevcPPS}, []string{hevcVPS, hevcOther, hevcPPS}},
		{media.HEVC, hvcC, []string{hevcSPS}, []string{hevcOther}},
		{media.VVC, recordOf(t, media.VVC, vvcSPS, vvcPPS), []string{vvcSPS, vvcPPS}, []string{vvcOther, vvcPPS}},
	} {
		s := slicesOf(c.codec)
		whole := c.changed
		if len(c.changed) == 1 {
			whole = []string{hevcVPS, hevcOther, hevcPPS}
		}
		big, small := units(append(c.before, s.first)...), units(append(c.changed, s.first)...)
		inter := units(s.interFirst)
		r, tr := begin(t), trackOf(t, c.codec, c.header)
		r.header(tr)
		r.send(tr, message{0, true, big}, message{40, false, inter}, message{80, true, small}, message{120, false, inter},
			message{160, true, small}, message{200, true, big})
		r.check(string(c.codec), "header "+c.header, "0* "+big, "40 "+inter, "header "+recordOf(t, c.codec, whole...), "80* "+small,
			"120 "+inter, "160* "+small, "header "+c.header, "200* "+big)
		r.reported(string(c.codec), faultChanges)
		tracks := map[*media.Track]bool{}
		for _, u := range r.out {
			tracks[u.Track] = true
		}
		if len(tracks) != 3 {
			t.Errorf("%s: %d tracks", c.codec, len(tracks))
		}
	}
}

// hevcOther is the SPS of 320 x 240 with another level, vvcOther that of VVC with 640 x 360.
var hevcOther = strings.Replace(hevcSPS, "00003c9001", "00005d9001", 1)

const vvcOther = "0079000d0233800000140805a470"

// TestSetsOfPictureWithout: sets in a picture with which nothing begins hold from the next key
// frame on.
func TestSetsInOtherPictures(t *testing.T) {
	s := slicesOf(media.H264)
	r, tr := begin(t), trackOf(t, media.H264, avcC)
	r.header(tr)
	inter := units(avcOther, avcPPS, s.interFirst)
	r.send(tr, message{0, true, units(s.first)}, message{40, false, inter}, message{80, true, units(s.first)})
	r.check("in between", "header "+avcC, "0* "+units(s.first), "40 "+inter, "header "+recordOf(t, media.H264, avcOther, avcPPS), "80* "+units(s.first))
}

// TestPictureSets that come in the pictures only, and others than those in the header.
func TestPictureSets(t *testing.T) {
	s := slicesOf(media.H264)
	const lone = "0164000dffe10019" + avcSPS + "00"
	key := units(avcPPS, s.first)
	r, tr := begin(t), trackOf(t, media.H264, lone)
	r.header(tr)
	r.send(tr, message{0, true, key}, message{40, true, key})
	r.check("only in the pictures", "header "+lone, "header "+avcC, "0* "+key, "40* "+key)

	// A further one, with the number 1.
	const second = "685abc"
	r, tr = begin(t), trackOf(t, media.H264, avcC)
	r.header(tr)
	key = units(second, s.first)
	r.send(tr, message{0, true, key}, message{40, true, key})
	r.check("one more", "header "+avcC, "header "+recordOf(t, media.H264, avcSPS, second, avcPPS), "0* "+key, "40* "+key)

	// Another one with each key frame is left to the pictures in the end.
	r, tr = begin(t), trackOf(t, media.H264, avcC)
	r.header(tr)
	for i := range 100 {
		r.send(tr, message{40 * i, true, units(fmt.Sprintf("68eb%02xcb", i+1), s.first)})
	}
	headers := 0
	for _, u := range r.out {
		if u.Header == media.SequenceHeader {
			headers++
		}
	}
	if headers != 1+maxPictureSetChanges {
		t.Errorf("%d headers", headers)
	}
}

// TestHeaderForms: headers in the forms of the bitstream.
func TestHeaderForms(t *testing.T) {
	for _, c := range nalCodecs {
		s, sets := slicesOf(c), setsOf(c)
		for name, header := range map[string]string{
			"start codes":  stream(sets...),
			"lengths":      units(sets...),
			"both":         units(strings.TrimPrefix(stream(append([]string{""}, sets...)...), "00000001")),
			"and a slice":  stream(append(sets, s.first)...),
			"zeros behind": stream(sets...) + "0000",
		} {
			r, tr := begin(t), trackOf(t, c, header)
			if tr.Parsed {
				t.Fatalf("%s, %s: parses", c, name)
			}
			r.header(tr)
			r.send(tr, message{0, true, units(s.first)})
			r.header(tr)
			r.check(string(c)+", "+name, "header "+configOf(t, c), "0* "+units(s.first), "header "+configOf(t, c))
			r.reported(string(c)+", "+name, faultHeader)
		}
	}
	s := slicesOf(media.H264)
	r := begin(t)
	tr := trackOf(t, media.H264, "0164000dffe1001d00000001"+avcSPS+"01000a00000001"+avcPPS+"fdf8f800")
	r.header(tr)
	r.send(tr, message{0, true, units(s.first)})
	r.check("start codes in the record", "header "+avcC, "0* "+units(s.first))
	r.reported("start codes in the record", faultHeader)

	// What says nothing passes, until the pictures do.
	r = begin(t)
	tr = trackOf(t, media.H264, "ffff")
	r.header(tr)
	r.send(tr, message{0, true, units(avcSPS, avcPPS, s.first)})
	r.check("noise", "header ffff", "header "+avcC, "0* "+units(avcSPS, avcPPS, s.first))
	// A record with a zero behind its SPS is right enough to pass as it came.
	r = begin(t)
	zero := "0164000dffe1001a" + avcSPS + "00010006" + avcPPS + "fdf8f800"
	tr = trackOf(t, media.H264, zero)
	r.header(tr)
	r.send(tr, message{0, true, units(avcSPS, avcPPS, s.first)})
	r.check("zeros in the record", "header "+zero, "0* "+units(avcSPS, avcPPS, s.first))
	r.reported("zeros in the record")
}

// TestBeside: what is said beside the header holds for the track that was made, and other units
// have it.
func TestBeside(t *testing.T) {
	s := slicesOf(media.HEVC)
	const rpu8 = "7c01190809084061365060" // the head of Dolby Vision metadata, profile 8
	r, tr := begin(t), trackOf(t, media.HEVC, "")
	key := stream(hevcVPS, hevcSPS, hevcPPS, s.first, rpu8)
	r.send(tr, message{0, true, key})
	coloured := codec.Describe(tr, media.ColourDescription{Primaries: 9, Transfer: 16, Matrix: 9}, 0)
	r.out = r.Append(r.out, []media.AccessUnit{{Track: tr, Header: media.Colour, Data: []byte{1}}})
	r.send(coloured, message{40, true, key}, message{80, true, stream(s.first)})
	first, colour, second, third := r.out[1].Track, r.out[2], r.out[3].Track, r.out[4].Track
	switch {
	case first.DolbyVision != 8 || !first.Parsed || first.Colour != media.ColourDescription{}:
		t.Errorf("first: %+v", first)
	case colour.Track != first || colour.Header != media.Colour:
		t.Errorf("colour: %+v", colour)
	case second == first || second.DolbyVision != 8 || second.Colour.Transfer != 16 || &second.Config[0] != &first.Config[0]:
		t.Errorf("second: %+v", second)
	case third == second || third.DolbyVision != 0 || third.Colour.Transfer != 16:
		t.Errorf("third: %+v", third)
	}
}

// TestTracks: those of a message are told apart, and get bodies of their own if one of them is
// changed.
func TestTracks(t *testing.T) {
	s := slicesOf(media.H264)
	r := begin(t)
	good, odd := trackOf(t, media.H264, avcC), trackOf(t, media.H264, avcC)
	odd.ID = 1
	message := func(at time.Duration, first, second string) []media.AccessUnit {
		body := append(append(bytes.Clone(prefix), unhex(t, first)...), unhex(t, second)...)
		n := len(prefix) + len(first)/2
		return []media.AccessUnit{
			{Track: good, RandomAccess: true, DTS: at, PTS: at, Multitrack: true, Body: body, Data: body[len(prefix):n:n]},
			{Track: odd, RandomAccess: true, DTS: at, PTS: at, Multitrack: true, Shared: true, Body: body, Data: body[n:]},
		}
	}
	key := units(s.first)
	r.out = r.Append(r.out, message(0, key, key))
	if r.out[0].Shared || !r.out[1].Shared || &r.out[0].Body[0] != &r.out[1].Body[0] {
		t.Error("a right message was changed")
	}
	r.out = r.Append(r.out, message(time.Second, key, key+"00"))
	r.check("second", "0* "+key, "0* "+key, "1000* "+key, "1000* "+key)
	for _, u := range r.out[2:] {
		if u.Shared || !bytes.Equal(u.Body, append(bytes.Clone(prefix), u.Data...)) {
			t.Errorf("%+v", u)
		}
	}
}
