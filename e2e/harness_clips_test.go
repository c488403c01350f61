package e2e

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The sources of clips: 25 pictures a second that never repeat, and noise, so that no two frames
// are equal.
const (
	picture = "testsrc2=s=320x180:r=25"
	sound   = "anoisesrc=c=pink:r=48000:a=0.2:seed=7"
)

// clipArguments are the outputs of FFmpeg by clip. The length is set by clip.
var clipArguments = map[string]string{
	"h264-aac":    "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -c:a aac -b:a 64k",
	"h264-aac-b":  "-c:v libx264 -preset veryfast -pix_fmt yuv420p -g 25 -bf 3 -b_strategy 0 -c:a aac -b:a 64k",
	"h264":        "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -an",
	"aac":         "-vn -c:a aac -b:a 64k",
	"h264-mp3":    "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -c:a libmp3lame -b:a 64k -ar 44100",
	"h264-444":    "-c:v libx264 -preset ultrafast -pix_fmt yuv444p -g 25 -bf 0 -c:a aac -b:a 64k",
	"h264-4s":     "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 100 -keyint_min 100 -sc_threshold 0 -bf 0 -c:a aac -b:a 64k",
	"h264-2s":     "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 50 -keyint_min 50 -sc_threshold 0 -bf 0 -c:a aac -b:a 64k",
	"h264-9s":     "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 225 -keyint_min 225 -sc_threshold 0 -bf 0 -c:a aac -b:a 64k",
	"h264-10s":    "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 250 -keyint_min 250 -sc_threshold 0 -bf 0 -c:a aac -b:a 64k",
	"h264-20s":    "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 500 -keyint_min 500 -sc_threshold 0 -bf 0 -c:a aac -b:a 64k",
	"h264-big":    "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -qp 1 -c:a aac -b:a 64k",
	"hevc-aac":    "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25:min-keyint=25:bframes=2 -tag:v hvc1 -pix_fmt yuv420p -c:a aac -b:a 64k",
	"av1-opus":    "-c:v libsvtav1 -preset 12 -g 25 -svtav1-params scd=0 -c:a libopus -b:a 64k",
	"vp9-flac":    "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -b:v 300k -c:a flac -strict -2",
	"h264-flac":   "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -c:a flac -strict -2",
	"av1-aac":     "-c:v libsvtav1 -preset 12 -g 25 -svtav1-params scd=0 -c:a aac -b:a 64k",
	"av1-flac":    "-c:v libsvtav1 -preset 12 -g 25 -svtav1-params scd=0 -c:a flac -strict -2",
	"vp9-aac":     "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -b:v 300k -c:a aac -b:a 64k",
	"vp9-opus":    "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -b:v 300k -c:a libopus -b:a 64k",
	"av1-mp3":     "-c:v libsvtav1 -preset 12 -g 25 -svtav1-params scd=0 -c:a libmp3lame -b:a 64k -ar 44100",
	"vp9-mp3":     "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -b:v 300k -c:a libmp3lame -b:a 64k -ar 44100",
	"h264-small":  "-s 160x90 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -c:a aac -b:a 64k",
	"h264-slices": "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -x264-params slices=4 -c:a aac -b:a 64k",
	"hevc-small":  "-s 160x90 -c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25:min-keyint=25:bframes=2 -tag:v hvc1 -pix_fmt yuv420p -c:a aac -b:a 64k",
	"h264-opus":   "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -c:a libopus -b:a 64k",
	"h264-ac3":    "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -c:a ac3 -b:a 96k",
	"h264-eac3":   "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -c:a eac3 -b:a 96k",
	"h264-aac-2":  "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -c:a aac -b:a 96k -ar 44100 -ac 2",
	"h264-he-aac": "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -c:a aac -b:a 64k -ar 24000",
}

// clips makes each clip once.
var clips sync.Map

type clipKey struct {
	name    string
	seconds int
	format  string
}

