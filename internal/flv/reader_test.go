package flv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"livego/internal/media"
)

const fileHeader = "'FLV' 01 05 00000009"

func TestReader(t *testing.T) {
	file := unhex(t, fileHeader+"00000000")
	var want []Tag
	for _, c := range tags {
		file = append(file, unhex(t, c.wire)...)
		want = append(want, c.tag)
	}
	for name, input := range map[string]io.Reader{
		"at once":         bytes.NewReader(file),
		"byte by byte":    iotest.OneByteReader(bytes.NewReader(file)),
		"without the end": bytes.NewReader(file[:len(file)-4]),
	} {
		r := NewReader(input)
		var got []Tag
		for {
			tag, err := r.ReadTag()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(name, err)
			}
			got = append(got, tag)
		}
		if diff := cmp.Diff(want, got); diff != "" || !r.Video || !r.Audio {
			t.Errorf("%s: video %v, audio %v, %s", name, r.Video, r.Audio, diff)
		}
		if _, err := r.ReadTag(); err != io.EOF {
			t.Errorf("%s: after the end: %v", name, err)
		}
	}
}

func TestReadHeader(t *testing.T) {
	for _, c := range []struct {
		header       string
		video, audio bool
	}{
		{"'FLV' 01 00 00000009", false, false},
		{"'FLV' 01 01 00000009", true, false},
		{"'FLV' 01 04 00000009", false, true},
		{"'FLV' 01 ff 0000000b 0000", true, true},
	} {
		r := NewReader(bytes.NewReader(unhex(t, c.header+"00000000"+tags[0].wire)))
		for range 2 { // the second call does nothing
			if err := r.ReadHeader(); err != nil || r.Video != c.video || r.Audio != c.audio {
				t.Fatalf("%s: video %v, audio %v, %v", c.header, r.Video, r.Audio, err)
			}
		}
		if tag, err := r.ReadTag(); err != nil || tag.Type != TypeVideo {
			t.Errorf("%s: %+v, %v", c.header, tag, err)
		}
	}
}

func TestReaderErrors(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       error
	}{
		{"nothing", "", io.ErrUnexpectedEOF},
		{"header cut off", "'FLV' 01", io.ErrUnexpectedEOF},
		{"something else", "'GIF89a' 000000", ErrUnsupported},
		{"other version", "'FLV' 02 05 00000009 00000000", ErrUnsupported},
		{"header shorter than itself", "'FLV' 01 05 00000008 00000000", ErrUnsupported},
		{"header that announces 4 GiB", "'FLV' 01 05 ffffffff 00000000", ErrLimit},
		{"longer header cut off", "'FLV' 01 05 0000000c 00", io.ErrUnexpectedEOF},
		{"no tags", fileHeader + "00000000", io.EOF},
		{"not even a size", fileHeader, io.EOF},
		{"size cut off", fileHeader + "0000", io.ErrUnexpectedEOF},
		{"tag header cut off", fileHeader + "00000000 09", io.ErrUnexpectedEOF},
		{"body missing", fileHeader + "00000000 09 000001 000000 00 000000", io.ErrUnexpectedEOF},
		{"body cut off", fileHeader + "00000000 09 000002 000000 00 000000 aa", io.ErrUnexpectedEOF},
		{"tag of 16 MiB", fileHeader + "00000000 09 ffffff 000000 00 000000", ErrLimit},
		{"encrypted tag", fileHeader + "00000000 29 000001 000000 00 000000 aa", ErrUnsupported},
	} {
		r := NewReader(bytes.NewReader(unhex(t, c.file)))
		_, err := r.ReadTag()
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if _, again := r.ReadTag(); again != err {
			t.Errorf("%s: then %v", c.name, again)
		}
	}
	broken := errors.New("connection lost")
	if _, err := NewReader(iotest.ErrReader(broken)).ReadTag(); !errors.Is(err, broken) {
		t.Errorf("the input's own error: %v", err)
	}
}

// TestReadTagWaitsForNothing checks that a live tag comes out although nothing follows it yet, not
// even its size.
func TestReadTagWaitsForNothing(t *testing.T) {
	wire := unhex(t, fileHeader+"00000000"+tags[0].wire)
	input, output := io.Pipe()
	defer input.Close()
	written := make(chan struct{})
	go func() {
		defer close(written)
		output.Write(wire[:len(wire)-4])
	}()
	if tag, err := NewReader(input).ReadTag(); err != nil || tag.Type != TypeVideo {
		t.Fatal(tag, err)
	}
	<-written
}

