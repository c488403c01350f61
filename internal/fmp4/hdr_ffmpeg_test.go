package fmp4_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"livego/internal/amf"
	"livego/internal/flv"
	"livego/internal/fmp4"
	"livego/internal/media"
)

// sideData is what ffprobe says of a stream beside its codec.
type sideData struct {
	Type          string `json:"side_data_type"`
	RedX          string `json:"red_x"`
	GreenY        string `json:"green_y"`
	WhitePointX   string `json:"white_point_x"`
	MinLuminance  string `json:"min_luminance"`
	MaxLuminance  string `json:"max_luminance"`
	MaxContent    int    `json:"max_content"`
	MaxAverage    int    `json:"max_average"`
	Profile       int    `json:"dv_profile"`
	Level         int    `json:"dv_level"`
	RPU           int    `json:"rpu_present_flag"`
	Enhancement   int    `json:"el_present_flag"`
	Base          int    `json:"bl_present_flag"`
	Compatibility int    `json:"dv_bl_signal_compatibility_id"`
}

// number is a value in the wire format of colour information.
type number struct {
	name  string
	value float64
}

func object(numbers ...number) (o amf.Object) {
	for _, n := range numbers {
		o = append(o, amf.Property{Name: n.name, Value: n.value})
	}
	return o
}

// TestHDR takes pictures of a real encoder, which says nothing of colour, with Enhanced RTMP colour
// information and the head of Dolby Vision metadata, and has FFmpeg read what becomes of it.
func TestHDR(t *testing.T) {
	if testing.Short() {
		t.Skip("runs encoders")
	}
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(name, "is not installed")
		}
	}
	const input = "testsrc2=size=192x108:rate=25:duration=0.4"
	hevc := &clip{fourCC: "hvc1", box: "hvcC", input: input,
		args: "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -tag:v hvc1 -x265-params log-level=none:keyint=5:bframes=0"}
	av1 := &clip{fourCC: "av01", box: "av1C", input: input, args: "-c:v libaom-av1 -usage realtime -cpu-used 8 -g 5 -pix_fmt yuv420p"}
	encodings := map[*clip]*encoded{hevc: encode(t, hevc), av1: encode(t, av1)}
	config := func(transfer float64) amf.Property {
		return amf.Property{Name: "colorConfig", Value: object(number{"bitDepth", 10}, number{"colorPrimaries", 9}, number{"transferCharacteristics", transfer}, number{"matrixCoefficients", 9})}
	}
	hdr10 := amf.Object{config(16),
		{Name: "hdrCll", Value: object(number{"maxFall", 400}, number{"maxCLL", 1000})},
		{Name: "hdrMdcv", Value: object(number{"redX", 0.68}, number{"redY", 0.32}, number{"greenX", 0.265}, number{"greenY", 0.69}, number{"blueX", 0.15}, number{"blueY", 0.06},
			number{"whitePointX", 0.3127}, number{"whitePointY", 0.329}, number{"maxLuminance", 1000}, number{"minLuminance", 0.005})},
	}
	mastering := sideData{Type: "Mastering display metadata", RedX: "34000/50000", GreenY: "34500/50000", WhitePointX: "15635/50000", MinLuminance: "50/10000", MaxLuminance: "10000000/10000"}
	light := sideData{Type: "Content light level metadata", MaxContent: 1000, MaxAverage: 400}
	dolby := func(profile, compatibility int) sideData {
		return sideData{Type: "DOVI configuration record", Profile: profile, Level: 1, RPU: 1, Base: 1, Compatibility: compatibility}
	}
	const (
		rpu5 = "\x00\x00\x00\x0b\x7c\x01\x19\x08\x09\x00\x40\x61\xb6\x50\x60"
		rpu8 = "\x00\x00\x00\x0b\x7c\x01\x19\x08\x09\x08\x40\x61\x36\x50\x60"
		// in a metadata OBU: a message of ITU-T T.35, in it an EMDF container, in it what stands
		// behind the prefix of rpu8
		rpu10 = "\x2a\x18\x04\xb5\x00\x3b\x00\x00\x08\x00\x37\xcd\x08\x21\x00\x80\x90\x84\x06\x13\x65\x06\x00\x20\x07\x80"
	)
	for _, c := range []struct {
		name   string
		clip   *clip
		colour amf.Object
		rpu    string
		want   []sideData
	}{
		{"HDR10", hevc, hdr10, "", []sideData{mastering, light}},
		{"HLG", hevc, amf.Object{config(18)}, "", nil},
		{"Dolby Vision 8.1", hevc, hdr10, rpu8, []sideData{mastering, light, dolby(8, 1)}},
		{"Dolby Vision 8.4", hevc, amf.Object{config(18)}, rpu8, []sideData{dolby(8, 4)}},
		{"Dolby Vision 5", hevc, nil, rpu5, []sideData{dolby(5, 0)}},
		{"Dolby Vision 10.1", av1, hdr10, rpu10, []sideData{mastering, light, dolby(10, 1)}},
		{"Dolby Vision 10.4", av1, amf.Object{config(18)}, rpu10, []sideData{dolby(10, 4)}},
		{"nothing", hevc, nil, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			units := publish(t, encodings[c.clip], c.clip.fourCC, amf.Append([]byte("\xd4"+c.clip.fourCC), "colorInfo", c.colour), c.rpu)
			b, err := fmp4.AppendInit(nil, units[0].Track, units[0].Data)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "out.mp4")
			if err := os.WriteFile(file, append(b, write(t, units)...), 0o644); err != nil {
				t.Fatal(err)
			}
			var got struct {
				Streams []struct {
					SideData []sideData `json:"side_data_list"`
				}
				Packets []struct{ Flags string }
			}
			out := run(t, "ffprobe", "-v", "error", "-show_streams", "-show_packets", "-of", "json", file)
			if err := json.Unmarshal(out, &got); err != nil || len(got.Streams) != 1 || len(got.Packets) != len(units) {
				t.Fatalf("%v: %s", err, out)
			}
			s := got.Streams[0]
			if len(s.SideData) != len(c.want) {
				t.Fatalf("%+v", s.SideData)
			}
			for _, want := range c.want {
				if !slices.Contains(s.SideData, want) {
					t.Errorf("no %+v among %+v", want, s.SideData)
				}
			}
			back(t, file, units[0].Track)
		})
	}
}

