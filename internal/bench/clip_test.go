package bench

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"livego/internal/flv"
	"livego/internal/media"
)

// TestExpGolomb has the codes of H.264 Table 9-2.
func TestExpGolomb(t *testing.T) {
	for v, want := range map[uint32]string{0: "1", 1: "010", 2: "011", 3: "00100", 7: "0001000", 8: "0001001", 25: "000011010"} {
		var w bitWriter
		w.ue(v)
		got := ""
		for _, b := range w.bytes {
			got += fmt.Sprintf("%08b", b)
		}
		if used := len(w.bytes)*8 - w.free; got[:used] != want {
			t.Errorf("ue(%d) = %s, want %s", v, got[:used], want)
		}
	}
}

// TestEmulationPrevention has the examples of H.264 §7.4.1.1: no three bytes inside a NAL unit are
// 00 00 00 to 00 00 03.
func TestEmulationPrevention(t *testing.T) {
	for rbsp, want := range map[string]string{
		"\x00\x00\x00":                 "\x65\x00\x00\x03\x00",
		"\x00\x00\x01":                 "\x65\x00\x00\x03\x01",
		"\x00\x00\x03\x00\x00\x03":     "\x65\x00\x00\x03\x03\x00\x00\x03\x03",
		"\x00\x00\x04\x00\x01":         "\x65\x00\x00\x04\x00\x01",
		"\x00\x00\x00\x00\x00\x00\xFF": "\x65\x00\x00\x03\x00\x00\x03\x00\x00\xFF",
	} {
		if got := nalUnit(nalIDR, []byte(rbsp)); string(got) != want {
			t.Errorf("% x becomes % x, want % x", rbsp, got, want)
		}
	}
}

// TestVideo reads what the built-in video says of itself with somebody else's parser, and weighs
// it.
func TestVideo(t *testing.T) {
	for _, rate := range []int{100_000, 452_000, 2_504_000, 20_000_000} {
		v := newVideo(rate)
		sps, pps := v.parameterSets()
		var parsed h264.SPS
		if err := parsed.Unmarshal(sps); err != nil {
			t.Fatal(err)
		}
		if parsed.Width() != columns*16 || parsed.Height() != v.rows*16 || parsed.FPS() != frameRate || len(pps) < 3 {
			t.Errorf("%d x %d at %v pictures a second, PPS % x", parsed.Width(), parsed.Height(), parsed.FPS(), pps)
		}
		total := 0
		pictures := v.pictures()
		for i, p := range pictures {
			total += len(p)
			if key := h264.NALUType(p[0]&0x1F) == h264.NALUTypeIDR; key != (i == 0) {
				t.Errorf("picture %d begins with %#x", i, p[0])
			}
		}
		want := rate / 8 * gopPictures / frameRate
		if len(pictures) != gopPictures || total < want*97/100 || total > want*103/100 {
			t.Errorf("%d pictures of %d bytes at %d bit/s, want %d", len(pictures), total, rate, want)
		}
	}
}

// TestKeyFrames checks the key frames at the default rate against what encoders make of it.
func TestKeyFrames(t *testing.T) {
	if n := len(newVideo(2_504_000).pictures()[0]); n < 60_000 || n > 100_000 {
		t.Errorf("key frames have %d bytes", n)
	}
}

func TestAudio(t *testing.T) {
	var config mpeg4audio.AudioSpecificConfig
	if err := config.Unmarshal(audioSpecificConfig()); err != nil {
		t.Fatal(err)
	}
	if config.Type != mpeg4audio.ObjectTypeAACLC || config.SampleRate != sampleRate || config.ChannelConfig != 1 {
		t.Errorf("%+v", config)
	}
	for _, rate := range []int{64_000, 96_000, 128_000, 320_000} {
		for _, stamped := range []bool{false, true} {
			frame, _ := silence(rate, stamped)
			if want := rate * samplesPerFrame / sampleRate / 8; len(frame) < want-20 || len(frame) > want+4 {
				t.Errorf("frame of %d bytes at %d bit/s, want %d", len(frame), rate, want)
			}
		}
	}
}

// TestBuiltIn takes the clip apart as a server does.
func TestBuiltIn(t *testing.T) {
	for _, rates := range [][2]int{{452_000, 64_000}, {452_000, 0}, {0, 64_000}} {
		c, err := builtIn(rates[0], rates[1])
		if err != nil {
			t.Fatal(err)
		}
		var d flv.Demuxer
		for _, m := range c.headers {
			if _, err := d.Append(nil, m.kind, 0, m.body); err != nil {
				t.Fatal(err)
			}
		}
		count := map[media.Kind]int{}
		var last time.Duration
		for _, m := range c.media {
			units, err := d.Append(nil, m.kind, uint32(m.at.Milliseconds()), m.body)
			if err != nil || len(units) != 1 || !units[0].Track.Parsed || units[0].Header != media.Sample {
				t.Fatalf("%+v, %v", units, err)
			}
			if m.at < last || m.at >= c.length {
				t.Fatalf("a message at %v after %v", m.at, last)
			}
			last = m.at
			count[units[0].Track.Kind]++
			if wantStamp := m.kind == flv.TypeVideo || rates[0] == 0; wantStamp != (m.stamp > 0) {
				t.Fatalf("type %d has its stamp at %d", m.kind, m.stamp)
			}
		}
		for kind, want := range map[media.Kind]int{media.Video: 256 * 30 * min(rates[0], 1), media.Audio: 256 * 44100 / 1024 * min(rates[1], 1)} {
			if count[kind] != want {
				t.Errorf("%v: %d %v messages, want %d", rates, count[kind], kind, want)
			}
		}
	}
}

