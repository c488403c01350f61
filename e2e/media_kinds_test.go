package e2e

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

// kind is one kind of media that is published, and what protocols must make of it.
type kind struct {
	name string
	clip string
	// wrap is nil for clips that FFmpeg publishes itself.
	wrap *wrapping
	nal  nalCodec
	// ts lists the codecs that HLS must carry. None: MPEG-TS cannot carry all of it, and its
	// playlist leads to CMAF. Nil: HLS is not looked at.
	ts []string
	// flags are those of the FLV header: 1 video, 4 audio.
	flags byte
	// cmaf lists the sample entries of CMAF, in the order of their renditions' names. Nil: it is
	// not looked at.
	cmaf []string
}

func kinds() []kind {
	return []kind{
		{"H.264 and AAC", "h264-aac", nil, h264NAL, []string{"H264", "MPEG4Audio"}, 5, []string{"mp4a", "avc1"}},
		{"B-frames", "h264-aac-b", nil, h264NAL, []string{"H264", "MPEG4Audio"}, 5, []string{"mp4a", "avc1"}},
		{"video only", "h264", nil, h264NAL, []string{"H264"}, 1, []string{"avc1"}},
		{"audio only", "aac", nil, noNAL, []string{"MPEG4Audio"}, 4, []string{"mp4a"}},
		{"MP3", "h264-mp3", nil, h264NAL, []string{"H264", "MPEG1Audio"}, 5, []string{"mp4a", "avc1"}},
		{"High 4:4:4", "h264-444", nil, h264NAL, []string{"H264", "MPEG4Audio"}, 5, []string{"mp4a", "avc1"}},
		{"HEVC as id 12", "hevc-aac", &wrapping{legacyHEVC: true}, hevcNAL, []string{"H265", "MPEG4Audio"}, 5, []string{"mp4a", "hvc1"}},
		{"Enhanced HEVC", "hevc-aac", &wrapping{}, hevcNAL, []string{"H265", "MPEG4Audio"}, 5, []string{"mp4a", "hvc1"}},
		{"Enhanced HEVC with ModEx", "hevc-aac", &wrapping{modEx: true}, hevcNAL, nil, 5, []string{"mp4a", "hvc1"}},
		{"Enhanced HEVC multitrack", "hevc-aac", &wrapping{multitrack: true}, hevcNAL, nil, 5, []string{"mp4a", "hvc1"}},
		{"AV1 and Opus", "av1-opus", &wrapping{}, noNAL, []string{}, 5, []string{"Opus", "av01"}},
		{"VP9 and FLAC", "vp9-flac", &wrapping{}, noNAL, []string{}, 5, []string{"fLaC", "vp09"}},
		{"Opus beside H.264", "h264-opus", &wrapping{}, h264NAL, []string{}, 5, []string{"Opus", "avc1"}},
		{"VP8", "h264-aac", &wrapping{video: "vp08"}, noNAL, nil, 5, nil},
		{"VVC", "h264-aac", &wrapping{video: "vvc1"}, noNAL, nil, 5, nil},
		{"AC-3", "h264-ac3", &wrapping{}, h264NAL, []string{"H264", "AC3"}, 5, []string{"ac-3", "avc1"}},
		{"E-AC-3", "h264-eac3", &wrapping{}, h264NAL, []string{"H264", "EAC3"}, 5, []string{"ec-3", "avc1"}},
	}
}

// kindSeconds is the length of each clip.
const kindSeconds = 5

