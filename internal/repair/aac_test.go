package repair

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"livego/internal/media"
)

// adts puts an ADTS header before a frame (ISO/IEC 14496-3 §1.A.2.2): of AAC-LC, with a rate by its
// index.
func adts(rate, channels int, frame string) string {
	n := len(frame)/2 + 7
	v := uint64(0xFFF1)<<40 | 1<<38 | uint64(rate)<<34 | uint64(channels)<<30 | uint64(n)<<13 | 0x7FF<<2
	return fmt.Sprintf("%014x", v) + frame
}

const frame1, frame2 = "2110a1b2c3", "2110d4e5"

func TestADTS(t *testing.T) {
	if got := adts(4, 2, frame1); !strings.HasPrefix(got, "fff1508001") { // 44.1 kHz stereo, 12 bytes
		t.Fatal(got)
	}
	withCRC := strings.Replace(adts(4, 2, "beef"+frame1), "fff1", "fff0", 1)
	for _, c := range []struct {
		name, config, data string
		want               []string
		faults             []string
	}{
		{"raw", "1210", frame1, []string{"0 " + frame1}, nil},
		{"behind a right header", "1210", adts(4, 2, frame1), []string{"0 " + frame1}, []string{faultADTS}},
		{"behind a right header of SBR", "2b920800", adts(7, 2, frame1), []string{"0 " + frame1}, []string{faultADTS}},
		{"behind one that says something else", "1190", adts(4, 2, frame1), []string{"header 1210", "0 " + frame1}, []string{faultADTS, faultContradicts}},
		{"without a header", "", adts(4, 2, frame1), []string{"header 1210", "0 " + frame1}, []string{faultADTS, faultNoHeader}},
		{"without a header, mono at 48 kHz", "", adts(3, 1, frame1), []string{"header 1188", "0 " + frame1}, []string{faultADTS, faultNoHeader}},
		{"with a checksum", "1210", withCRC, []string{"0 " + frame1}, []string{faultADTS}},
		{"two frames", "1210", adts(4, 2, frame1) + adts(4, 2, frame2), []string{"0 " + frame1, "23 " + frame2}, []string{faultADTS}},
		{"a byte behind", "1210", adts(4, 2, frame1) + "00", []string{"0 " + frame1}, []string{faultADTS, faultADTSBroken}},
		{"a frame that is cut off", "1210", adts(4, 2, frame1)[:20], []string{"0 " + frame1[:6]}, []string{faultADTS, faultADTSBroken}},
		{"a second that is cut off", "1210", adts(4, 2, frame1) + adts(4, 2, frame2)[:20], []string{"0 " + frame1}, []string{faultADTS, faultADTSBroken}},
		{"channels in the frames, behind a right header", "1210", adts(4, 0, frame1), []string{"0 " + frame1}, []string{faultADTS}},
		{"a reserved rate", "1210", adts(13, 2, frame1), []string{"0 " + adts(13, 2, frame1)}, nil},
	} {
		r, tr := begin(t), trackOf(t, media.AAC, c.config)
		want := c.want
		if c.config != "" {
			r.header(tr)
			want = append([]string{"header " + c.config}, want...)
		}
		r.send(tr, message{data: c.data})
		r.check(c.name, want...)
		r.reported(c.name, c.faults...)
	}
}

// TestADTSGoesOn: the header is made once, and an ADTS header in the place of a sequence header is
// one.
func TestADTSGoesOn(t *testing.T) {
	r, tr := begin(t), trackOf(t, media.AAC, "")
	r.send(tr, message{ms: 0, data: adts(4, 2, frame1)}, message{ms: 23, data: adts(4, 2, frame2)})
	r.check("twice", "header 1210", "0 "+frame1, "23 "+frame2)
	last := r.out[2].Track
	if !last.Parsed || last.SampleRate != 44100 || last.Channels != 2 || last != r.out[1].Track {
		t.Errorf("%+v", last)
	}
	r, tr = begin(t), trackOf(t, media.AAC, adts(4, 2, ""))
	r.header(tr)
	r.send(tr, message{data: adts(4, 2, frame1)})
	r.check("as a header", "header 1210", "0 "+frame1)
	r.reported("as a header", faultHeader, faultADTS)
}

// TestLOAS takes frames out of LATM, which come with their configuration and without.
func TestLOAS(t *testing.T) {
	config := &mpeg4audio.StreamMuxConfig{Programs: []*mpeg4audio.StreamMuxConfigProgram{{Layers: []*mpeg4audio.StreamMuxConfigLayer{{
		AudioSpecificConfig: &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 44100, ChannelConfig: 2},
		LatmBufferFullness:  255,
	}}}}}
	loas := func(same bool, frame string) string {
		e := mpeg4audio.AudioMuxElement{MuxConfigPresent: true, UseSameStreamMux: same, StreamMuxConfig: config,
			Payloads: [][][][]byte{{{unhex(t, frame)}}}}
		b, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		b, err = mpeg4audio.AudioSyncStream{AudioMuxElements: [][]byte{b}}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x", b)
	}
	if got := loas(false, frame1); !strings.HasPrefix(got, "56e0") {
		t.Fatal(got)
	}
	r, tr := begin(t), trackOf(t, media.AAC, "")
	r.send(tr, message{ms: 0, data: loas(false, frame1)}, message{ms: 23, data: loas(true, frame2)}, message{ms: 46, data: loas(false, frame1) + loas(true, frame2)})
	r.check("LOAS", "header 1210", "0 "+frame1, "23 "+frame2, "46 "+frame1, "69 "+frame2)
	r.reported("LOAS", faultLOAS, faultNoHeader)
	// What only begins like it passes.
	r, tr = begin(t), trackOf(t, media.AAC, "1210")
	r.header(tr)
	r.send(tr, message{data: "56e0ff112233445566"}, message{ms: 23, data: "56e0"})
	r.check("not LOAS", "header 1210", "0 56e0ff112233445566", "23 56e0")
	r.reported("not LOAS")
}

func TestOpusWithoutHeader(t *testing.T) {
	const head = "4f707573486561640102000080bb0000000000"
	r, tr := begin(t), trackOf(t, media.Opus, "")
	r.send(tr, message{data: "fcfffe"}, message{ms: 20, data: "fcfffe"})
	r.check("Opus", "header "+head, "0 fcfffe", "20 fcfffe")
	if last := r.out[2].Track; !last.Parsed || last.Channels != 2 || last.SampleRate != 48000 {
		t.Errorf("%+v", last)
	}
}

// TestSilence: an empty audio message says that there is silence. It passes.
func TestSilence(t *testing.T) {
	r, tr := begin(t), trackOf(t, media.AAC, "1210")
	r.out = r.Append(r.out, []media.AccessUnit{{Track: tr, Body: []byte{}, Data: []byte{}, DTS: time.Second, PTS: time.Second}})
	if len(r.out) != 1 || r.out[0].Body == nil || len(r.out[0].Data) != 0 {
		t.Errorf("%+v", r.out)
	}
}