func TestStamp(t *testing.T) {
	sent := time.Unix(1_700_000_000, 123_456_789)
	body, digits := appendStamp([]byte{0x17, 1, 0, 0, 0}, []byte{nalSEI})
	body = appendNAL(body, []byte{nalIDR, 1, 2, 3})
	writeStamp(body[digits:], sent, 0xFFFFFFFE)
	got, number, ok := findStamp(body)
	if !ok || !got.Equal(sent) || number != 0xFFFFFFFE {
		t.Errorf("%v, %d, %v", got, number, ok)
	}
	// The unit as H.264 §7.3.2.3 has it: length, header, payload type and size, UUID, user data,
	// trailing bits.
	want := "\x00\x00\x00\x2C\x06\x05\x28" + stampUUID + "17979cfe3d85cd15fffffffe" + "\x80"
	if unit := string(body[5 : 5+stampedLength]); unit != want {
		t.Errorf("% x\nwant % x", unit, want)
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "cut off": body[:digits+5], "no digits": bytes.ReplaceAll(body, []byte("1797"), []byte("zzzz")),
	} {
		if _, _, ok := findStamp(bad); ok {
			t.Errorf("%s: found", name)
		}
	}
}

// file writes tags as an FLV file.
func file(tags ...flv.Tag) []byte {
	b := flv.AppendFileHeader(nil, true, true)
	for _, tag := range tags {
		b = flv.AppendTag(b, tag.Type, tag.TimestampMS, tag.Body)
	}
	return b
}

func TestReadClip(t *testing.T) {
	made, err := builtIn(452_000, 64_000)
	if err != nil {
		t.Fatal(err)
	}
	delimiter := "\x00\x00\x00\x02\x09\x10"
	picture := "\x27\x01\x00\x00\x00" + delimiter + "\x00\x00\x00\x04\x41\x9A\x01\x02"
	video := func(at uint32, body string) flv.Tag {
		return flv.Tag{Type: flv.TypeVideo, TimestampMS: at, Body: []byte(body)}
	}
	tags := []flv.Tag{{Type: flv.TypeData, Body: made.headers[0].body}}
	for _, h := range made.headers[1:] {
		tags = append(tags, flv.Tag{Type: h.kind, Body: h.body})
	}
	tags = append(tags, video(1000, strings.Replace(picture, "\x27", "\x17", 1)), video(1040, picture), video(1080, picture))
	c, err := readClip(bytes.NewReader(file(tags...)))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.headers) != 3 || len(c.media) != 3 || c.length != 120*time.Millisecond || c.media[1].at != 40*time.Millisecond {
		t.Fatalf("%d headers, %d messages, %v, the second at %v", len(c.headers), len(c.media), c.length, c.media[1].at)
	}
	body := c.media[1].body
	writeStamp(body[c.media[1].stamp:], time.Unix(1, 0), 7)
	if !strings.HasPrefix(string(body), picture[:5]+delimiter+"\x00\x00\x00\x2C\x06") || !strings.HasSuffix(string(body), picture[11:]) {
		t.Errorf("% x", body)
	}
	if _, number, ok := findStamp(body); !ok || number != 7 {
		t.Errorf("stamp %d, %v", number, ok)
	}
}

func TestReadClipRefuses(t *testing.T) {
	audio := flv.Tag{Type: flv.TypeAudio, Body: []byte("\x2F\xFF\xFB\x90\x00")}
	for name, content := range map[string][]byte{
		"not FLV": []byte("RIFF...................."), "no media": file(), "one message": file(audio), "no length": file(audio, audio),
		"cut off": file(audio)[:20],
	} {
		if _, err := readClip(bytes.NewReader(content)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestStampedPicture has where a stamp goes: in front of the picture, but behind an access unit
// delimiter, in the codec's own kind of SEI.
func TestStampedPicture(t *testing.T) {
	for name, c := range map[string]struct {
		codec             media.Codec
		delimiter, header string
	}{
		"H.264":                 {media.H264, "", "\x06\x05"},
		"H.264 with delimiter":  {media.H264, "\x00\x00\x00\x02\x09\x10", "\x06\x05"},
		"HEVC":                  {media.HEVC, "", "\x4E\x01\x05"},
		"HEVC with delimiter":   {media.HEVC, "\x00\x00\x00\x03\x46\x01\x50", "\x4E\x01\x05"},
		"another":               {media.VVC, "", ""},
		"H.264, delimiter only": {media.H264, "\x00\x00\x00\x02\x09", "\x06\x05"},
	} {
		data := c.delimiter + "\x00\x00\x00\x04\x26\x01\xAF\x08"
		if strings.HasSuffix(name, "only") {
			data, c.delimiter = c.delimiter, ""
		}
		body := []byte("\x17\x01\x00\x00\x00" + data)
		u := &media.AccessUnit{Track: &media.Track{Codec: c.codec}, Data: body[5:]}
		m := stampedPicture(message{body: body}, u)
		if c.header == "" {
			if m.stamp != 0 || len(m.body) != len(body) {
				t.Errorf("%s: % x", name, m.body)
			}
			continue
		}
		front, rest := "\x17\x01\x00\x00\x00"+c.delimiter+"\x00\x00\x00", c.header+"\x28"+stampUUID
		got := string(m.body)
		if !strings.HasPrefix(got, front) || !strings.HasPrefix(got[len(front)+1:], rest) || !strings.HasSuffix(got, data[len(c.delimiter):]) {
			t.Errorf("%s: % x", name, got)
		}
		if string(body[5:]) != data {
			t.Errorf("%s: the picture that was given has changed", name)
		}
		writeStamp(m.body[m.stamp:], time.Unix(5, 0), 9)
		if sent, number, ok := findStamp(m.body); !ok || number != 9 || sent.Unix() != 5 {
			t.Errorf("%s: %v, %d, %v", name, sent, number, ok)
		}
	}
}