// clip returns a clip of the given kind and length as a file of the format: flv or mp4.
func clip(t testing.TB, name string, seconds int, format string) string {
	t.Helper()
	arguments, ok := clipArguments[name]
	if !ok {
		t.Fatalf("no clip %q", name)
	}
	made, _ := clips.LoadOrStore(clipKey{name, seconds, format}, sync.OnceValues(func() (string, error) {
		length := strconv.Itoa(seconds)
		path := filepath.Join(work, name+"-"+length+"."+format)
		call := []string{"-v", "error", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-t", length}
		call = append(call, strings.Fields(arguments)...)
		command := exec.Command("ffmpeg", append(call, "-threads", "2", "-flags", "+bitexact", path)...)
		output, err := command.CombinedOutput()
		if err != nil {
			return string(output), err
		}
		return path, nil
	}))
	path, err := made.(func() (string, error))()
	if err != nil {
		t.Fatalf("making the clip %s: %v: %s", name, err, path)
	}
	return path
}

// flvClip returns the tags of a clip in FLV as FFmpeg writes it.
func flvClip(t testing.TB, name string, seconds int) []tag {
	t.Helper()
	return readFLV(t, clip(t, name, seconds, "flv"))
}

// probed is what ffprobe tells of a file, with all data.
type probed struct {
	Streams []struct {
		CodecType string `json:"codec_type"`
		CodecName string `json:"codec_name"`
		Extradata string `json:"extradata"`
	}
	Packets []struct {
		StreamIndex int    `json:"stream_index"`
		PTS         string `json:"pts_time"`
		DTS         string `json:"dts_time"`
		Flags       string `json:"flags"`
		Data        string `json:"data"`
	}
}

func ffprobe(t testing.TB, path string) (file probed) {
	t.Helper()
	var problems bytes.Buffer
	command := exec.Command("ffprobe", "-v", "error", "-show_streams", "-show_packets", "-show_data", "-of", "json", path)
	command.Stderr = &problems
	output, err := command.Output()
	if err == nil {
		err = json.Unmarshal(output, &file)
	}
	if err != nil {
		t.Fatalf("ffprobe %s: %v: %s", path, err, problems.String())
	}
	return file
}

// unhex turns ffprobe's dump ("00000000: 0123 4567 …  text") into bytes.
func unhex(t testing.TB, dump string) (data []byte) {
	t.Helper()
	for line := range strings.Lines(dump) {
		_, rest, ok := strings.Cut(line, ": ")
		if !ok {
			continue
		}
		digits, _, _ := strings.Cut(rest, "  ")
		part, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, part...)
	}
	return data
}

func milliseconds(t testing.TB, seconds string) int64 {
	t.Helper()
	value, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		t.Fatal(err)
	}
	return int64(math.Round(value * 1000))
}

// wrapping says how a clip's codecs are put into FLV tags.
type wrapping struct {
	// legacyHEVC uses the codec id 12 that was in use before Enhanced RTMP.
	legacyHEVC bool
	// modEx puts a ModEx prefix with a nanosecond offset before each frame of video (Enhanced RTMP
	// v2).
	modEx bool
	// multitrack sends each frame as the one track of a multitrack message (Enhanced RTMP v2).
	multitrack bool
	// video calls the pictures by another codec's FourCC, for codecs that the encoders here do not
	// make.
	video string
}

// configurations are those of codecs by which wrapping.video calls pictures: a
// VPCodecConfigurationRecord, and a VvcDecoderConfigurationRecord with no profile and one parameter
// set.
var configurations = map[string][]byte{
	"vp08": {0, 11, 8<<4 | 1<<1, 2, 2, 2, 0, 0},
	"vvc1": {0xfe, 1, 0x8f, 0, 1, 0, 2, 0x0f, 1},
}

// fourCCs are the codec names of Enhanced RTMP.
var fourCCs = map[string]string{
	"hevc": "hvc1", "h264": "avc1", "av1": "av01", "vp9": "vp09",
	"opus": "Opus", "flac": "fLaC", "ac3": "ac-3", "eac3": "ec-3", "aac": "mp4a", "mp3": ".mp3",
}

// wrap makes the tags of an MP4 clip by the FLV and Enhanced RTMP specifications, H.264 and AAC in
// the old way. Times begin at 0.
func wrap(t testing.TB, path string, how wrapping) (tags []tag) {
	t.Helper()
	file := ffprobe(t, path)
	if len(file.Packets) == 0 {
		t.Fatalf("%s is empty", path)
	}
	earliest := int64(math.MaxInt64)
	for _, packet := range file.Packets {
		earliest = min(earliest, milliseconds(t, packet.DTS))
	}
	for _, stream := range file.Streams {
		if body := how.header(stream.CodecName, unhex(t, stream.Extradata)); body != nil {
			tags = append(tags, tag{kindOf(stream.CodecType), 0, body})
		}
	}
	headers := len(tags)
	for _, packet := range file.Packets {
		stream := file.Streams[packet.StreamIndex]
		dts, pts := milliseconds(t, packet.DTS), milliseconds(t, packet.PTS)
		body := how.frame(stream.CodecName, strings.HasPrefix(packet.Flags, "K"), int32(pts-dts), unhex(t, packet.Data))
		tags = append(tags, tag{kindOf(stream.CodecType), uint32(dts - earliest), body})
	}
	slices.SortStableFunc(tags[headers:], func(a, b tag) int { return int(a.time) - int(b.time) })
	return tags
}

func kindOf(codecType string) byte {
	if codecType == "video" {
		return typeVideo
	}
	return typeAudio
}

