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

// TestHDR takes pictures of a real encoder, which says nothing of colour, with Enhanced RTMP colour information and the head of Dolby Vision
// metadata, and has FFmpeg read what becomes of it.
func TestHDR(t *testing.T) {
	if testing.Short() {
		t.Skip("runs encoders")
	}
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(name, "is not installed")
		}
	}
	in := encode(t, &clip{fourCC: "hvc1", box: "hvcC", input: "testsrc2=size=192x108:rate=25:duration=0.4",
		args: "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -tag:v hvc1 -x265-params log-level=none:keyint=5:bframes=0"})
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
		rpu5 = "\x7c\x01\x19\x08\x09\x00\x40\x61\xb6\x50\x60"
		rpu8 = "\x7c\x01\x19\x08\x09\x08\x40\x61\x36\x50\x60"
	)
	for _, c := range []struct {
		name   string
		colour amf.Object
		rpu    string
		want   []sideData
	}{
		{"HDR10", hdr10, "", []sideData{mastering, light}},
		{"HLG", amf.Object{config(18)}, "", nil},
		{"Dolby Vision 8.1", hdr10, rpu8, []sideData{mastering, light, dolby(8, 1)}},
		{"Dolby Vision 8.4", amf.Object{config(18)}, rpu8, []sideData{dolby(8, 4)}},
		{"Dolby Vision 5", nil, rpu5, []sideData{dolby(5, 0)}},
		{"nothing", nil, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			units := publish(t, in, amf.Append([]byte("\xd4hvc1"), "colorInfo", c.colour), c.rpu)
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

// publish sends samples by Enhanced RTMP, with a message behind the header and with something at the end of each.
func publish(t *testing.T, in *encoded, colour []byte, rpu string) (units []media.AccessUnit) {
	t.Helper()
	var d flv.Demuxer
	send := func(at time.Duration, body []byte) {
		var err error
		if units, err = d.Append(units, flv.TypeVideo, uint32(at.Milliseconds()), body); err != nil {
			t.Fatal(err)
		}
	}
	send(0, append([]byte("\x90hvc1"), in.header()...))
	send(0, colour)
	for _, s := range in.samples {
		body := []byte("\xa3hvc1")
		if s.key {
			body[0] = 0x93
		}
		body = append(body, s.data...)
		if rpu != "" {
			body = append(append(body, 0, 0, 0, byte(len(rpu))), rpu...)
		}
		send(s.dts, body)
	}
	units = slices.DeleteFunc(units, func(u media.AccessUnit) bool { return u.Header != media.Sample })
	for _, u := range units {
		if u.Track != units[0].Track {
			t.Fatal("the track changes")
		}
	}
	return units
}

// back has an FFmpeg that writes colour information turn the file into FLV, which must say of it what ours did.
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
