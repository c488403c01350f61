package rtmp

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The bytes are built from §5.3.1 by hand.
func TestAppendMessage(t *testing.T) {
	for _, tc := range []struct {
		name   string
		format Format
		m      Message
		want   string
	}{
		{"audio", Format{StreamID: 1, ChunkSize: 128}, Message{Type: TypeAudio, TimestampMS: 1000, Body: pattern(3, 0xaa)},
			`04 0003e8 000003 08 01000000 aaaaaa`},
		{"video of 307 bytes, as in example 2 of §5.3.2.2", Format{StreamID: 12346, ChunkSize: 128}, Message{Type: TypeVideo, TimestampMS: 1000, Body: pattern(307, 0xbb)},
			`06 0003e8 000133 09 3a300000 128*bb c6 128*bb c6 51*bb`},
		{"as long as a chunk", Format{StreamID: 1, ChunkSize: 128}, Message{Type: TypeVideo, Body: pattern(128, 0xbb)},
			`06 000000 000080 09 01000000 128*bb`},
		{"a byte longer than a chunk", Format{StreamID: 1, ChunkSize: 128}, Message{Type: TypeVideo, Body: pattern(129, 0xbb)},
			`06 000000 000081 09 01000000 128*bb c6 bb`},
		{"data", Format{StreamID: 1, ChunkSize: 128}, Message{Type: TypeDataAMF0, TimestampMS: 5, Body: []byte{2}},
			`05 000005 000001 12 01000000 02`},
		{"no body", Format{StreamID: 1, ChunkSize: 128}, Message{Type: TypeAudio, TimestampMS: 5},
			`04 000005 000000 08 01000000`},
		{"last time of 24 bits", Format{StreamID: 1, ChunkSize: 2}, Message{Type: TypeAudio, TimestampMS: 0xfffffe, Body: pattern(3, 0xaa)},
			`04 fffffe 000003 08 01000000 aaaa c4 aa`},
		{"first extended time, repeated", Format{StreamID: 1, ChunkSize: 2}, Message{Type: TypeAudio, TimestampMS: 0xffffff, Body: pattern(5, 0xaa)},
			`04 ffffff 000005 08 01000000 00ffffff aaaa c4 00ffffff aaaa c4 00ffffff aa`},
		{"last time before the wrap", Format{StreamID: 1, ChunkSize: 128}, Message{Type: TypeVideo, TimestampMS: 0xffffffff, Body: []byte{1}},
			`06 ffffff 000001 09 01000000 ffffffff 01`},
		{"command", Format{StreamID: 1, ChunkSize: 128}, Message{Type: typeCommandAMF0, Body: []byte{5}},
			`03 000000 000001 14 01000000 05`},
		{"protocol control goes to stream 0", Format{StreamID: 1, ChunkSize: 128}, Message{Type: typeSetChunkSize, Body: []byte{0, 0, 16, 0}},
			`02 000000 000004 01 00000000 00001000`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := append([]byte("before"), fromHex(t, tc.want)...)
			got := tc.format.AppendMessage([]byte("before"), tc.m.Type, tc.m.TimestampMS, tc.m.Body)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("bytes (-want +got):\n%s", diff)
			}
			if most := len("before") + len(tc.m.Body) + tc.format.Overhead(len(tc.m.Body)); len(got) > most {
				t.Errorf("%d bytes, overhead promises at most %d", len(got), most)
			}
		})
	}
}

func TestAppendMessageTooLong(t *testing.T) {
	f := Format{StreamID: 1}
	if got := f.AppendMessage(nil, TypeVideo, 0, make([]byte, MaxBody+1)); len(got) != 0 {
		t.Errorf("%d bytes for a body that no header can announce", len(got))
	}
	got := f.AppendMessage(nil, TypeVideo, 0xffffffff, make([]byte, MaxBody))
	if most := MaxBody + f.Overhead(MaxBody); len(got) > most || len(got) < most-2*(1+extendedTimeSize) {
		t.Errorf("%d bytes, overhead promises at most %d", len(got), most)
	}
}

// All that is read and passed on is what was read.
func TestFormatRoundTrip(t *testing.T) {
	var messages []Message
	for _, tc := range readerCases {
		if tc.err == nil {
			messages = append(messages, tc.want...)
		}
	}
	for _, chunk := range []int{1, 127, 128, 129, 4096, ChunkSize} {
		wire := appendControl(nil, typeSetChunkSize, be32(uint32(chunk))...)
		for _, m := range messages {
			wire = Format{StreamID: m.StreamID, ChunkSize: chunk}.AppendMessage(wire, m.Type, m.TimestampMS, m.Body)
		}
		got, err := readAll(wire, true, whole)
		if err != io.EOF {
			t.Fatalf("chunk size %d: %v", chunk, err)
		}
		if diff := diffMessages(messages, got); diff != "" {
			t.Errorf("chunk size %d (-want +got):\n%s", chunk, diff)
		}
	}
}

func TestAppendMessageAllocations(t *testing.T) {
	body := bytes.Repeat([]byte{1}, 200_000)
	f := Format{StreamID: 1}
	buf := make([]byte, 0, len(body)+f.Overhead(len(body)))
	if got := testing.AllocsPerRun(100, func() { f.AppendMessage(buf, TypeVideo, 0xffffffff, body) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	body := make([]byte, 10_000)
	f := Format{StreamID: 1}
	buf := make([]byte, 0, len(body)+f.Overhead(len(body)))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		f.AppendMessage(buf, TypeVideo, 1000, body)
	}
}