// TestKinds publishes each kind of media and compares what every protocol's players get with what
// was sent.
func TestKinds(t *testing.T) {
	for _, test := range kinds() {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var tags []tag
			if test.wrap == nil {
				tags = flvClip(t, test.clip, kindSeconds)
			} else {
				tags = wrap(t, clip(t, test.clip, kindSeconds, "mp4"), *test.wrap)
			}
			s := shared(t)
			room := roomOf(t)
			key := s.key(t, room)

			early := watchRTMP(t, s, room)
			var finish func()
			if test.wrap == nil {
				encoder := ffmpegPublish(t, s, clip(t, test.clip, kindSeconds, "flv"), key)
				finish = func() { encoder.succeed(t, 20*time.Second) }
			} else {
				encoder := publish(t, s, key, tags, pacing{})
				finish = func() { encoder.finish(t) }
			}
			s.waitOnAir(t, room)
			var list *hlsViewer
			if len(test.ts) > 0 {
				list = watchHLS(t, s, room)
			} else if test.ts != nil {
				status, body, header := s.fetch(t, s.hlsURL(room))
				if status != http.StatusFound || resolve(s.hlsURL(room), header.Get("Location")) != s.indexURL(room) {
					t.Errorf("HLS of codecs that MPEG-TS does not carry answers %d %q, Location %q", status, body, header.Get("Location"))
				}
			}
			var cmaf *llViewer
			if test.cmaf != nil {
				cmaf = watchLL(t, s.indexURL(room), nil)
			}
			early.waitFrames(t, 10)
			flv, ws := watchFLV(t, s, room), watchWS(t, s, room)
			finish()

			units, asked := bodiesOf, tags
			if test.wrap != nil && test.wrap.multitrack {
				// Players that do not know several tracks get messages of one: the same samples.
				units = func(tags []tag) []unit { return unitsOf(tags, test.nal) }
				asked = wrap(t, clip(t, test.clip, kindSeconds, "mp4"), wrapping{})
			}
			sent := units(asked)
			comparison{whole: true}.check(t, "RTMP", sent, units(early.waitEnd(t, 10*time.Second)))
			comparison{}.check(t, "HTTP-FLV", sent, units(flv.waitEnd(t, 10*time.Second)))
			comparison{}.check(t, "WebSocket-FLV", sent, units(ws.waitEnd(t, 10*time.Second)))
			for _, v := range []*viewer{early, flv, ws} {
				rising(t, v.name, v.tags())
				checkHeaders(t, v, asked)
				if frames := v.frames(); frames < len(sent)/2 {
					t.Errorf("%s: only %d frames of %d came", v.name, frames, len(sent))
				}
			}
			for _, v := range []*viewer{flv, ws} {
				if v.flags != test.flags {
					t.Errorf("%s: the FLV header's flags are %d, want %d", v.name, v.flags, test.flags)
				}
			}
			if cmaf != nil {
				cmaf.waitEnd(t, 20*time.Second)
				cmaf.verify(t)
				got, entries := cmaf.units(t, "")
				if !slices.Equal(entries, test.cmaf) {
					t.Errorf("CMAF carries %v, want %v", entries, test.cmaf)
				}
				comparison{tolerance: 1, whole: true}.check(t, "CMAF", plainUnits(t, test.clip, test.wrap, test.nal), got)
			}
			if list == nil {
				return
			}
			got, codecs := unitsOfTS(t, list.waitEnd(t, 20*time.Second))
			if !slices.Equal(sorted(codecs), sorted(test.ts)) {
				t.Errorf("HLS carries %v, want %v", codecs, test.ts)
			}
			comparison{tolerance: 2, whole: true}.check(t, "HLS", carried(unitsOf(tags, test.nal), test.ts), got)
		})
	}
}

// plainUnits are those of a clip, whatever it is wrapped in to be published.
func plainUnits(t *testing.T, name string, how *wrapping, codec nalCodec) []unit {
	t.Helper()
	if how == nil {
		return unitsOf(flvClip(t, name, kindSeconds), codec)
	}
	return unitsOf(wrap(t, clip(t, name, kindSeconds, "mp4"), wrapping{}), codec)
}

// bodiesOf makes units whose hash is that of the whole body, for protocols that must pass it on as
// it is.
func bodiesOf(tags []tag) (units []unit) {
	for _, tag := range tags {
		if tag.kind == typeData || tag.isHeader() {
			continue
		}
		time := int64(tag.time)
		units = append(units, unit{tag.kind, time, time, tag.isKey(), hashOf(tag.body)})
	}
	return units
}

// checkHeaders checks that the codec headers a player got are those that were sent, and came first.
func checkHeaders(t *testing.T, v *viewer, sent []tag) {
	t.Helper()
	var kinds []byte
	for _, header := range sent {
		if !header.isHeader() || header.endsSequence() {
			continue
		}
		kinds = append(kinds, header.kind)
		if !slices.ContainsFunc(v.tags(), func(got tag) bool { return got.kind == header.kind && string(got.body) == string(header.body) }) {
			t.Errorf("%s: the codec header %v did not come", v.name, header)
		}
	}
	headersFirst(t, v.name, v.tags(), kinds...)
}

// carried leaves out the audio of streams of which HLS carries the video alone.
func carried(units []unit, codecs []string) []unit {
	if len(codecs) == 1 && codecs[0] == "H264" {
		return only(units, typeVideo)
	}
	return units
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }
