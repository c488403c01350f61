package fmp4_test

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	mp4 "github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"livego/internal/flv"
	"livego/internal/fmp4"
	"livego/internal/media"
)

// encoded is what an encoder put out: a decoder configuration box and samples.
type encoded struct {
	box       string
	config    []byte
	timescale int64
	samples   []sample
}

type sample struct {
	dts, pts time.Duration
	key      bool
	data     []byte
}

type clip struct {
	name, fourCC string
	input        string // of lavfi
	args         string
	box          string
	codecs       string
	// dash: FFmpeg names the codec in full in a DASH manifest.
	dash bool
	// early makes presentation times earlier, to where some lie before the decode times.
	early time.Duration
}

const (
	testPicture = "testsrc2=size=192x108:rate=30:duration=1.5"
	testSound   = "sine=frequency=440:sample_rate=48000:duration=1"
)

var clips = []clip{
	{"H264 with B-frames", "avc1", testPicture, "-c:v libx264 -preset veryfast -bf 2 -g 15 -pix_fmt yuv420p", "avcC", "avc1.64000b", true, 0},
	{"H264 with negative composition times", "avc1", testPicture, "-c:v libx264 -preset veryfast -bf 2 -g 15 -pix_fmt yuv420p", "avcC", "avc1.64000b", true, 67 * time.Millisecond},
	{"H264 PQ", "avc1", testPicture, "-c:v libx264 -preset ultrafast -g 15 -pix_fmt yuv420p10le -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc", "avcC", "avc1.6e000b", true, 0},
	{"HEVC with B-frames", "hvc1", testPicture, "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -tag:v hvc1 -x265-params log-level=none:keyint=15:bframes=2", "hvcC", "hvc1.1.6.L60.90", false, 0},
	{"AV1", "av01", testPicture, "-c:v libaom-av1 -usage realtime -cpu-used 8 -g 15 -pix_fmt yuv420p", "av1C", "av01.0.00M.08", true, 0},
	{"VP9", "vp09", testPicture, "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 15 -pix_fmt yuv420p", "vpcC", "vp09.00.10.08", true, 0},
	{"AAC", "mp4a", testSound, "-c:a aac -ac 2", "esds", "mp4a.40.2", true, 0},
	{"AAC at 44.1 kHz", "mp4a", testSound, "-c:a aac -ar 44100", "esds", "mp4a.40.2", true, 0},
	{"Opus", "Opus", testSound, "-c:a libopus -ac 2", "dOps", "opus", true, 0},
	{"Opus of 2.5 ms", "Opus", testSound, "-c:a libopus -frame_duration 2.5 -application lowdelay", "dOps", "opus", true, 0},
	{"Opus 5.1", "Opus", testSound, "-c:a libopus -ac 6 -mapping_family 1", "dOps", "opus", true, 0},
	{"FLAC", "fLaC", testSound, "-c:a flac -ar 44100 -ac 2", "dfLa", "fLaC", false, 0},
	{"AC-3", "ac-3", testSound, "-c:a ac3 -ac 6", "dac3", "ac-3", false, 0},
	{"E-AC-3", "ec-3", testSound, "-c:a eac3 -ac 6 -dmix_mode ltrt -mixing_level 90", "dec3", "ec-3", false, 0},
	{"MP3", ".mp3", testSound, "-c:a libmp3lame -ar 44100", "esds", "mp4a.40.34", false, 0},
}

