package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// form is a way in which encoders send a clip otherwise than the standards ask. What all players
// get must be the clip.
type form struct {
	name string
	clip string
	wrap wrapping
	nal  nalCodec
	// odd makes the tags that are sent.
	odd func(tags []tag) []tag
}

// eachPicture changes the data of pictures, given as NAL units.
func eachPicture(change func(nals [][]byte) []byte) func([]tag) []tag {
	return func(tags []tag) (odd []tag) {
		for _, one := range tags {
			if one.kind == typeVideo && !one.isHeader() {
				head := headOf(one)
				one.body = slices.Concat(head, change(splitNALs(one.body[len(head):])))
			}
			odd = append(odd, one)
		}
		return odd
	}
}

// headOf is what stands before the sample.
func headOf(one tag) []byte {
	_, data := one.sample()
	return one.body[:len(one.body)-len(data)]
}

// joinNALs puts lengths of so many bytes before NAL units.
func joinNALs(size int, nals ...[]byte) (data []byte) {
	for _, nal := range nals {
		length := binary.BigEndian.AppendUint32(nil, uint32(len(nal)))
		data = append(append(data, length[4-size:]...), nal...)
	}
	return data
}

// startCodes makes a byte stream of NAL units.
func startCodes(nals [][]byte) (data []byte) {
	for i, nal := range nals {
		code := []byte{0, 0, 0, 1}
		if i%2 == 1 {
			code = code[1:]
		}
		data = append(append(data, code...), nal...)
	}
	return data
}

// parameterSets are those of an AVCDecoderConfigurationRecord or an HEVCDecoderConfigurationRecord
// of one set of each type.
func parameterSets(config []byte, codec nalCodec) (sets [][]byte) {
	next := func(at int) int {
		n := int(binary.BigEndian.Uint16(config[at:]))
		sets = append(sets, config[at+2:at+2+n])
		return at + 2 + n
	}
	if codec == h264NAL {
		next(next(6) + 1)
		return sets
	}
	for at := 23; len(sets) < 3; {
		at = next(at + 3)
	}
	return sets
}

// inBand puts the parameter sets of the header before each key frame.
func inBand(codec nalCodec, tags []tag) (odd []tag) {
	var sets [][]byte
	for _, one := range tags {
		if one.kind == typeVideo && one.isHeader() && !one.endsSequence() {
			sets = parameterSets(one.body[5:], codec)
		}
		if one.isKey() {
			head := headOf(one)
			one.body = slices.Concat(head, joinNALs(4, sets...), one.body[len(head):])
		}
		odd = append(odd, one)
	}
	return odd
}

// without leaves out the sequence headers of a kind.
func withoutHeaders(kind byte, tags []tag) []tag {
	return slices.DeleteFunc(slices.Clone(tags), func(one tag) bool { return one.kind == kind && one.isHeader() })
}

// withADTS puts an ADTS header before each frame (ISO/IEC 14496-3 §1.A.2.2): AAC-LC, 48 kHz, mono.
func withADTS(tags []tag) (odd []tag) {
	for _, one := range tags {
		if one.kind == typeAudio && !one.isHeader() {
			raw := one.body[2:]
			n := len(raw) + 7
			one.body = slices.Concat(one.body[:2], []byte{0xFF, 0xF1, 1<<6 | 3<<2, 1<<6 | byte(n>>11), byte(n >> 3), byte(n<<5) | 0x1F, 0xFC}, raw)
		}
		odd = append(odd, one)
	}
	return odd
}

// apart sends each NAL unit in a message of its own, as some bridges from RTSP do.
func apart(tags []tag) (odd []tag) {
	for _, one := range tags {
		if one.kind != typeVideo || one.isHeader() {
			odd = append(odd, one)
			continue
		}
		head := headOf(one)
		for _, nal := range splitNALs(one.body[len(head):]) {
			part := one
			part.body = slices.Concat(head, joinNALs(4, nal))
			odd = append(odd, part)
		}
	}
	return odd
}

// inPairs sends two pictures in each message, with the time of the first.
func inPairs(tags []tag) (odd []tag) {
	first := -1
	for _, one := range tags {
		if one.kind == typeVideo && !one.isHeader() {
			if first >= 0 {
				odd[first].body = slices.Concat(odd[first].body, one.body[len(headOf(one)):])
				first = -1
				continue
			}
			first = len(odd)
		}
		odd = append(odd, one)
	}
	return odd
}

