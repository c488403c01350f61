package flv

import (
	"bytes"
	"testing"

	"livego/internal/media"
)

// TestTrackIdentity checks when a track is the same pointer and when a new one.
func TestTrackIdentity(t *testing.T) {
	var d Demuxer
	feed := func(messageType uint8, body string) *media.Track {
		return one(t, &d, messageType, 0, unhex(t, body)).Track
	}
	early := feed(9, "27 01 000000 aa")
	first := feed(9, "17 00 000000"+avcC)
	if early == first || early.Parsed || early.Err == "" || !first.Parsed || first.Err != "" {
		t.Error("a header after frames must make a new, parsed track")
	}
	if feed(9, "17 01 000000 aa") != first || feed(9, "17 00 000000"+avcC) != first || feed(9, "57 00") != first {
		t.Error("a byte-equal header, a frame and a command must keep the track")
	}
	second := feed(9, "17 00 000000"+avcC444)
	if second == first || !second.Parsed {
		t.Error("another header must make a new track")
	}
	if feed(9, "17 00 000000 00000001 67") == second || feed(9, "17 00 000000"+avcC) == first {
		t.Error("a header that does not parse is a change, and the one after it too")
	}
	enhanced := feed(9, "90 'avc1'"+avcC)
	if enhanced.Name != "avc1" || feed(9, "17 01 000000 aa") == enhanced {
		t.Error("a change between the legacy and the enhanced body is a change of track")
	}

	mp3 := feed(8, "2f"+mp3At44100)
	if stereo := feed(8, "2e fffb400000"); stereo == mp3 || stereo.Channels != 2 {
		t.Error("mono and stereo MP3 are two tracks")
	}
	if joint, other := feed(8, "2f fffb404000"), feed(8, "2f fffb400000"); joint != other {
		t.Error("joint stereo is stereo")
	}
	mp3 = feed(8, "2f"+mp3At44100)
	if feed(8, "2f deadbeef00") != mp3 || feed(8, "2f") != mp3 || feed(8, "") != mp3 {
		t.Error("a frame that cannot be read, or none, must keep the track")
	}
	d = Demuxer{}
	pcm := feed(8, "72 aa")
	if feed(8, "72 bb") != pcm || feed(8, "73 aa") == pcm {
		t.Error("G.711 in stereo is another track than in mono")
	}
}

// TestFramesOfAnotherCodec: frames with a wrong codec in between are left out, of known codecs and
// of unknown ones, and take no header away, but another codec's header does.
func TestFramesOfAnotherCodec(t *testing.T) {
	const picture, sound = "27 01 000000 aa", "af 01 21"
	var d Demuxer
	feed := func(messageType uint8, body string) *media.Track {
		t.Helper()
		return one(t, &d, messageType, 0, unhex(t, body)).Track
	}
	stray := func(messageType uint8, body string) {
		t.Helper()
		if u, err := d.Append(nil, messageType, 0, unhex(t, body)); err == nil {
			t.Errorf("%s is of track %v", body, u[0].Track)
		}
	}
	first := feed(9, "17 00 000000"+avcC)
	for range 100 {
		for _, body := range []string{"24 aa", "25 aa", "2c 01 000000 aa", "1c 01 000000 aa", "a1 'abcd' aa", "91 'av01' aa", "a3 'hvc1' aa"} {
			stray(9, body)
		}
		if feed(9, picture) != first {
			t.Fatal("frames of other codecs took the header away")
		}
	}
	u := one(t, &d, 9, 0, unhex(t, "a6 11 'abcd' 00 000001 aa"))
	if u.Header != media.Command || u.Track != first {
		t.Errorf("a frame in a message of several tracks: %+v", u)
	}
	second := feed(9, "1c 00 000000"+hvcC)
	stray(9, picture)
	if feed(9, "2c 01 000000 aa") != second {
		t.Error("frames without a header took the last one away")
	}
	aac := feed(8, "af 00 1210")
	stray(8, "5f aa")
	stray(8, "b2 aa")
	stray(8, "7f aa")
	stray(8, "91 'abcd' aa")
	if feed(8, sound) != aac {
		t.Error("a frame of sound of an unknown codec took the header away")
	}
}

// TestAnotherCodecWithoutHeader is believed after some frames, and so is what it is then.
func TestAnotherCodecWithoutHeader(t *testing.T) {
	const other, another = "5f aa", "6f aa"
	var d Demuxer
	one(t, &d, 8, 0, unhex(t, "af 00 1210"))
	var track *media.Track
	for n := range maxStrays + 5 {
		u, err := d.Append(nil, 8, 0, unhex(t, other))
		if left := err != nil; left != (n < maxStrays) {
			t.Fatalf("frame %d: %v", n, err)
		}
		if err == nil {
			track = u[0].Track
		}
	}
	if track == nil || track.Name != "5" {
		t.Fatalf("it is %+v", track)
	}
	if _, err := d.Append(nil, 8, 0, unhex(t, "af 01 21")); err != nil {
		t.Error(err)
	}
	if _, err := d.Append(nil, 8, 0, unhex(t, another)); err == nil {
		t.Error("a stray frame is taken")
	}
}

// TestRepeatedUnparsedHeader checks that a header which does not parse is still the same track when
// it is repeated.
func TestRepeatedUnparsedHeader(t *testing.T) {
	for _, body := range []string{"17 00 000000 0102", "17 00 000000", "95 'av01' 0102", "90 'abcd' 0102"} {
		var d Demuxer
		first, again := one(t, &d, 9, 0, unhex(t, body)), one(t, &d, 9, 40, unhex(t, body))
		if first.Track != again.Track || first.Track.Parsed || first.Track.Err == "" {
			t.Errorf("%s: track %p then %p, parsed %v, reason %q", body, first.Track, again.Track, first.Track.Parsed, first.Track.Err)
		}
		if !bytes.Equal(again.Body, unhex(t, body)) {
			t.Errorf("%s: body %x", body, again.Body)
		}
	}
}

// TestPictureSize checks that VP8 and VP9 tracks are parsed once a key frame told the picture size.
func TestPictureSize(t *testing.T) {
	for fourCC, frame := range map[string]string{"vp08": vp8Key, "vp09": vp9Key} {
		var d Demuxer
		header := unhex(t, "90 '"+fourCC+"'"+vpcC)
		track := one(t, &d, 9, 0, header).Track
		if track.Parsed || track.Err == "" {
			t.Fatalf("%s: parsed without picture size", fourCC)
		}
		if one(t, &d, 9, 0, unhex(t, "a1 '"+fourCC+"'"+frame)).Track != track {
			t.Errorf("%s: only key frames tell the size", fourCC)
		}
		sized := one(t, &d, 9, 0, unhex(t, "91 '"+fourCC+"'"+frame)).Track
		if !sized.Parsed || sized.Width != 320 || sized.Height != 240 || !bytes.Equal(sized.Config, unhex(t, vpcC)) {
			t.Fatalf("%s: %+v", fourCC, sized)
		}
		if one(t, &d, 9, 40, unhex(t, "91 '"+fourCC+"'"+frame)).Track != sized || one(t, &d, 9, 40, header).Track != sized {
			t.Errorf("%s: the same size and header must keep the track", fourCC)
		}
	}
}
