package ladder

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// ccData makes a message of ITU-T T.35.
func ccData(triplets ...[3]byte) []byte {
	message := append([]byte("\xB5\x00\x31GA94\x03"), 0x40|byte(len(triplets)), 0xFF)
	for _, t := range triplets {
		message = append(message, t[0], t[1], t[2])
	}
	return append(message, 0xFF)
}

// metadataOBU makes a metadata OBU of a message.
func metadataOBU(message []byte) []byte {
	const header, t35, trailing = 5<<3 | 2, 4, 0x80
	return append(append([]byte{header, byte(len(message) + 2), t35}, message...), trailing)
}

// sei makes a SEI NAL unit of cc_data, with emulation prevention.
func sei(codec media.Codec, triplets ...[3]byte) []byte {
	payload := ccData(triplets...)
	message := append([]byte{1, 1, 0x33, 4, byte(len(payload))}, payload...) // behind a pic_timing
	nal := []byte{6}
	if codec == media.HEVC {
		nal = []byte{39 << 1, 1}
	}
	zeros := 0
	for _, v := range append(message, 0x80) {
		if zeros == 2 && v <= 3 {
			nal, zeros = append(nal, 3), 0
		}
		if v == 0 {
			zeros++
		} else {
			zeros = 0
		}
		nal = append(nal, v)
	}
	return nal
}

// unitOf makes a picture of NAL units.
func unitOf(codec media.Codec, nals ...[]byte) *media.AccessUnit {
	u := &media.AccessUnit{Track: &media.Track{Kind: media.Video, Codec: codec, NALLengthSize: 4}}
	for _, n := range nals {
		u.Data = append(binary.BigEndian.AppendUint32(u.Data, uint32(len(n))), n...)
	}
	return u
}

// unitOfOBUs makes a temporal unit.
func unitOfOBUs(obus ...[]byte) *media.AccessUnit {
	return &media.AccessUnit{Track: &media.Track{Kind: media.Video, Codec: media.AV1}, Data: slices.Concat(obus...)}
}

func TestCaptions(t *testing.T) {
	cc := func(field, a, b byte) [3]byte { return [3]byte{0xFC | field, a, b} }
	// dtvcc is a packet with these bytes after its header, in triplets.
	dtvcc := func(b ...byte) [][3]byte {
		b = append([]byte{0}, b...)
		if len(b)%2 == 1 {
			b = append(b, 0)
		}
		b[0] = byte(len(b) / 2)
		var out [][3]byte
		for i := 0; i < len(b); i += 2 {
			kind := byte(0xFE)
			if i == 0 {
				kind = 0xFF
			}
			out = append(out, [3]byte{kind, b[i], b[i+1]})
		}
		return out
	}
	cases := []struct {
		name     string
		triplets [][3]byte
		want     playlist.Captions
	}{
		{"nothing", nil, playlist.Captions{}},
		{"padding", [][3]byte{cc(0, 0x80, 0x80), cc(1, 0x80, 0x80), {0xF8, 0, 0}, {0xFA, 0, 0}}, playlist.Captions{}},
		{"CC1, with parity", [][3]byte{cc(0, 0x94, 0x20), cc(0, 0xC8, 0x69)}, playlist.Captions{Channels: 1}},
		{"CC2 and CC3", [][3]byte{cc(0, 0x1C, 0x20), cc(1, 0x15, 0x20)}, playlist.Captions{Channels: 6}},
		{"CC4", [][3]byte{cc(1, 0x9D, 0x20)}, playlist.Captions{Channels: 8}},
		{"XDS", [][3]byte{cc(1, 0x01, 0x03)}, playlist.Captions{}},
		{"not valid", [][3]byte{{0xF8, 0x94, 0x20}}, playlist.Captions{}},
		{"service 1", dtvcc(1<<5|3, 'a', 'b', 'c'), playlist.Captions{Services: 1 << 1}},
		{"services 1, 2 and 40", dtvcc(1<<5|1, 'a', 2<<5|2, 'a', 'b', 7<<5|1, 40, 'x'), playlist.Captions{Services: 1<<1 | 1<<2 | 1<<40}},
		{"empty block", dtvcc(3<<5, 0, 0), playlist.Captions{}},
		{"lying block", dtvcc(1<<5|30, 'a'), playlist.Captions{}},
		{"zeros to escape", dtvcc(1<<5|4, 0, 0, 0, 1), playlist.Captions{Services: 1 << 1}},
	}
	slices := map[media.Codec][]byte{media.H264: {0x41, 0x9a}, media.HEVC: {1 << 1, 1}}
	for _, c := range cases {
		for codec, slice := range slices {
			t.Run(c.name+" "+string(codec), func(t *testing.T) {
				var before, after captionReader
				before.scan(unitOf(codec, sei(codec, c.triplets...), slice))
				if before.set != c.want {
					t.Errorf("got %+v, want %+v", before.set, c.want)
				}
				after.scan(unitOf(codec, slice, sei(codec, c.triplets...)))
				if after.set != c.want {
					t.Errorf("behind a slice, as OBS does: got %+v, want %+v", after.set, c.want)
				}
			})
		}
		for _, order := range []string{"before", "behind"} {
			t.Run(c.name+" AV1 "+order+" the picture", func(t *testing.T) {
				unit := [][]byte{{0x12, 0}, metadataOBU(ccData(c.triplets...)), {0x32, 2, 0x10, 0}} // temporal delimiter and frame
				if order == "behind" {
					unit[1], unit[2] = unit[2], unit[1]
				}
				var r captionReader
				r.scan(unitOfOBUs(unit...))
				if r.set != c.want {
					t.Errorf("got %+v, want %+v", r.set, c.want)
				}
			})
		}
	}
}