// besides sends NAL units by turns in messages of their own, each before a picture.
func besides(nals ...[]byte) func([]tag) []tag {
	return func(tags []tag) (odd []tag) {
		for i, one := range tags {
			if one.kind == typeVideo && !one.isHeader() && !one.isKey() {
				odd = append(odd, tag{typeVideo, one.time, slices.Concat([]byte{0x27, 1, 0, 0, 0}, joinNALs(4, nals[i%len(nals)]))})
			}
			odd = append(odd, one)
		}
		return odd
	}
}

// soundInPairs sends two frames of MP3 in each message, with the time of the first.
func soundInPairs(tags []tag) (odd []tag) {
	first := -1
	for _, one := range tags {
		if one.kind == typeAudio {
			if first >= 0 {
				odd[first].body = slices.Concat(odd[first].body, one.body[1:])
				first = -1
				continue
			}
			first = len(odd)
		}
		odd = append(odd, one)
	}
	return odd
}

// lengths sends NAL units with lengths of so many bytes.
func lengths(size int) func([]tag) []tag {
	return func(tags []tag) []tag {
		odd := eachPicture(func(nals [][]byte) []byte { return joinNALs(size, nals...) })(tags)
		for i := range odd {
			if odd[i].kind == typeVideo && odd[i].isHeader() && !odd[i].endsSequence() {
				body := bytes.Clone(odd[i].body)
				body[5+4] = 0xFC | byte(size-1)
				odd[i].body = body
			}
		}
		return odd
	}
}

// obus takes the OBUs of a temporal unit in the low-overhead format apart (AV1 §5.3): their headers
// and payloads.
func obus(data []byte) (all [][2][]byte) {
	for len(data) > 0 {
		head := data[:1]
		if data[0]&4 != 0 {
			head = data[:2]
		}
		data = data[len(head):]
		n, digits := 0, 0
		for {
			v := data[digits]
			n |= int(v&0x7F) << (7 * digits)
			if digits++; v&0x80 == 0 {
				break
			}
		}
		all = append(all, [2][]byte{head, data[digits : digits+n]})
		data = data[digits+n:]
	}
	return all
}

// lengthDelimited makes temporal units of the length-delimited format (AV1 annex B), of OBUs
// without sizes.
func lengthDelimited(tags []tag) (odd []tag) {
	sized := func(b []byte) (out []byte) {
		n := len(b)
		for ; n > 0x7F; n >>= 7 {
			out = append(out, byte(n)|0x80)
		}
		return append(append(out, byte(n)), b...)
	}
	for _, one := range tags {
		if one.kind == typeVideo && !one.isHeader() {
			head := headOf(one)
			frame := []byte{}
			for _, obu := range obus(one.body[len(head):]) {
				obuHead := bytes.Clone(obu[0])
				obuHead[0] &^= 2
				frame = append(frame, sized(slices.Concat(obuHead, obu[1]))...)
			}
			one.body = slices.Concat(head, sized(sized(frame)))
		}
		odd = append(odd, one)
	}
	return odd
}

