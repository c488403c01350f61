package flv

import (
	"bytes"
	"testing"

	"livego/internal/codec"
	"livego/internal/media"
)

// TestBodyLike: what is repaired has the form of what came, by FLV E.4.2, E.4.3 and E-RTMP v2, and
// a Demuxer reads it back.
func TestBodyLike(t *testing.T) {
	const other = "014d400cffe10019674d400ceca0a0cfcf80880000030008000003019078a14cb001000668ebe3cb22c0"
	for _, c := range []struct {
		name        string
		messageType uint8
		body        string
		key         bool
		sample      string // "" makes the sequence header other
		want        string
	}{
		{"AVC", 9, "27 01 ffffd8 00000001 41", false, "aabb", "27 01 ffffd8 aabb"},
		{"AVC, a key frame that was not marked", 9, "27 01 000028 00000001 65", true, "aa", "17 01 000028 aa"},
		{"AVC, no key frame", 9, "17 01 000000 00000001 41", false, "aa", "27 01 000000 aa"},
		{"AVC, disposable", 9, "37 01 000000 00000001 41", false, "aa", "37 01 000000 aa"},
		{"AVC header", 9, "27 01 000028 00000001 41", false, "", "17 00 000000" + other},
		{"AVC header in the place of one", 9, "17 00 000000 00000001 67", false, "", "17 00 000000" + other},
		{"HEVC of old encoders", 9, "1c 01 000000 00000001 26", true, "aa", "1c 01 000000 aa"},
		{"HEVC header of old encoders", 9, "2c 01 000028 00000001 02", false, "", "1c 00 000000" + other},
		{"Enhanced AVC", 9, "91 'avc1' 000028 00000001 65", true, "aa", "91 'avc1' 000028 aa"},
		{"Enhanced HEVC without composition time", 9, "a3 'hvc1' 00000001 02", false, "aa", "a3 'hvc1' aa"},
		{"Enhanced HEVC with nanoseconds", 9, "97 02 07a120 03 'hvc1' 00000001 26", true, "aa", "97 02 07a120 03 'hvc1' aa"},
		{"Enhanced header", 9, "97 02 07a120 03 'hvc1' 00000001 26", true, "", "90 'hvc1'" + other},
		{"AV1", 9, "91 'av01' 0a00", true, "aa", "91 'av01' aa"},
		{"one track of several", 9, "96 01 'avc1' 05 ffffd8 00000001 65", true, "aa", "96 01 'avc1' 05 ffffd8 aa"},
		{"one of a message of several", 9, "a6 11 'hvc1' 03 000005 000001 aabb 04 000004 000002 cc", false, "dd", "a6 01 'hvc1' 03 000001 dd"},
		{"one of a message of several AV1", 9, "96 13 'av01' 03 000002 aabb 04 000001 cc", true, "dd", "96 01 'av01' 03 dd"},
		{"header of one track of several", 9, "a6 01 'avc1' 05 ffffd8 00000001 41", false, "", "96 00 'avc1' 05" + other},
		{"AAC", 8, "af 01 fff1", true, "2110", "af 01 2110"},
		{"AAC, mono by its first byte", 8, "ae 01 fff1", true, "2110", "ae 01 2110"},
		{"AAC header", 8, "ae 01 fff1", true, "", "ae 00" + other},
		{"Enhanced AAC header", 8, "91 'mp4a' fff1", true, "", "90 'mp4a'" + other},
		{"Enhanced Opus header", 8, "91 'Opus' fc", true, "", "90 'Opus'" + other},
		{"one track of sound of several", 8, "95 01 'Opus' 02 fc", true, "fd", "95 01 'Opus' 02 fd"},
	} {
		var d Demuxer
		units, err := d.Append(nil, c.messageType, 40, unhex(t, c.body))
		if err != nil {
			t.Fatal(c.name, err)
		}
		u := units[0]
		u.Data, u.RandomAccess = unhex(t, c.sample), c.key
		if c.sample == "" {
			track := *u.Track
			codec.Configure(&track, unhex(t, other))
			u.Header, u.Track, u.Data, u.PTS = media.SequenceHeader, &track, nil, u.DTS
		}
		got, err := BodyLike(&units[0], &u)
		if err != nil || !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%s: %x, %v", c.name, got, err)
			continue
		}
		var again Demuxer
		back, err := again.Append(nil, c.messageType, 40, got)
		if err != nil || len(back) != 1 || back[0].PTS != u.PTS || back[0].Nanos != u.Nanos && c.sample != "" || !bytes.Equal(back[0].Data, u.Data) ||
			back[0].Track.ID != u.Track.ID || back[0].Track.Codec != u.Track.Codec || c.sample != "" && back[0].RandomAccess != c.key {
			t.Errorf("%s: %v, %v", c.name, back, err)
		}
	}
}

func TestBodyLikeErrors(t *testing.T) {
	var d Demuxer
	picture := one(t, &d, 9, 0, unhex(t, "17 01 000000 00000001 65"))
	for name, c := range map[string]struct{ like, unit media.AccessUnit }{
		"another kind of unit":   {picture, media.AccessUnit{Track: picture.Track, Header: media.Colour}},
		"no body":                {media.AccessUnit{Track: picture.Track}, picture},
		"a sample like a header": {one(t, &d, 9, 0, unhex(t, "17 00 000000"+avcC)), picture},
		"another codec id":       {one(t, new(Demuxer), 9, 0, unhex(t, "12 aa")), media.AccessUnit{Track: picture.Track, Header: media.SequenceHeader}},
		"unknown codec": {one(t, new(Demuxer), 9, 0, unhex(t, "91 'abcd' aa")), media.AccessUnit{
			Track: one(t, new(Demuxer), 9, 0, unhex(t, "91 'abcd' aa")).Track, Header: media.SequenceHeader,
		}},
	} {
		if got, err := BodyLike(&c.like, &c.unit); err == nil {
			t.Errorf("%s: %x", name, got)
		}
	}
}

// TestBodyLikeComposes: a picture may get another composition time.
func TestBodyLikeComposes(t *testing.T) {
	for body, want := range map[string]string{
		"27 01 36ee80 00000001 41":                  "27 01 000050 aa",
		"2c 01 800000 00000001 02":                  "2c 01 000050 aa",
		"97 02 07a120 01 'hvc1' 36ee80 00000001 26": "a7 02 07a120 01 'hvc1' 000050 aa",
		"96 01 'avc1' 05 36ee80 00000001 65":        "a6 01 'avc1' 05 000050 aa",
		"27 01 000000 00000001 41":                  "27 01 000050 aa",
		"a1 'hvc1' 000000 00000001 02":              "a1 'hvc1' 000050 aa",
		"a3 'hvc1' 00000001 02":                     "a1 'hvc1' 000050 aa",
		"97 02 07a120 03 'hvc1' 00000001 26":        "a7 02 07a120 03 'hvc1' aa", // there is no room for it
		"a1 'av01' 0a00":                            "a1 'av01' aa",
	} {
		var d Demuxer
		units, err := d.Append(nil, 9, 40, unhex(t, body))
		if err != nil {
			t.Fatal(body, err)
		}
		u := units[0]
		u.Data, u.RandomAccess, u.PTS = unhex(t, "aa"), false, u.DTS+ms(80)
		if got, err := BodyLike(&units[0], &u); err != nil || !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("%s: %x, %v, want %s", body, got, err, want)
		}
	}
}