func TestReadTagInto(t *testing.T) {
	r := NewReader(bytes.NewReader(unhex(t, fileHeader+"00000000"+tags[0].wire+tags[3].wire)))
	buf := make([]byte, 0, 2)
	tag, err := r.ReadTagInto(buf)
	if err != nil || &tag.Body[0] != &buf[:1][0] {
		t.Fatalf("a body that fits must be in the buffer: %v", err)
	}
	if tag, err = r.ReadTagInto(buf); err != nil || !bytes.Equal(tag.Body, []byte{1, 2, 3}) {
		t.Fatalf("a body that does not fit needs memory of its own: %x, %v", tag.Body, err)
	}
}

// TestClip reads a file that FFmpeg wrote (64x48 H.264 with B-frames, mono AAC, 0.6 s): every tag
// makes a unit, what they hold adds up, and written again the tags are the file.
func TestClip(t *testing.T) {
	file, err := os.ReadFile("testdata/clip.flv")
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(bytes.NewReader(file))
	if err := r.ReadHeader(); err != nil {
		t.Fatal(err)
	}
	again := AppendFileHeader(nil, r.Video, r.Audio)
	var d Demuxer
	count := map[string]int{}
	for {
		tag, err := r.ReadTag()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		again = AppendTag(again, tag.Type, tag.TimestampMS, tag.Body)
		u := one(t, &d, tag.Type, tag.TimestampMS, tag.Body)
		count[what(u)]++
		if u.Track.Codec == media.H264 && u.Header == media.Sample {
			checkNALs(t, u)
		}
	}
	if !bytes.Equal(again, file) {
		t.Error("the tags written again are another file")
	}
	want := map[string]int{
		"data metadata": 1, "H264 header 64x48": 1, "AAC header 44100/1": 1,
		"H264 key": 2, "H264": 13, "AAC key": 27, "H264 end": 1,
	}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Error(diff)
	}
	if video, audio, known := d.Expected(); video != 1 || audio != 1 || !known {
		t.Error("onMetaData names both tracks")
	}
}

func what(u media.AccessUnit) string {
	switch {
	case u.Header == media.Metadata:
		return "data metadata"
	case u.Header == media.SequenceHeader && u.Track.Kind == media.Video:
		return fmt.Sprintf("%s header %dx%d", u.Track.Codec, u.Track.Width, u.Track.Height)
	case u.Header == media.SequenceHeader:
		return fmt.Sprintf("%s header %d/%d", u.Track.Codec, u.Track.SampleRate, u.Track.Channels)
	case u.Header == media.SequenceEnd:
		return string(u.Track.Codec) + " end"
	}
	return strings.TrimSpace(string(u.Track.Codec) + map[bool]string{true: " key"}[u.RandomAccess])
}

// checkNALs checks that the data of a picture is whole NAL units, and an IDR picture just where the
// frame type says key.
func checkNALs(t *testing.T, u media.AccessUnit) {
	t.Helper()
	idr := false
	for data := u.Data; len(data) > 0; {
		n := int(ui24(data[1:]))
		if data[0] != 0 || n == 0 || n > len(data)-4 {
			t.Fatalf("at %v: NAL unit of %d bytes in %d", u.DTS, n, len(data)-4)
		}
		idr = idr || data[4]&0x1F == 5
		data = data[4+n:]
	}
	if idr != u.RandomAccess {
		t.Errorf("at %v: IDR %v, random access %v", u.DTS, idr, u.RandomAccess)
	}
}

// FuzzReader checks that what was read and written again reads the same.
func FuzzReader(f *testing.F) {
	file := unhex(f, fileHeader+"00000000")
	f.Add(file)
	for _, c := range tags {
		file = append(file, unhex(f, c.wire)...)
	}
	f.Add(file)
	f.Add(file[:len(file)-4])
	f.Fuzz(func(t *testing.T, file []byte) {
		read := func(file []byte) (all []Tag, again []byte) {
			r := NewReader(bytes.NewReader(file))
			for {
				tag, err := r.ReadTag()
				if err != nil {
					return all, again
				}
				if again == nil {
					again = AppendFileHeader(nil, r.Video, r.Audio)
				}
				tag.StreamID = 0 // as it is written
				all = append(all, tag)
				again = AppendTag(again, tag.Type, tag.TimestampMS, tag.Body)
			}
		}
		first, wire := read(file)
		second, _ := read(wire)
		if diff := cmp.Diff(first, second); diff != "" {
			t.Fatal(diff)
		}
	})
}