func forms() []form {
	empty := func(nals [][]byte) []byte {
		data := joinNALs(4, nil)
		for _, nal := range nals {
			data = append(data, joinNALs(4, nal, nil)...)
		}
		return data
	}
	padded := func(nals [][]byte) (data []byte) {
		for _, nal := range nals {
			data = append(data, joinNALs(4, slices.Concat(nal, []byte{0, 0}))...)
		}
		return append(data, 0)
	}
	cut := func(nals [][]byte) []byte { return append(joinNALs(4, nals...), 0, 0, 0, 99, 0x41, 0x9A) }
	h264, hevc := wrapping{}, wrapping{legacyHEVC: true}
	return []form{
		{"empty NAL units", "h264-aac", h264, h264NAL, eachPicture(empty)},
		{"zeros", "h264-aac", h264, h264NAL, eachPicture(padded)},
		{"a NAL unit that is cut off", "h264-aac", h264, h264NAL, eachPicture(cut)},
		{"start codes", "h264-aac-b", h264, h264NAL, eachPicture(startCodes)},
		{"start codes behind one length", "h264-aac", h264, h264NAL, eachPicture(func(nals [][]byte) []byte {
			return joinNALs(4, bytes.Join(nals, []byte{0, 0, 0, 1}))
		})},
		{"start codes everywhere, no header, ADTS", "h264-aac", h264, h264NAL, func(tags []tag) []tag {
			tags = withADTS(withoutHeaders(typeAudio, withoutHeaders(typeVideo, inBand(h264NAL, tags))))
			return eachPicture(startCodes)(tags)
		}},
		{"a header of start codes, ADTS", "h264-aac", h264, h264NAL, func(tags []tag) []tag {
			for i, one := range tags {
				if one.kind == typeVideo && one.isHeader() && !one.endsSequence() {
					tags[i].body = slices.Concat(one.body[:5], startCodes(parameterSets(one.body[5:], h264NAL)))
				}
			}
			return withADTS(tags)
		}},
		{"lengths of 3 bytes", "h264-aac", h264, h264NAL, lengths(3)},
		{"lengths of 2 bytes", "h264-aac-b", h264, h264NAL, lengths(2)},
		{"a message for each NAL unit", "h264-slices", h264, h264NAL, func(tags []tag) []tag {
			return apart(withoutHeaders(typeVideo, inBand(h264NAL, tags)))
		}},
		{"two pictures in each message", "h264-aac", h264, h264NAL, inPairs},
		{"delimiters in the middle", "h264-slices", h264, h264NAL, eachPicture(func(nals [][]byte) []byte {
			data := []byte{}
			for _, nal := range nals {
				data = append(data, joinNALs(4, []byte{0x09, 0xF0}, nal)...)
			}
			return data
		})},
		{"all pictures are marked as key frames", "h264-aac-b", h264, h264NAL, func(tags []tag) []tag {
			for i, one := range tags {
				if one.kind == typeVideo && !one.isHeader() {
					tags[i].body = append([]byte{0x17}, one.body[1:]...)
				}
			}
			return tags
		}},
		{"messages of NAL units without a picture", "h264-aac", h264, h264NAL, besides(
			[]byte{0x09, 0xF0}, []byte{0x0C, 0xFF, 0xFF, 0x80})},
		{"two frames of MP3 in each message", "h264-mp3", h264, h264NAL, soundInPairs},
		{"HEVC, start codes and no header", "hevc-aac", hevc, hevcNAL, func(tags []tag) []tag {
			return eachPicture(startCodes)(withoutHeaders(typeVideo, inBand(hevcNAL, tags)))
		}},
		{"HEVC, empty NAL units", "hevc-aac", hevc, hevcNAL, eachPicture(empty)},
		{"AV1, length-delimited and no header", "av1-opus", h264, noNAL, func(tags []tag) []tag {
			return lengthDelimited(withoutHeaders(typeVideo, tags))
		}},
		{"AV1, zeros", "av1-opus", h264, noNAL, func(tags []tag) (odd []tag) {
			for _, one := range tags {
				if one.kind == typeVideo && !one.isHeader() {
					one.body = append(bytes.Clone(one.body), 0, 0)
				}
				odd = append(odd, one)
			}
			return odd
		}},
	}
}

// TestForms publishes clips in each form, and compares what every protocol's players get with the
// clip. FFmpeg decodes it without a complaint.
func TestForms(t *testing.T) {
	t.Parallel()
	for _, test := range forms() {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tags := wrap(t, clip(t, test.clip, kindSeconds, "mp4"), test.wrap)
			s, room := shared(t), roomOf(t)
			early := watchRTMP(t, s, room)
			encoder := publish(t, s, s.key(t, room), test.odd(slices.Clone(tags)), pacing{})
			s.waitOnAir(t, room)
			var list *hlsViewer
			if test.nal != noNAL {
				list = watchHLS(t, s, room)
			}
			cmaf := watchLL(t, s.indexURL(room), nil)
			early.waitFrames(t, 10)
			flv := watchFLV(t, s, room)
			encoder.finish(t)

			sent := unitsOf(tags, test.nal)
			whole := early.waitEnd(t, 10*time.Second)
			comparison{whole: true, tolerance: 1}.check(t, "RTMP", sent, unitsOf(whole, test.nal))
			comparison{tolerance: 1}.check(t, "HTTP-FLV", sent, unitsOf(flv.waitEnd(t, 10*time.Second), test.nal))
			for _, v := range []*viewer{early, flv} {
				// Sound may be behind a picture that came early.
				rising(t, v.name, slices.DeleteFunc(v.tags(), tag.isHeader))
				kinds := []byte{typeVideo, typeAudio}
				if test.clip == "h264-mp3" { // which has no header
					kinds = kinds[:1]
				}
				headersFirst(t, v.name, v.tags(), kinds...)
				wellFormed(t, v.name, v.tags(), test.nal)
			}
			if problems := decode(t, fileOf(whole)); test.nal == h264NAL && problems != "" {
				t.Errorf("FFmpeg of RTMP: %s", problems)
			}
			cmaf.waitEnd(t, 20*time.Second)
			cmaf.verify(t)
			got, _ := cmaf.units(t, "")
			comparison{whole: true, tolerance: 1}.check(t, "CMAF", sent, got)
			if problems := decode(t, cmaf.bytes(t, "v0")); problems != "" {
				t.Errorf("FFmpeg of CMAF: %s", problems)
			}
			if list == nil {
				return
			}
			segments := list.waitEnd(t, 20*time.Second)
			got, _ = unitsOfTS(t, segments)
			comparison{whole: true, tolerance: 2}.check(t, "HLS", sent, got)
			for _, one := range segments {
				if problems := decodeTS(t, one.data); problems != "" {
					t.Errorf("FFmpeg of HLS: %s", problems)
				}
			}
		})
	}
}

