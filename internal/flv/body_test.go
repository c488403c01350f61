package flv

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"livego/internal/media"
)

// TestAppendBody checks each form of body against the specification, and that a Demuxer reads back
// what went in.
func TestAppendBody(t *testing.T) {
	video := func(codec media.Codec, config string) *media.Track {
		return &media.Track{Kind: media.Video, Codec: codec, Config: unhex(t, config)}
	}
	audio := func(codec media.Codec, config string, rate, channels int) *media.Track {
		track := &media.Track{Kind: media.Audio, Codec: codec, SampleRate: rate, Channels: channels}
		if config != "" {
			track.Config = unhex(t, config)
		}
		return track
	}
	key := media.AccessUnit{RandomAccess: true, Data: []byte{0xaa}}
	inter := media.AccessUnit{Data: []byte{0xaa}}
	early := media.AccessUnit{Data: []byte{0xaa}, PTS: -time.Millisecond}
	late := media.AccessUnit{RandomAccess: true, Data: []byte{0xaa}, PTS: 80 * time.Millisecond}
	sound := key
	header := media.AccessUnit{Header: media.SequenceHeader}
	end := media.AccessUnit{Header: media.SequenceEnd}

	for _, c := range []struct {
		name  string
		track *media.Track
		unit  media.AccessUnit
		want  string
	}{
		{"H264 header", video(media.H264, avcC), header, "17 00 000000" + avcC},
		{"H264 key", video(media.H264, avcC), late, "17 01 000050 aa"},
		{"H264 inter", video(media.H264, avcC), early, "27 01 ffffff aa"},
		{"H264 end", video(media.H264, avcC), end, "17 02 000000"},
		{"HEVC header", video(media.HEVC, hvcC), header, "90 'hvc1'" + hvcC},
		{"HEVC key", video(media.HEVC, hvcC), late, "91 'hvc1' 000050 aa"},
		{"HEVC inter", video(media.HEVC, hvcC), early, "a1 'hvc1' ffffff aa"},
		{"HEVC end", video(media.HEVC, hvcC), end, "92 'hvc1'"},
		{"VVC key", video(media.VVC, vvcC), late, "91 'vvc1' 000050 aa"},
		{"AV1 header", video(media.AV1, av1C), header, "90 'av01'" + av1C},
		{"AV1 key", video(media.AV1, av1C), key, "91 'av01' aa"},
		{"VP9 inter", video(media.VP9, vpcC), inter, "a1 'vp09' aa"},
		{"VP8 inter", video(media.VP8, vpcC), inter, "a1 'vp08' aa"},
		{"AAC header", audio(media.AAC, "1210", 44100, 2), header, "af 00 1210"},
		{"AAC", audio(media.AAC, "1210", 44100, 2), sound, "af 01 aa"},
		{"AAC end", audio(media.AAC, "1210", 44100, 2), end, "92 'mp4a'"},
		{"HEVC colour", video(media.HEVC, hvcC), media.AccessUnit{Header: media.Colour, Data: []byte{2, 0}}, "94 'hvc1' 0200"},
		{"Opus channels", audio(media.Opus, "", 48000, 2), media.AccessUnit{Header: media.Multichannel, Data: []byte{1, 2}}, "94 'Opus' 0102"},
		{"MP3 44.1 kHz stereo", audio(media.MP3, "", 44100, 2), sound, "2f aa"},
		{"MP3 48 kHz mono", audio(media.MP3, "", 48000, 1), sound, "2e aa"},
		{"MP3 22 kHz", audio(media.MP3, "", 22050, 1), sound, "2a aa"},
		{"MP3 11 kHz", audio(media.MP3, "", 11025, 1), sound, "26 aa"},
		{"MP3 8 kHz", audio(media.MP3, "", 8000, 1), sound, "e2 aa"},
		{"A-law", audio(media.PCMA, "", 8000, 1), sound, "72 aa"},
		{"mu-law", audio(media.PCMU, "", 8000, 2), sound, "83 aa"},
		{"Speex", audio(media.Speex, "", 16000, 1), sound, "b6 aa"},
		{"Opus header", audio(media.Opus, opusHead, 48000, 2), header, "90 'Opus'" + opusHead},
		{"Opus", audio(media.Opus, opusHead, 48000, 2), sound, "91 'Opus' aa"},
		{"FLAC header", audio(media.FLAC, flacInfo, 44100, 1), header, "90 'fLaC'" + flacInfo},
		{"FLAC", audio(media.FLAC, flacInfo, 44100, 1), sound, "91 'fLaC' aa"},
		{"AC-3", audio(media.AC3, "", 48000, 2), sound, "91 'ac-3' aa"},
		{"E-AC-3", audio(media.EAC3, "", 48000, 2), sound, "91 'ec-3' aa"},
		{"silence", audio(media.AAC, "1210", 44100, 2), media.AccessUnit{Data: []byte{}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.unit.Track = c.track
			body, err := AppendBody([]byte("before"), &c.unit)
			if err != nil || !bytes.Equal(body, append([]byte("before"), unhex(t, c.want)...)) {
				t.Fatalf("got %x, %v, want %s", body, err, c.want)
			}
			messageType := uint8(TypeVideo)
			if c.track.Kind == media.Audio {
				messageType = TypeAudio
			}
			var d Demuxer
			if len(c.unit.Data) == 0 && c.unit.Header == media.Sample { // silence, of a track that is there
				one(t, &d, messageType, 0, unhex(t, "af 01 aa"))
			}
			got := one(t, &d, messageType, 0, body[len("before"):])
			if got.Header != c.unit.Header || got.Track.Codec != c.track.Codec || !bytes.Equal(got.Data, c.unit.Data) || got.PTS != c.unit.PTS {
				t.Fatalf("read back as %s", summary(got))
			}
			if messageType == TypeVideo && got.RandomAccess != c.unit.RandomAccess {
				t.Fatalf("random access %v", got.RandomAccess)
			}
			if got.Header == media.SequenceHeader && !bytes.Equal(got.Track.Config, c.track.Config) {
				t.Fatalf("configuration read back as %x", got.Track.Config)
			}
		})
	}
}

