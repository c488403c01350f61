package hlsclient

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	tscodecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"
)

// opusPacket is one of 20 ms with a number (RFC 6716 §3.1: configuration 31, one frame).
func opusPacket(n byte) []byte { return []byte{31 << 3, n, 0xEE} }

// opusSegment is MPEG-TS with so many packets of Opus, numbered from first on, from a time in ms
// on.
func opusSegment(t *testing.T, channels uint8, first, n int, at int64) string {
	t.Helper()
	var b bytes.Buffer
	track := &mpegts.Track{Codec: &tscodecs.Opus{Desc: &substructs.OpusAudioDescriptor{ChannelConfigCode: channels}}}
	w := &mpegts.Writer{W: &b, Tracks: []*mpegts.Track{track}}
	if err := w.Initialize(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteTables(); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < n; i += 2 { // two in each PES packet
		if err := w.WriteOpus(track, (at+int64(i)*20)*90, [][]byte{opusPacket(byte(first + i)), opusPacket(byte(first + i + 1))}); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// TestOpusInTransport: Opus in MPEG-TS, in parts of one file, over a discontinuity after which it
// has other channels.
func TestOpusInTransport(t *testing.T) {
	first, second := opusSegment(t, 2, 0, 10, 1000), opusSegment(t, 2, 10, 10, 1200)
	s := serve(t, map[string]string{
		"/all.ts":   first + second,
		"/other.ts": opusSegment(t, 6, 20, 10, 500_000),
		"/live.m3u8": head + fmt.Sprintf("#EXTINF:0.2,\n#EXT-X-BYTERANGE:%d@0\nall.ts\n#EXTINF:0.2,\n#EXT-X-BYTERANGE:%d\nall.ts\n", len(first), len(second)) +
			"#EXT-X-DISCONTINUITY\n#EXTINF:0.2,\nother.ts\n#EXT-X-ENDLIST\n",
	})
	c, err := s.open(t, "/live.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	var times []uint32
	var heads, frames [][]byte
	for {
		kind, ms, body, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || kind != 8 || len(body) < 5 || string(body[1:5]) != "Opus" {
			t.Fatalf("type %d, %x, %v", kind, body, err)
		}
		if body[0]&15 == 0 { // SequenceStart (Enhanced RTMP v2, ExAudioTagHeader)
			heads = append(heads, body[5:])
			continue
		}
		times, frames = append(times, ms), append(frames, body[5:])
	}
	if len(heads) != 2 || heads[0][9] != 2 || heads[0][18] != 0 || !bytes.Equal(heads[1][9:], []byte{6, 0, 0, 0x80, 0xBB, 0, 0, 0, 0, 1, 4, 2, 0, 4, 1, 2, 3, 5}) {
		t.Errorf("headers %x", heads)
	}
	for i, frame := range frames {
		if !bytes.Equal(frame, opusPacket(byte(i))) {
			t.Fatalf("frame %d is %x", i, frame)
		}
		want := uint32(1000 + i*20)
		if i >= 20 {
			want = uint32(500_000 + (i-20)*20)
		}
		if times[i] != want {
			t.Errorf("frame %d at %d ms, want %d", i, times[i], want)
		}
	}
	if len(frames) != 30 || !slices.IsSorted(times) {
		t.Errorf("%d frames at %d", len(frames), times)
	}
}

// TestUnknownCodecs: what cannot be played at all is said, and not waited for.
func TestUnknownCodecs(t *testing.T) {
	text := opusSegment(t, 2, 0, 2, 0)
	s := serve(t, map[string]string{
		"/av1.m3u8": head + "#EXTINF:1,\nav1.ts\n", "/av1.ts": string(bytes.Replace([]byte(text), []byte("\x05\x04Opus"), []byte(registrationAV1), 1)),
		"/dual.m3u8": head + "#EXTINF:1,\ndual.ts\n", "/dual.ts": opusSegment(t, 0, 0, 2, 0),
	})
	for _, path := range []string{"/av1.m3u8", "/dual.m3u8"} {
		if _, err := s.open(t, path); !errors.Is(err, ErrCodec) {
			t.Errorf("%s: %v, want %v", path, err, ErrCodec)
		}
	}
}