// publish sends samples by Enhanced RTMP, with a message behind the header and with something at
// the end of each.
func publish(t *testing.T, in *encoded, fourCC string, colour []byte, rpu string) (units []media.AccessUnit) {
	t.Helper()
	var d flv.Demuxer
	send := func(at time.Duration, body []byte) {
		var err error
		if units, err = d.Append(units, flv.TypeVideo, uint32(at.Milliseconds()), body); err != nil {
			t.Fatal(err)
		}
	}
	send(0, append([]byte("\x90"+fourCC), in.header()...))
	send(0, colour)
	for _, s := range in.samples {
		body := []byte("\xa3" + fourCC)
		if s.key {
			body[0] = 0x93
		}
		send(s.dts, append(append(body, s.data...), rpu...))
	}
	units = slices.DeleteFunc(units, func(u media.AccessUnit) bool { return u.Header != media.Sample })
	for _, u := range units {
		if u.Track != units[0].Track {
			t.Fatal("the track changes")
		}
	}
	return units
}

// back has an FFmpeg that writes colour information turn the file into FLV, which must say of it
// what ours did.
func back(t *testing.T, file string, track *media.Track) {
	t.Helper()
	ffmpeg := os.Getenv("FFMPEG7")
	if ffmpeg == "" || track.Colour.Mastering == (media.MasteringDisplay{}) {
		return
	}
	out := filepath.Join(t.TempDir(), "out.flv")
	run(t, ffmpeg, "-nostdin", "-v", "error", "-i", file, "-c", "copy", out)
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var d flv.Demuxer
	var got *media.Track
	r := flv.NewReader(f)
	if err := r.ReadHeader(); err != nil {
		t.Fatal(err)
	}
	for {
		tag, err := r.ReadTag()
		if err != nil {
			break
		}
		units, err := d.Append(nil, tag.Type, tag.TimestampMS, tag.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range units {
			if u.Track.Kind == media.Video && u.Header == media.Sample {
				got = u.Track
			}
		}
	}
	if got == nil {
		t.Fatal("no picture")
	}
	if got.Colour.Mastering != track.Colour.Mastering || got.Colour.Light != track.Colour.Light { // it takes the rest from the bitstream alone
		t.Errorf("FFmpeg says %+v, want %+v", got.Colour, track.Colour)
	}
}