// TestCaptionsInSuffixSEI: HEVC has SEI for what stands behind the slices too.
func TestCaptionsInSuffixSEI(t *testing.T) {
	suffix := sei(media.HEVC, [3]byte{0xFC, 0x94, 0x20})
	suffix[0] = 40 << 1
	var c captionReader
	if c.scan(unitOf(media.HEVC, []byte{1 << 1, 1}, suffix)); c.set != (playlist.Captions{Channels: 1}) {
		t.Errorf("%+v", c.set)
	}
}

// TestCaptionPacketOverPictures: a DTVCC packet may go on in the next picture.
func TestCaptionPacketOverPictures(t *testing.T) {
	var c captionReader
	c.scan(unitOf(media.H264, sei(media.H264, [3]byte{0xFF, 3, 1<<5 | 4}, [3]byte{0xFE, 'a', 'b'}), []byte{0x41}))
	if c.set != (playlist.Captions{}) {
		t.Errorf("%+v", c.set)
	}
	c.scan(unitOf(media.H264, sei(media.H264, [3]byte{0xFE, 'c', 'd'}), []byte{0x41}))
	if c.set.Services != 2 {
		t.Errorf("%+v", c.set)
	}
}

// TestCaptionBounds: a picture of nothing but tiny NAL units costs no more than one that a level
// allows.
func TestCaptionBounds(t *testing.T) {
	filler := unitOf(media.H264, []byte{0x41}).Data
	for n, want := range map[int]playlist.Captions{maxNALUnits - 1: {Channels: 1}, maxNALUnits: {}} {
		u := unitOf(media.H264, sei(media.H264, [3]byte{0xFC, 0x94, 0x20}))
		u.Data = append(bytes.Repeat(filler, n), u.Data...)
		var c captionReader
		if c.scan(u); c.set != want {
			t.Errorf("behind %d NAL units: %+v, want %+v", n, c.set, want)
		}
	}
}

// TestHostileMetadataOBU: messages that are none, lie about their length, or end early.
func TestHostileMetadataOBU(t *testing.T) {
	message := ccData([3]byte{0xFC, 0x94, 0x20}, [3]byte{0xFD, 0x15, 0x20})
	changed := func(at int, v byte) []byte {
		m := slices.Clone(message)
		m[at] = v
		return metadataOBU(m)
	}
	lying := metadataOBU(message)
	lying[1]++
	for _, c := range []struct {
		name string
		unit []byte
		want playlist.Captions
	}{
		{"as it should be", metadataOBU(message), playlist.Captions{Channels: 5}},
		{"another country", changed(0, 0xB4), playlist.Captions{}},
		{"another provider", changed(2, 0x3B), playlist.Captions{}},
		{"another user", changed(6, '5'), playlist.Captions{}},
		{"bar data", changed(7, 6), playlist.Captions{}},
		{"not to be processed", changed(8, 2), playlist.Captions{}},
		{"more triplets told than there are", changed(8, 0x5F), playlist.Captions{Channels: 5}},
		{"fewer triplets told than there are", changed(8, 0x41), playlist.Captions{Channels: 1}},
		{"cut in a triplet", metadataOBU(message[:14]), playlist.Captions{Channels: 1}},
		{"cut in its head", metadataOBU(message[:9]), playlist.Captions{}},
		{"length beyond the unit", lying, playlist.Captions{}},
		{"of another metadata type", func() []byte { b := metadataOBU(message); b[2] = 5; return b }(), playlist.Captions{}},
		{"OBU of another type", func() []byte { b := metadataOBU(message); b[0] = 6<<3 | 2; return b }(), playlist.Captions{}},
	} {
		var r captionReader
		r.scan(unitOfOBUs(c.unit))
		if r.set != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, r.set, c.want)
		}
	}
}