// TestEncoders takes what real encoders put out the way it takes in the server, through Enhanced
// RTMP messages, and has the result read by a library and by FFmpeg: samples out are samples in.
func TestEncoders(t *testing.T) {
	if testing.Short() {
		t.Skip("runs encoders")
	}
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(name, "is not installed")
		}
	}
	for _, c := range clips {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := encode(t, &c)
			units := demux(t, &c, in)
			early := time.Duration(0)
			for i := range units {
				units[i].DTS += time.Second
				units[i].PTS += time.Second - c.early
				early = max(early, units[i].DTS-units[i].PTS)
			}
			track := units[0].Track
			if got := fmp4.Codecs(track); got != c.codecs {
				t.Errorf("codecs %q, want %q", got, c.codecs)
			}
			init, err := fmp4.AppendInit(nil, track, units[0].Data)
			if err != nil {
				t.Fatal(err)
			}
			if c.box != "avcC" && c.box != "hvcC" && c.box != "esds" && c.box != "vpcC" {
				if got := box(t, init, c.box); !bytes.Equal(got, in.config) {
					t.Errorf("%s is %x, the encoder's %x", c.box, got, in.config)
				}
			}
			fragments := write(t, units)
			readBack(t, units, early, fragments)
			file := filepath.Join(t.TempDir(), "out.mp4")
			if err := os.WriteFile(file, append(init, fragments...), 0o644); err != nil {
				t.Fatal(err)
			}
			probe(t, file, units, early)
			decode(t, file, len(units))
			if c.dash {
				dash(t, file, c.codecs)
			}
		})
	}
}

func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if strings.Contains(complaint.String(), "Unknown encoder") {
		t.Skip("an encoder is not installed")
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, complaint.Bytes())
	}
	return out
}

// encode makes a fragmented file with FFmpeg and takes it apart.
func encode(t *testing.T, c *clip) *encoded {
	t.Helper()
	file := filepath.Join(t.TempDir(), "in.mp4")
	args := append([]string{"-nostdin", "-v", "error", "-f", "lavfi", "-i", c.input}, strings.Fields(c.args)...)
	run(t, "ffmpeg", append(args, "-threads", "1", "-strict", "-2", "-movflags", "empty_moov+delay_moov+frag_keyframe+default_base_moof+skip_sidx", file)...)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	e := &encoded{box: c.box, config: box(t, b, c.box), timescale: int64(binary.BigEndian.Uint32(box(t, b, "mdhd")[12:]))}
	var parts mp4.Parts
	if err := parts.Unmarshal(b[bytes.Index(b, []byte("moof"))-4:]); err != nil {
		t.Fatal(err)
	}
	at := func(ticks int64) time.Duration {
		return time.Duration((ticks*int64(time.Second) + e.timescale/2) / e.timescale)
	}
	// the library does not know first_sample_flags, which FFmpeg writes
	flags := strings.Fields(string(run(t, "ffprobe", "-v", "error", "-show_entries", "packet=flags", "-of", "csv=p=0", file)))
	for _, part := range parts {
		dts := int64(part.Tracks[0].BaseTime)
		for _, s := range part.Tracks[0].Samples {
			key := strings.HasPrefix(flags[len(e.samples)], "K")
			e.samples = append(e.samples, sample{at(dts), at(dts + int64(s.PTSOffset)), key, s.Payload})
			dts += int64(s.Duration)
		}
	}
	return e
}

// box returns the payload of the first box of a kind that stands anywhere in a file.
func box(t *testing.T, b []byte, kind string) []byte {
	t.Helper()
	at := bytes.Index(b, []byte(kind))
	if at < 4 {
		t.Fatalf("no box %s", kind)
	}
	return b[at+4 : at-4+int(binary.BigEndian.Uint32(b[at-4:]))]
}

// header returns the sequence header of Enhanced RTMP.
func (e *encoded) header() []byte {
	switch c := e.config; e.box {
	case "vpcC":
		return c[4:]
	case "dfLa":
		return append([]byte("fLaC"), c[4:]...)
	case "esds": // the DecoderSpecificInfo, whose length is in four bytes
		at := bytes.Index(c, []byte{5, 0x80, 0x80, 0x80})
		return c[at+5 : at+5+int(c[at+4])]
	case "dOps":
		head := append([]byte("OpusHead"), 1, c[1])
		head = binary.LittleEndian.AppendUint16(head, binary.BigEndian.Uint16(c[2:]))
		head = binary.LittleEndian.AppendUint32(head, binary.BigEndian.Uint32(c[4:]))
		return append(binary.LittleEndian.AppendUint16(head, binary.BigEndian.Uint16(c[8:])), c[10:]...)
	default:
		return c
	}
}