// wellFormed checks that NAL units with lengths of four bytes fill each picture, none of them
// empty.
func wellFormed(t testing.TB, what string, tags []tag, codec nalCodec) {
	t.Helper()
	for _, one := range tags {
		if codec == noNAL || one.kind != typeVideo || one.isHeader() {
			continue
		}
		_, data := one.sample()
		nals := splitNALs(data)
		if n := len(joinNALs(4, nals...)); n != len(data) || slices.ContainsFunc(nals, func(nal []byte) bool { return len(nal) == 0 || nal[len(nal)-1] == 0 }) {
			t.Errorf("%s: %v: %d bytes of NAL units", what, one, n)
			return
		}
	}
}

// fileOf is an FLV file of tags.
func fileOf(tags []tag) []byte {
	file := []byte{'F', 'L', 'V', 1, 5, 0, 0, 0, 9, 0, 0, 0, 0}
	for _, one := range tags {
		n, at := len(one.body), one.time
		file = append(file, one.kind, byte(n>>16), byte(n>>8), byte(n), byte(at>>16), byte(at>>8), byte(at), byte(at>>24), 0, 0, 0)
		file = binary.BigEndian.AppendUint32(append(file, one.body...), uint32(n+11))
	}
	return file
}

// bytes are the init segment and the segments of a rendition, as long as that has one init segment.
func (v *llViewer) bytes(t testing.TB, name string) (all []byte) {
	t.Helper()
	r := v.named(t, name)
	v.mutex.Lock()
	defer v.mutex.Unlock()
	var sequences []int
	for sequence := range r.segments {
		sequences = append(sequences, int(sequence))
	}
	slices.Sort(sequences)
	for i, sequence := range sequences {
		media := r.segments[sequence]
		if i == 0 {
			all = bytes.Clone(media.head)
		}
		all = append(all, media.whole...)
	}
	return all
}

// decode decodes a file with FFmpeg and returns its complaints.
func decode(t testing.TB, file []byte) string {
	t.Helper()
	command := exec.Command("ffmpeg", "-v", "error", "-i", "-", "-f", "null", "-")
	command.Stdin = bytes.NewReader(file)
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v: %s", err, output)
	}
	return string(output)
}

// TestFormsInChromium: mpegts.js and hls.js play what encoders send in the wrong form.
func TestFormsInChromium(t *testing.T) {
	t.Parallel()
	for _, test := range forms() {
		switch test.name {
		case "empty NAL units", "start codes everywhere, no header, ADTS", "lengths of 2 bytes", "a message for each NAL unit", "delimiters in the middle":
		default:
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			s, room := shared(t), roomOf(t)
			publish(t, s, s.key(t, room), test.odd(wrap(t, clip(t, test.clip, kindSeconds, "mp4"), test.wrap)), pacing{loop: true})
			s.waitOnAir(t, room)
			waitIndex(t, s, room)
			waitPlaylist(t, s.hlsURL(room))
			players := map[string]*webPlayer{
				"mpegts.js":           webPlay(t, mpegtsJS, s.flvURL(room), chasing),
				"hls.js, CMAF":        webPlay(t, hlsJS, s.indexURL(room), lowLatency),
				"hls.js with MPEG-TS": webPlay(t, hlsJS, s.hlsURL(room), nil),
			}
			for name, p := range players {
				p.waitPlaying(t)
				r := p.waitProgress(t, 3, 20*time.Second)
				refused := slices.ContainsFunc(r.Errors, func(what string) bool {
					return strings.Contains(what, "Append") || strings.Contains(what, "Codec") || strings.Contains(what, "Parsing")
				})
				if r.Width != 320 || r.Decoded < 60 || refused {
					t.Errorf("%s: %s", name, r)
				}
			}
		})
	}
}

