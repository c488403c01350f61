package flv

import (
	"math"
	"strings"
	"testing"

	"livego/internal/amf"
	"livego/internal/media"
)

// hdr10 is the colour information of an HDR10 stream: BT.2020 and PQ, mastered on a P3 display of
// 1,000 cd/m².
func hdr10() amf.Object {
	return amf.Object{
		{Name: "colorConfig", Value: amf.Object{
			{Name: "bitDepth", Value: 10.0}, {Name: "colorPrimaries", Value: 9.0}, {Name: "transferCharacteristics", Value: 16.0}, {Name: "matrixCoefficients", Value: 9.0},
		}},
		{Name: "hdrCll", Value: amf.Object{{Name: "maxFall", Value: 400.0}, {Name: "maxCLL", Value: 1000.0}}},
		{Name: "hdrMdcv", Value: amf.Object{
			{Name: "redX", Value: 0.68}, {Name: "redY", Value: 0.32}, {Name: "greenX", Value: 0.265}, {Name: "greenY", Value: 0.69},
			{Name: "blueX", Value: 0.15}, {Name: "blueY", Value: 0.06}, {Name: "whitePointX", Value: 0.3127}, {Name: "whitePointY", Value: 0.329},
			{Name: "maxLuminance", Value: 1000.0}, {Name: "minLuminance", Value: 0.005},
		}},
	}
}

// described is what hdr10 says. The numbers are those for this display in the manual of x265
// (--master-display).
var described = media.ColourDescription{
	Primaries: 9, Transfer: 16, Matrix: 9,
	Mastering: media.MasteringDisplay{
		Green: [2]uint16{13250, 34500}, Blue: [2]uint16{7500, 3000}, Red: [2]uint16{34000, 16000}, White: [2]uint16{15635, 16450},
		MaxLuminance: 10_000_000, MinLuminance: 50,
	},
	Light: media.ContentLight{Max: 1000, Average: 400},
}

// with returns hdr10 with one value of one of its objects changed, or without it for nil.
func with(object, name string, value any) amf.Object {
	o := hdr10()
	for _, p := range o {
		if p.Name != object {
			continue
		}
		properties := p.Value.(amf.Object)
		for i := range properties {
			if properties[i].Name == name {
				properties[i].Value = value
			}
		}
	}
	return o
}