// demux sends the samples as Enhanced RTMP v2 messages, with their nanoseconds, and returns the
// units that come of them.
func demux(t *testing.T, c *clip, e *encoded) []media.AccessUnit {
	t.Helper()
	var d flv.Demuxer
	var units []media.AccessUnit
	video := strings.Contains("avc1 hvc1 av01 vp09", c.fourCC)
	send := func(s *sample, packetType byte, payload []byte) {
		messageType, first := byte(flv.TypeAudio), byte(0x90)
		if video {
			messageType, first = flv.TypeVideo, 0xA0
			if s.key {
				first = 0x90
			}
		}
		composition := int32(s.pts/time.Millisecond - s.dts/time.Millisecond)
		nanos := s.pts % time.Millisecond
		const modEx = 7
		body := []byte{first | modEx, 2, byte(nanos >> 16), byte(nanos >> 8), byte(nanos), packetType}
		body = append(body, c.fourCC...)
		if packetType == 1 && (c.fourCC == "avc1" || c.fourCC == "hvc1") {
			body = append(body, byte(composition>>16), byte(composition>>8), byte(composition))
		}
		got, err := d.Append(nil, messageType, uint32(s.dts/time.Millisecond), append(body, payload...))
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range got {
			if u.Header == media.Sample {
				units = append(units, u)
			}
		}
	}
	switch c.fourCC {
	case ".mp3", "ac-3", "ec-3":
	default:
		send(&sample{key: true}, 0, e.header())
	}
	for i := range e.samples {
		send(&e.samples[i], 1, e.samples[i].data)
	}
	if len(units) != len(e.samples) || len(units) == 0 {
		t.Fatalf("%d units of %d samples", len(units), len(e.samples))
	}
	for i, u := range units {
		s := &e.samples[i]
		if u.Track != units[0].Track || u.DTS != s.dts.Truncate(time.Millisecond) || !bytes.Equal(u.Data, s.data) {
			t.Fatalf("unit %d at %v is not the sample at %v", i, u.DTS, s.dts)
		}
		if video && u.PTS+time.Duration(u.Nanos) != s.pts {
			t.Fatalf("unit %d is shown at %v, not %v", i, u.PTS+time.Duration(u.Nanos), s.pts)
		}
	}
	return units
}