// TestSizeInPictures: the size changes in the pictures alone, after a header that says another one:
// each protocol's players go on with a header of what the pictures are.
func TestSizeInPictures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, big, small string
		wrap             wrapping
		nal              nalCodec
	}{
		{"H.264", "h264-aac", "h264-small", wrapping{}, h264NAL},
		{"HEVC", "hevc-aac", "hevc-small", wrapping{legacyHEVC: true}, hevcNAL},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			big := inBand(test.nal, wrap(t, clip(t, test.big, kindSeconds, "mp4"), test.wrap))
			small := inBand(test.nal, wrap(t, clip(t, test.small, kindSeconds, "mp4"), test.wrap))
			// The header of the small pictures, then big ones for 2 s, and small ones.
			headers := slices.DeleteFunc(slices.Clone(small), func(one tag) bool { return !one.isHeader() })
			tags := headers
			for _, one := range withoutHeaders(typeAudio, withoutHeaders(typeVideo, big)) {
				if one.kind == typeAudio || one.time < 2000 {
					tags = append(tags, one)
				}
			}
			for _, one := range withoutHeaders(typeVideo, small) {
				if one.kind == typeVideo && one.time >= 2000 {
					tags = append(tags, one)
				}
			}
			slices.SortStableFunc(tags[len(headers):], func(a, b tag) int { return int(a.time) - int(b.time) })
			s, room := shared(t), roomOf(t)
			early := watchRTMP(t, s, room)
			encoder := publish(t, s, s.key(t, room), tags, pacing{})
			s.waitOnAir(t, room)
			list, cmaf := watchHLS(t, s, room), watchLL(t, s.indexURL(room), nil)
			if !waitUntil(slack*10*time.Second, func() bool {
				_, body, _ := s.fetch(t, s.indexURL(room))
				return strings.Contains(string(body), "RESOLUTION=320x180")
			}) {
				t.Error("the index does not name the size of the pictures")
			}
			if !waitUntil(slack*10*time.Second, func() bool {
				_, body, _ := s.fetch(t, s.indexURL(room))
				return strings.Contains(string(body), "RESOLUTION=160x90")
			}) {
				t.Error("the index does not follow the pictures")
			}
			encoder.finish(t)
			var sizes []string
			for _, one := range early.waitEnd(t, 10*time.Second) {
				if one.kind == typeVideo && one.isHeader() && !one.endsSequence() {
					set := parameterSets(one.body[5:], test.nal)
					sizes = append(sizes, fmt.Sprintf("%x", set[len(set)-2]))
				}
			}
			want := []string{spsOf(big, test.nal), spsOf(small, test.nal)}
			if !slices.Equal(slices.Compact(sizes), want) {
				t.Errorf("RTMP: headers with the SPS %v, want %v", sizes, want)
			}
			sent := unitsOf(tags, test.nal)
			comparison{whole: true, tolerance: 1}.check(t, "RTMP", sent, unitsOf(early.tags(), test.nal))
			cmaf.waitEnd(t, 20*time.Second)
			got, _ := cmaf.units(t, "")
			comparison{tolerance: 1}.check(t, "CMAF", only(sent, typeVideo), only(got, typeVideo))
			segments := list.waitEnd(t, 20*time.Second)
			got, _ = unitsOfTS(t, segments)
			comparison{whole: true, tolerance: 2}.check(t, "HLS", sent, got)
			if n := count(segments, func(one segment) bool { return one.discontinuity }); n != 1 {
				t.Errorf("HLS: %d discontinuities", n)
			}
		})
	}
}

// spsOf is the SPS of a clip's header.
func spsOf(tags []tag, codec nalCodec) string {
	for _, one := range tags {
		if one.kind == typeVideo && one.isHeader() {
			sets := parameterSets(one.body[5:], codec)
			return fmt.Sprintf("%x", sets[len(sets)-2])
		}
	}
	return ""
}
