package flv

import (
	"bytes"
	"fmt"
	"testing"
)

func TestAppendFileHeader(t *testing.T) {
	for _, c := range []struct {
		video, audio bool
		want         string
	}{
		{true, true, "'FLV' 01 05 00000009 00000000"},
		{true, false, "'FLV' 01 01 00000009 00000000"},
		{false, true, "'FLV' 01 04 00000009 00000000"},
		{false, false, "'FLV' 01 00 00000009 00000000"},
	} {
		want := unhex(t, c.want)
		if got := AppendFileHeader(nil, c.video, c.audio); !bytes.Equal(got, want) || len(got) != FileHeaderSize {
			t.Errorf("video %v, audio %v: %x", c.video, c.audio, got)
		}
		if got := (TagFormat{}).AppendFileHeader(nil, c.video, c.audio); !bytes.Equal(got, want) {
			t.Errorf("TagFormat: %x", got)
		}
		if got := (WebSocketFormat{}).AppendFileHeader(nil, c.video, c.audio); !bytes.Equal(got, append([]byte{0x82, 13}, want...)) {
			t.Errorf("WebSocketFormat: %x", got)
		}
	}
}

// tags hold a tag each, as FLV E.3 and E.4.1 have it.
var tags = []struct {
	tag  Tag
	wire string
}{
	{Tag{Type: TypeVideo, TimestampMS: 0, Body: []byte{0xaa}}, "09 000001 000000 00 000000 aa 0000000c"},
	{Tag{Type: TypeAudio, TimestampMS: 0x123456, Body: []byte{0xaa, 0xbb}}, "08 000002 123456 00 000000 aabb 0000000d"},
	{Tag{Type: TypeAudio, TimestampMS: 0x01000000, Body: []byte{}}, "08 000000 000000 01 000000 0000000b"},
	{Tag{Type: TypeData, TimestampMS: 0x89abcdef, Body: []byte{1, 2, 3}}, "12 000003 abcdef 89 000000 010203 0000000e"},
	{Tag{Type: TypeVideo, TimestampMS: 0xffffffff, Body: []byte{}}, "09 000000 ffffff ff 000000 0000000b"},
}

func TestAppendTag(t *testing.T) {
	for _, c := range tags {
		want := append([]byte("before"), unhex(t, c.wire)...)
		if got := AppendTag([]byte("before"), c.tag.Type, c.tag.TimestampMS, c.tag.Body); !bytes.Equal(got, want) {
			t.Errorf("got %x, want %x", got, want)
		}
		if got := (TagFormat{}).AppendMessage([]byte("before"), c.tag.Type, c.tag.TimestampMS, c.tag.Body); !bytes.Equal(got, want) {
			t.Errorf("TagFormat: got %x, want %x", got, want)
		}
	}
}

// TestWebSocketFrames checks the three forms of the length (RFC 6455 §5.2) at their borders. A tag
// adds 15 bytes to its body.
func TestWebSocketFrames(t *testing.T) {
	for _, c := range []struct {
		body   int
		header string
	}{
		{0, "82 0f"},
		{110, "82 7d"},
		{111, "82 7e 007e"},
		{65520, "82 7e ffff"},
		{65521, "82 7f 0000000000010000"},
		{1 << 20, "82 7f 000000000010000f"},
	} {
		body := bytes.Repeat([]byte{0x5a}, c.body)
		got := WebSocketFormat{}.AppendMessage([]byte("before"), TypeVideo, 40, body)
		want := AppendTag(append([]byte("before"), unhex(t, c.header)...), TypeVideo, 40, body)
		if !bytes.Equal(got, want) {
			t.Errorf("body of %d bytes: frame begins %x, want %s", c.body, got[6:min(len(got), 20)], c.header)
		}
	}
}

type wireFormat interface {
	AppendFileHeader(dst []byte, video, audio bool) []byte
	AppendMessage(dst []byte, messageType uint8, timestampMS uint32, body []byte) []byte
	Overhead(bodyLen int) int
}

func TestOverhead(t *testing.T) {
	for _, format := range []wireFormat{TagFormat{}, WebSocketFormat{}} {
		for _, n := range []int{0, 1, 110, 111, 65520, 65521, maxTagBody} {
			if added := len(format.AppendMessage(nil, 9, 0, make([]byte, n))) - n; added < 15 || added > format.Overhead(n) {
				t.Errorf("%T adds %d bytes to %d, said at most %d", format, added, n, format.Overhead(n))
			}
		}
		if got := format.AppendMessage([]byte{1}, 9, 0, make([]byte, maxTagBody+1)); len(got) != 1 {
			t.Errorf("%T: a body that no tag can announce must append nothing", format)
		}
	}
}

func TestFormatsAllocateNothing(t *testing.T) {
	body := make([]byte, 1000)
	dst := make([]byte, 0, 2000)
	for _, format := range []wireFormat{TagFormat{}, WebSocketFormat{}} {
		if n := testing.AllocsPerRun(100, func() { dst = format.AppendMessage(dst[:0], 9, 40, body) }); n != 0 {
			t.Errorf("%T: %v allocations", format, n)
		}
	}
}

func ExampleAppendTag() {
	fmt.Printf("% x\n", AppendFileHeader(nil, true, false))
	fmt.Printf("% x\n", AppendTag(nil, TypeVideo, 40, []byte{0x57, 0}))
	// Output:
	// 46 4c 56 01 01 00 00 00 09 00 00 00 00
	// 09 00 00 02 00 00 28 00 00 00 00 57 00 00 00 00 0d
}