// TestCaptionsShown: what was seen is in the multivariant view.
func TestCaptionsShown(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 25, Gop: 25}
	r := newRig(t, Options{})
	for i, u := range s.Until(10 * 1e9) {
		if i == 130 {
			u.Data = slices.Concat(unitOf(media.H264, sei(media.H264, [3]byte{0xFC, 0x94, 0x20})).Data, u.Data)
		}
		r.feed("", u)
		if v := r.show.View.Load(); v != nil && v.Renditions[0].Captions.Channels != 0 && i < 130 {
			t.Fatal("captions before there are any")
		}
	}
	if got := r.show.View.Load().Renditions[0].Captions; got != (playlist.Captions{Channels: 1}) {
		t.Errorf("%+v", got)
	}
}

// TestCaptionAllocations: looking for captions allocates nothing.
func TestCaptionAllocations(t *testing.T) {
	var c captionReader
	for _, u := range []*media.AccessUnit{
		unitOf(media.H264, sei(media.H264, [3]byte{0xFC, 0x94, 0x20}), make([]byte, 1000)),
		unitOfOBUs(metadataOBU(ccData([3]byte{0xFC, 0x94, 0x20})), []byte{0x30, 1, 2, 3}),
	} {
		if n := testing.AllocsPerRun(100, func() { c.scan(u) }); n > 0 || c.set.Channels != 1 {
			t.Errorf("%s: %v allocations, %+v", u.Track.Codec, n, c.set)
		}
	}
}

// FuzzCaptions: nothing that a picture holds makes the reader leave its bounds, and what it finds
// does not depend on what stands behind a length that lies, or in AV1 behind what is no OBU.
func FuzzCaptions(f *testing.F) {
	f.Add(sei(media.H264, [3]byte{0xFC, 0x94, 0x20}), byte(0))
	f.Add(sei(media.HEVC, [3]byte{0xFF, 2, 1<<5 | 2}, [3]byte{0xFE, 'a', 'b'}), byte(1))
	f.Add([]byte{6, 4, 255, 255, 255, 0, 0, 3, 0, 0, 3}, byte(0))
	f.Add(ccData([3]byte{0xFF, 2, 1<<5 | 2}, [3]byte{0xFE, 'a', 'b'}), byte(2))
	f.Add(metadataOBU(ccData([3]byte{0xFC, 0x94, 0x20})), byte(2))
	f.Fuzz(func(t *testing.T, nal []byte, kind byte) {
		codec := [...]media.Codec{media.H264, media.HEVC, media.AV1}[kind%3]
		var a, b, raw captionReader
		raw.scan(&media.AccessUnit{Track: &media.Track{Codec: codec, NALLengthSize: 1}, Data: nal})
		switch caption := [3]byte{0xFC, 0x94, 0x20}; codec {
		case media.AV1:
			const forbidden = 0x80
			message := metadataOBU(nal[:min(len(nal), 120)])
			before := unitOfOBUs(message, []byte{forbidden})
			a.scan(before)
			b.scan(unitOfOBUs(before.Data, metadataOBU(ccData(caption))))
		default:
			before := unitOf(codec, nal)
			before.Data = append(before.Data, 0xFF, 0xFF, 0xFF, 0xFF)
			a.scan(before)
			before.Data = append(before.Data, unitOf(codec, sei(codec, caption)).Data...)
			b.scan(before)
		}
		for _, set := range []playlist.Captions{a.set, raw.set} {
			if set.Channels > 15 || set.Services&1 != 0 {
				t.Errorf("%+v", set)
			}
		}
		if a.set != b.set {
			t.Errorf("%+v, %+v", a.set, b.set)
		}
	})
}