// header is the body of a sequence header, nil for codecs without one.
func (how wrapping) header(codec string, config []byte) []byte {
	if how.video != "" && codec == "h264" {
		return how.enhanced(0x90, 0, how.video, configurations[how.video])
	}
	switch codec {
	case "h264":
		return append([]byte{0x17, 0, 0, 0, 0}, config...)
	case "aac":
		return append([]byte{0xAF, 0}, config...)
	case "hevc":
		if how.legacyHEVC {
			return append([]byte{0x1C, 0, 0, 0, 0}, config...)
		}
		fallthrough
	case "av1":
		// IsExHeader, key frame, PacketTypeSequenceStart
		return how.enhanced(0x90, 0, fourCCs[codec], config)
	case "vp9":
		// ffprobe does not show the VPCodecConfigurationRecord: profile 0, level 1.1, 8 bits of
		// 4:2:0, colours not specified.
		return how.enhanced(0x90, 0, fourCCs[codec], []byte{0, 11, 8<<4 | 1<<1, 2, 2, 2, 0, 0})
	case "flac":
		// The signature, and a STREAMINFO block that is the last one: 34 bytes.
		if !bytes.HasPrefix(config, []byte("fLaC")) {
			config = append([]byte{'f', 'L', 'a', 'C', 0x80, 0, 0, 34}, config...)
		}
		return how.enhanced(0x90, 0, fourCCs[codec], config)
	case "opus":
		return how.enhanced(0x90, 0, fourCCs[codec], config)
	}
	return nil
}

// frame is the body of a coded frame.
func (how wrapping) frame(codec string, key bool, composition int32, data []byte) []byte {
	frameType := byte(0x20)
	if key {
		frameType = 0x10
	}
	si24 := []byte{byte(composition >> 16), byte(composition >> 8), byte(composition)}
	switch {
	case codec != "h264" || how.video == "":
	case how.video == "vvc1": // it has composition times
		return how.enhanced(0x80|frameType, 1, how.video, append(si24, asVVC(data)...))
	default:
		return how.enhanced(0x80|frameType, 1, how.video, data)
	}
	switch codec {
	case "h264":
		return slices.Concat([]byte{frameType | 7, 1}, si24, data)
	case "aac":
		return append([]byte{0xAF, 1}, data...)
	case "mp3":
		return append([]byte{0x2F}, data...)
	case "hevc":
		switch {
		case how.legacyHEVC:
			return slices.Concat([]byte{frameType | 12, 1}, si24, data)
		case composition == 0: // PacketTypeCodedFramesX: composition time 0 is left out
			return how.enhanced(0x80|frameType, 3, fourCCs[codec], data)
		}
		return how.enhanced(0x80|frameType, 1, fourCCs[codec], append(si24, data...))
	case "av1", "vp9":
		return how.enhanced(0x80|frameType, 1, fourCCs[codec], data)
	}
	return how.enhanced(0x90, 1, fourCCs[codec], data)
}

// asVVC gives NAL units of H.264 the headers of VVC (ITU-T H.266 §7.3.1.2): of slices with their
// picture header, which are IDR_W_RADL or TRAIL, and of SEI.
func asVVC(data []byte) (out []byte) {
	for _, nal := range splitNALs(data) {
		head := []byte{0, 23<<3 | 1}
		switch nal[0] & 31 {
		case 5:
			head = []byte{0, 7<<3 | 1, 0xC4}
		case 1:
			head = []byte{0, 0<<3 | 1, 0xC4}
		}
		out = append(out, joinNALs(4, slices.Concat(head, nal[1:]))...)
	}
	return out
}

// enhanced builds an ExVideoTagHeader or ExAudioTagHeader: the upper half byte is the format or
// IsExHeader and frame type.
func (how wrapping) enhanced(upper, packetType byte, fourCC string, payload []byte) []byte {
	var b []byte
	next := packetType
	switch {
	case how.modEx && packetType != 0:
		// ModEx (7): size - 1, three bytes of TimestampOffsetNano, then its type (0) and the packet
		// type.
		b = append([]byte{upper | 7, 2}, 0x01, 0xE2, 0x40)
		b = append(b, packetType)
	case how.multitrack:
		// Multitrack (6 for video, 5 for audio): OneTrack (0) and the packet type; the track's id
		// comes after the FourCC.
		multitrack := byte(6)
		if upper == 0x90 && !slices.Contains([]string{"hvc1", "avc1", "av01", "vp09"}, fourCC) {
			multitrack = 5
		}
		b = append([]byte{upper | multitrack}, next)
		b = append(append(b, fourCC...), 0)
		return append(b, payload...)
	default:
		b = []byte{upper | next}
	}
	return append(append(b, fourCC...), payload...)
}