func TestReadColour(t *testing.T) {
	change := func(f func(*media.ColourDescription)) media.ColourDescription {
		c := described
		f(&c)
		return c
	}
	noMastering := change(func(c *media.ColourDescription) { c.Mastering = media.MasteringDisplay{} })
	noLight := change(func(c *media.ColourDescription) { c.Light = media.ContentLight{} })
	dark := change(func(c *media.ColourDescription) { c.Mastering.MinLuminance = 0 })
	for _, c := range []struct {
		name  string
		value any
		want  media.ColourDescription
	}{
		{"HDR10", hdr10(), described},
		{"as an ECMA array", amf.ECMAArray(hdr10()), described},
		{"reset", amf.Undefined{}, media.ColourDescription{}},
		{"reset by null", nil, media.ColourDescription{}},
		{"reset by an empty object", amf.Object{}, media.ColourDescription{}},
		{"colour alone", hdr10()[:1], media.ColourDescription{Primaries: 9, Transfer: 16, Matrix: 9}},
		{"light alone", hdr10()[1:2], media.ColourDescription{Light: described.Light}},
		{"transfer alone", amf.Object{{Name: "colorConfig", Value: amf.Object{{Name: "transferCharacteristics", Value: 18.0}}}}, media.ColourDescription{Primaries: 2, Transfer: 18, Matrix: 2}},
		{"primaries that do not exist", with("colorConfig", "colorPrimaries", 256.0), change(func(c *media.ColourDescription) { c.Primaries = 2 })},
		{"reserved primaries", with("colorConfig", "colorPrimaries", 0.0), change(func(c *media.ColourDescription) { c.Primaries = 2 })},
		{"half a code point", with("colorConfig", "transferCharacteristics", 16.5), change(func(c *media.ColourDescription) { c.Transfer = 2 })},
		{"RGB", with("colorConfig", "matrixCoefficients", 0.0), change(func(c *media.ColourDescription) { c.Matrix = 0 })},
		{"a code point as text", with("colorConfig", "matrixCoefficients", "9"), change(func(c *media.ColourDescription) { c.Matrix = 2 })},
		{"a primary out of range", with("hdrMdcv", "greenY", 0.8401), noMastering},
		{"a primary of 0", with("hdrMdcv", "blueX", 0.0), noMastering},
		{"a primary missing", with("hdrMdcv", "whitePointX", nil), noMastering},
		{"a primary that is no number", with("hdrMdcv", "redX", math.NaN()), noMastering},
		{"too bright a display", with("hdrMdcv", "maxLuminance", 10001.0), noMastering},
		{"infinitely bright a display", with("hdrMdcv", "maxLuminance", math.Inf(1)), noMastering},
		{"no lowest luminance, as a 0", with("hdrMdcv", "minLuminance", 0.0), dark},
		{"too high a lowest luminance", with("hdrMdcv", "minLuminance", 5.1), noMastering},
		{"negative lowest luminance", with("hdrMdcv", "minLuminance", -0.1), noMastering},
		{"brightest pixel not known", with("hdrCll", "maxCLL", 0.0), change(func(c *media.ColourDescription) { c.Light.Max = 0 })},
		{"faintest light", with("hdrCll", "maxFall", 0.0001), change(func(c *media.ColourDescription) { c.Light.Average = 1 })},
		{"too bright a picture", with("hdrCll", "maxFall", 10000.5), noLight},
		{"negative light", with("hdrCll", "maxCLL", -1.0), noLight},
		{"light that is no number", with("hdrCll", "maxCLL", math.NaN()), noLight},
	} {
		got, ok := readColour(amf.Append(nil, "colorInfo", c.value))
		if got != c.want || !ok {
			t.Errorf("%s: %+v, %v", c.name, got, ok)
		}
	}
}

// TestReadColourMessages reads whole contents: what a message without colour information says
// changes nothing.
func TestReadColourMessages(t *testing.T) {
	matrix := media.ColourDescription{Primaries: 2, Transfer: 2, Matrix: 9}
	for _, c := range []struct {
		name, content string
		want          media.ColourDescription
		ok            bool
	}{
		// FFmpeg 7.1
		{"one value", "02 0009 'colorInfo' 03 000b 'colorConfig' 03 0012 'matrixCoefficients' 00 4022000000000000 000009 000009", matrix, true},
		{"another name before", "02 0001 'a' 05 02 0009 'colorInfo' 03 000b 'colorConfig' 03 0012 'matrixCoefficients' 00 4022000000000000 000009 000009", matrix, true},
		{"the last counts", "02 0009 'colorInfo' 03 000b 'colorConfig' 03 0012 'matrixCoefficients' 00 4022000000000000 000009 000009 02 0009 'colorInfo' 06", media.ColourDescription{}, true},
		{"nothing", "", media.ColourDescription{}, false},
		{"another name", "02 0001 'a' 06", media.ColourDescription{}, false},
		{"no value", "02 0009 'colorInfo'", media.ColourDescription{}, false},
		{"cut off", "02 0009 'colorInfo' 03 000b 'color'", media.ColourDescription{}, false},
		{"too long", "02 0009 'colorInfo' 06" + strings.Repeat("05", maxColour), media.ColourDescription{}, false},
	} {
		if got, ok := readColour(unhex(t, c.content)); got != c.want || ok != c.ok {
			t.Errorf("%s: %+v, %v", c.name, got, ok)
		}
	}
}