// write cuts units into parts of a fifth of a second.
func write(t *testing.T, units []media.AccessUnit) (b []byte) {
	t.Helper()
	w, err := fmp4.NewWriter(units[0].Track)
	if err != nil {
		t.Fatal(err)
	}
	for len(units) > 0 {
		n := 0
		for n < len(units) && units[n].DTS < units[0].DTS+200*time.Millisecond {
			if err := fmp4.Check(&units[n]); err != nil {
				t.Fatal(err)
			}
			n++
		}
		f := fmp4.Fragment{Units: units[:n], Segment: units[0].RandomAccess, Wall: time.Unix(1_700_000_000, 0).Add(units[0].PTS)}
		f.Events = []fmp4.Event{{Scheme: fmp4.SchemeID3, Time: units[0].PTS, Message: []byte("ID3")}}
		if units = units[n:]; len(units) > 0 {
			f.Next = units[0].DTS
		}
		if b, _, err = w.Append(b, &f); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// scale returns the ticks of a time, to the nearest.
func scale(d time.Duration, rate int64) int64 {
	return (int64(d)*rate + int64(time.Second)/2) / int64(time.Second)
}

func rateOf(track *media.Track) int64 {
	if track.Kind == media.Audio {
		return int64(track.SampleRate)
	}
	return 90_000
}

// near says whether a time in ticks is that of a unit: exact for video, whose decode times are
// moved by early, for audio within the rounding of both ends to milliseconds.
func near(u *media.AccessUnit, early time.Duration, decoded, shown int64) error {
	rate := rateOf(u.Track)
	dts, pts, slack := scale(u.DTS-early, rate), scale(u.PTS+time.Duration(u.Nanos), rate), int64(0)
	if u.Track.Kind == media.Audio {
		dts, slack = pts, rate/1000
	}
	if max(decoded-dts, dts-decoded) > slack || max(shown-pts, pts-shown) > slack {
		return fmt.Errorf("decoded at %d, shown at %d, want %d, %d", decoded, shown, dts, pts)
	}
	return nil
}

// readBack compares what a library reads with the units.
func readBack(t *testing.T, units []media.AccessUnit, early time.Duration, fragments []byte) {
	t.Helper()
	var parts mp4.Parts
	if err := parts.Unmarshal(fragments); err != nil {
		t.Fatal(err)
	}
	i, end := 0, int64(-1)
	for _, part := range parts {
		at := int64(part.Tracks[0].BaseTime)
		if end >= 0 && at != end {
			t.Errorf("fragment begins at %d, the one before ends at %d", at, end)
		}
		for _, s := range part.Tracks[0].Samples {
			u := &units[i]
			if err := near(u, early, at, at+int64(s.PTSOffset)); err != nil {
				t.Fatalf("sample %d: %v", i, err)
			}
			if !bytes.Equal(s.Payload, u.Data) || s.IsNonSyncSample == u.RandomAccess {
				t.Fatalf("sample %d differs", i)
			}
			at += int64(s.Duration)
			i++
		}
		end = at
	}
	if i != len(units) {
		t.Fatalf("%d samples, want %d", i, len(units))
	}
}

// probe compares the packets that ffprobe finds with the units.
func probe(t *testing.T, file string, units []media.AccessUnit, early time.Duration) {
	t.Helper()
	var got struct {
		Packets []struct {
			DTS, PTS int64
			Flags    string
			Hash     string `json:"data_hash"`
		}
		Streams []struct {
			Profile       string
			Width, Height int
			SampleRate    string `json:"sample_rate"`
			Channels      int
			Transfer      string `json:"color_transfer"`
		}
	}
	out := run(t, "ffprobe", "-v", "error", "-show_packets", "-show_streams", "-show_data_hash", "MD5", "-of", "json", file)
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Streams) != 1 || len(got.Packets) != len(units) {
		t.Fatalf("%d streams, %d packets, want %d", len(got.Streams), len(got.Packets), len(units))
	}
	track, stream := units[0].Track, got.Streams[0]
	if track.Kind == media.Video {
		if stream.Width != track.Width || stream.Height != track.Height || (stream.Transfer == "smpte2084") != (fmp4.VideoRange(track) == "PQ") {
			t.Errorf("stream %+v, track %d x %d %s", stream, track.Width, track.Height, fmp4.VideoRange(track))
		}
	} else if stream.SampleRate != fmt.Sprint(track.SampleRate) || stream.Channels != track.Channels {
		t.Errorf("stream %+v, track %d Hz, %d channels", stream, track.SampleRate, track.Channels)
	}
	for i, p := range got.Packets {
		u := &units[i]
		if err := near(u, early, p.DTS, p.PTS); err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		sum := md5.Sum(u.Data)
		if p.Hash != "MD5:"+hex.EncodeToString(sum[:]) || strings.HasPrefix(p.Flags, "K") != u.RandomAccess {
			t.Fatalf("packet %d differs: %+v", i, p)
		}
	}
}

// decode has FFmpeg decode a file, and counts what comes out.
func decode(t *testing.T, file string, units int) {
	t.Helper()
	out := run(t, "ffmpeg", "-nostdin", "-v", "error", "-xerror", "-threads", "1", "-i", file, "-vsync", "passthrough", "-f", "framemd5", "-")
	frames := 0
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") {
			frames++
		}
	}
	if frames < units-1 || frames > units+1 { // decoders of audio keep back or add one
		t.Errorf("%d frames out of %d samples", frames, units)
	}
}

// dash compares the codecs string with the one that FFmpeg makes from the file.
func dash(t *testing.T, file, want string) {
	t.Helper()
	manifest := filepath.Join(t.TempDir(), "out.mpd")
	run(t, "ffmpeg", "-nostdin", "-v", "error", "-i", file, "-c", "copy", "-f", "dash", manifest)
	b, err := os.ReadFile(manifest)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`codecs="([^"]*)"`).FindSubmatch(b)
	if m == nil || string(m[1]) != want {
		t.Errorf("FFmpeg calls it %q, we %q", m, want)
	}
}