func TestAppendBodyOfScript(t *testing.T) {
	u := media.AccessUnit{Track: &media.Track{Kind: media.Data}, Data: unhex(t, "02 0001 'a'")}
	if got, err := AppendBody(nil, &u); err != nil || !bytes.Equal(got, u.Data) {
		t.Fatalf("%x, %v", got, err)
	}
}

func TestAppendBodyErrors(t *testing.T) {
	h264 := &media.Track{Kind: media.Video, Codec: media.H264}
	av1 := &media.Track{Kind: media.Video, Codec: media.AV1}
	unknownVideo, unknownAudio := &media.Track{Kind: media.Video}, &media.Track{Kind: media.Audio}
	mp3 := &media.Track{Kind: media.Audio, Codec: media.MP3}
	data := []byte{1}
	for _, c := range []struct {
		name string
		unit media.AccessUnit
		want error
	}{
		{"composition time over 24 bits", media.AccessUnit{Track: h264, Data: data, PTS: ms(1 << 23)}, ErrLimit},
		{"composition time under 24 bits", media.AccessUnit{Track: h264, Data: data, PTS: -ms(1<<23 + 1)}, ErrLimit},
		{"composition time of a codec without", media.AccessUnit{Track: av1, Data: data, PTS: ms(1)}, ErrUnsupported},
		{"picture of an unknown codec", media.AccessUnit{Track: unknownVideo, Data: data}, ErrUnsupported},
		{"sound of an unknown codec", media.AccessUnit{Track: unknownAudio, Data: data}, ErrUnsupported},
		{"header of an unknown codec", media.AccessUnit{Track: unknownAudio, Header: media.SequenceHeader}, ErrUnsupported},
		{"header of a codec without", media.AccessUnit{Track: mp3, Header: media.SequenceHeader}, ErrUnsupported},
		{"end of an unknown codec", media.AccessUnit{Track: unknownVideo, Header: media.SequenceEnd}, ErrUnsupported},
		{"colour information", media.AccessUnit{Track: h264, Header: media.Colour}, ErrUnsupported},
		{"channels", media.AccessUnit{Track: mp3, Header: media.Multichannel}, ErrUnsupported},
		{"metadata", media.AccessUnit{Track: &media.Track{Kind: media.Data}, Header: media.Metadata}, ErrUnsupported},
		{"command", media.AccessUnit{Track: h264, Header: media.Command}, ErrUnsupported},
	} {
		got, err := AppendBody([]byte{7}, &c.unit)
		if !errors.Is(err, c.want) || len(got) != 1 {
			t.Errorf("%s: %x, %v, want %v", c.name, got, err, c.want)
		}
	}
}

func TestAppendBodyAllocatesNothing(t *testing.T) {
	dst := make([]byte, 0, 64)
	u := media.AccessUnit{Track: &media.Track{Kind: media.Video, Codec: media.HEVC}, Data: []byte{1}}
	if n := testing.AllocsPerRun(100, func() { dst, _ = AppendBody(dst[:0], &u) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