// TestColourOfTrack: colour information holds from the next key frame on, for all sequence headers,
// until it is replaced.
func TestColourOfTrack(t *testing.T) {
	colour := func(value any) string { return string(amf.Append([]byte("\xd4hvc1"), "colorInfo", value)) }
	header, key, inter := string(unhex(t, "90 'hvc1'"+hvcC)), "\x93hvc1\x00\x00\x00\x02\x26\x01", "\xa3hvc1\x00\x00\x00\x02\x02\x01"
	other := string(unhex(t, "90 'hvc1'"+strings.Replace(hvcC, "fcff", "fdff", 1)))
	none := media.ColourDescription{}
	var d Demuxer
	var tracks []*media.Track
	for i, c := range []struct {
		body string
		want media.ColourDescription
		new  bool // the track
	}{
		{header, none, true}, {colour(hdr10()), none, false}, {key, described, true}, {inter, described, false},
		{colour(hdr10()), described, false}, {header, described, false}, {key, described, false},
		{colour(amf.Undefined{}), described, false}, {inter, described, false}, {key, none, true}, {key, none, false},
		{colour(hdr10()), none, false}, {other, none, true}, {key, described, true},
		{"\xd4hvc1\x02\x00\x01a\x06", described, false}, {"\xd4hvc1\xff", described, false}, {key, described, false},
	} {
		units, err := d.Append(nil, TypeVideo, uint32(40*i), []byte(c.body))
		if err != nil || len(units) != 1 {
			t.Fatalf("message %d: %d units, %v", i, len(units), err)
		}
		track := units[0].Track
		if isNew := len(tracks) == 0 || track != tracks[len(tracks)-1]; track.Colour != c.want || isNew != c.new || !track.Parsed {
			t.Errorf("message %d: a new track %v, %+v", i, isNew, track.Colour)
		}
		tracks = append(tracks, track)
	}
}

// TestColourOfLegacyTrack: colour information has no legacy form, so it comes in the other one to
// pictures in this one.
func TestColourOfLegacyTrack(t *testing.T) {
	var d Demuxer
	for i, body := range []string{
		string(unhex(t, "17 00 000000"+avcC)), string(amf.Append([]byte("\xd4avc1"), "colorInfo", hdr10())), "\x17\x01\x00\x00\x00\x00\x00\x00\x02\x65\x88",
	} {
		units, err := d.Append(nil, TypeVideo, uint32(40*i), []byte(body))
		if err != nil || len(units) != 1 || !units[0].Track.Parsed || (i == 2) != (units[0].Track.Colour == described) {
			t.Fatalf("message %d: %v, %+v", i, err, units)
		}
	}
}

// FuzzColour checks that whatever is read lies in the ranges of Enhanced RTMP, and reads back.
func FuzzColour(f *testing.F) {
	f.Add(amf.Append(nil, "colorInfo", hdr10()))
	f.Add(amf.Append(nil, "colorInfo", with("hdrMdcv", "minLuminance", 0.0)))
	f.Add(amf.Append(nil, "colorInfo", amf.Undefined{}))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, ok := readColour(content)
		if !ok {
			if c != (media.ColourDescription{}) {
				t.Fatalf("%+v of nothing", c)
			}
			return
		}
		if (c.Primaries == 0) != (c.Transfer == 0) || c.Primaries == 0 && c.Matrix != 0 {
			t.Fatalf("%+v", c)
		}
		if m := c.Mastering; m != (media.MasteringDisplay{}) {
			for _, p := range [][2]uint16{m.Green, m.Blue, m.Red, m.White} {
				if p[0] < 5 || p[0] > 37000 || p[1] < 5 || p[1] > 42000 { // ITU-T H.265 §D.3.28
					t.Fatalf("%+v", m)
				}
			}
			if m.MaxLuminance < 50_000 || m.MaxLuminance > 100_000_000 || m.MinLuminance > 50_000 {
				t.Fatalf("%+v", m)
			}
		}
		if c.Light.Max > 10000 || c.Light.Average > 10000 {
			t.Fatalf("%+v", c.Light)
		}
	})
}
