package rtmp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// readerCase is bytes on the wire and the messages in them. The bytes are built from the RTMP 1.0
// specification by hand.
type readerCase struct {
	name string
	wire string
	want []Message
	// publishing: the limits of a publisher hold. Without it those of a peer that has not
	// published.
	publishing bool
	err        error
}

func pattern(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }

var readerCases = []readerCase{
	{
		// §5.3.2.1, Example 1: headers of type 0, 2, 3 and 3; each message begins with its chunk.
		name: "example 1: audio messages of equal size and spacing",
		wire: `03 0003e8 000020 08 39300000 32*a1
		       83 000014 32*a2
		       c3 32*a3
		       c3 32*a4`,
		want: []Message{
			{TypeAudio, 12345, 1000, pattern(32, 0xa1)},
			{TypeAudio, 12345, 1020, pattern(32, 0xa2)},
			{TypeAudio, 12345, 1040, pattern(32, 0xa3)},
			{TypeAudio, 12345, 1060, pattern(32, 0xa4)},
		},
	},
	{
		// §5.3.2.2, Example 2: a message of 307 bytes in chunks of 128.
		name: "example 2: a message in three chunks",
		wire: `04 0003e8 000133 09 3a300000 128*b1 c4 128*b2 c4 51*b3`,
		want: []Message{{TypeVideo, 12346, 1000, append(append(pattern(128, 0xb1), pattern(128, 0xb2)...), pattern(51, 0xb3)...)}},
	},
	{
		// §5.3.1.1: ids 2-63 in one byte, 64-319 in two, 64-65599 in three with the low byte first.
		name: "widths of chunk stream ids",
		wire: `3f 000001 000001 08 01000000 11
		       00 00 000002 000001 08 01000000 22
		       00 ff 000003 000001 08 01000000 33
		       01 0001 000004 000001 08 01000000 44
		       01 ffff 000005 000001 08 01000000 55
		       c0 00 66
		       01 0000 000007 000001 08 01000000 77
		       c1 ffff 88`,
		want: []Message{
			{TypeAudio, 1, 1, []byte{0x11}},
			{TypeAudio, 1, 2, []byte{0x22}}, // id 64
			{TypeAudio, 1, 3, []byte{0x33}}, // id 319
			{TypeAudio, 1, 4, []byte{0x44}}, // id 64 + 0x0100
			{TypeAudio, 1, 5, []byte{0x55}}, // id 65599
			{TypeAudio, 1, 4, []byte{0x66}}, // id 64: type 3 after type 0 adds its time
			{TypeAudio, 1, 7, []byte{0x77}}, // id 64 in three bytes
			{TypeAudio, 1, 10, []byte{0x88}},
		},
	},
	{
		name: "defect 40: ids from 64 on have a state each",
		wire: `00 01 00000a 000081 09 01000000 128*01
		       00 02 000014 000081 08 01000000 128*02
		       c0 01 11
		       c0 02 22`,
		want: []Message{
			{TypeVideo, 1, 10, append(pattern(128, 1), 0x11)},
			{TypeAudio, 1, 20, append(pattern(128, 2), 0x22)},
		},
	},
	{
		// §5.3.1.2.2: type 1 keeps the message stream.
		name: "type 1 header",
		wire: `04 000064 000002 09 01000000 aabb
		       44 000021 000001 08 cc`,
		want: []Message{{TypeVideo, 1, 100, []byte{0xaa, 0xbb}}, {TypeAudio, 1, 133, []byte{0xcc}}},
	},
	{
		name: "type 3 after type 1 reuses the delta",
		wire: `04 000064 000001 09 01000000 aa
		       44 000021 000001 09 bb
		       c4 cc`,
		want: []Message{{TypeVideo, 1, 100, []byte{0xaa}}, {TypeVideo, 1, 133, []byte{0xbb}}, {TypeVideo, 1, 166, []byte{0xcc}}},
	},
	{
		// RTMP_SendPacket: type 3 for the time of the message before, and type 2 with each delta.
		name: "librtmp begins messages of one time with type 3",
		wire: `04 000064 000001 08 01000000 aa
		       84 000015 bb
		       84 000015 cc
		       c4 dd
		       84 000016 ee
		       c4 ff
		       05 004e20 000001 08 01000000 11
		       c5 22`,
		want: []Message{
			{TypeAudio, 1, 100, []byte{0xaa}}, {TypeAudio, 1, 121, []byte{0xbb}}, {TypeAudio, 1, 142, []byte{0xcc}}, {TypeAudio, 1, 142, []byte{0xdd}},
			{TypeAudio, 1, 164, []byte{0xee}}, {TypeAudio, 1, 164, []byte{0xff}}, {TypeAudio, 1, 20_000, []byte{0x11}}, {TypeAudio, 1, 20_000, []byte{0x22}},
		},
	},
	{
		name: "type 3 after a time that is no delta",
		wire: `04 0f4240 000001 08 01000000 aa
		       c4 bb
		       84 000015 cc
		       c4 dd`,
		want: []Message{
			{TypeAudio, 1, 1_000_000, []byte{0xaa}}, {TypeAudio, 1, 1_000_000, []byte{0xbb}}, {TypeAudio, 1, 1_000_021, []byte{0xcc}}, {TypeAudio, 1, 1_000_042, []byte{0xdd}},
		},
	},
	{
		// librtmp's first pong is a type 1 header on a new chunk stream.
		name: "type 1 begins a chunk stream",
		wire: `42 000000 000006 04 0007 00000001`,
		want: []Message{{typeUserControl, 0, 0, []byte{0, 7, 0, 0, 0, 1}}},
	},
	{
		name: "messages without a body",
		wire: `04 000064 000000 08 01000000
		       84 00000a
		       c4`,
		want: []Message{{TypeAudio, 1, 100, []byte{}}, {TypeAudio, 1, 110, []byte{}}, {TypeAudio, 1, 120, []byte{}}},
	},
	{
		// §5.3.1.3: type 3 chunks repeat the extended timestamp.
		name: "extended timestamp, repeated",
		wire: `06 ffffff 000104 09 01000000 01000000 128*aa
		       c6 01000000 128*bb
		       c6 01000000 04*cc`,
		want: []Message{{TypeVideo, 1, 0x01000000, append(append(pattern(128, 0xaa), pattern(128, 0xbb)...), pattern(4, 0xcc)...)}},
	},
	{
		name: "extended timestamp, not repeated",
		wire: `06 ffffff 000102 09 01000000 01000000 128*aa
		       c6 128*bb
		       c6 02*cc
		       06 ffffff 000081 09 01000000 01000021 128*dd
		       c6 ee`,
		want: []Message{
			{TypeVideo, 1, 0x01000000, append(append(pattern(128, 0xaa), pattern(128, 0xbb)...), pattern(2, 0xcc)...)},
			{TypeVideo, 1, 0x01000021, append(pattern(128, 0xdd), 0xee)},
		},
	},
	{
		name: "extended timestamp, not repeated, and payload that begins like it",
		wire: `06 ffffff 000083 09 01000000 01000000 128*aa
		       c6 010203
		       06 ffffff 000084 09 01000000 01000021 128*bb
		       c6 01000021`,
		want: []Message{
			{TypeVideo, 1, 0x01000000, append(pattern(128, 0xaa), 1, 2, 3)},
			{TypeVideo, 1, 0x01000021, append(pattern(128, 0xbb), 1, 0, 0, 0x21)},
		},
	},
	{
		name: "the first time that needs 32 bits",
		wire: `06 fffffe 000001 09 01000000 aa
		       06 ffffff 000001 09 01000000 00ffffff bb`,
		want: []Message{{TypeVideo, 1, 0xfffffe, []byte{0xaa}}, {TypeVideo, 1, 0xffffff, []byte{0xbb}}},
	},
	{
		// §5.3.1.2.5: a delta has an extended form too; it is not an absolute time.
		name: "defect 40: extended delta",
		wire: `06 000064 000081 09 01000000 128*aa
		       c6 aa
		       86 ffffff 01000000 128*bb
		       c6 01000000 bb
		       86 000001 128*cc
		       c6 cc`,
		want: []Message{
			{TypeVideo, 1, 100, pattern(129, 0xaa)},
			{TypeVideo, 1, 100 + 0x01000000, pattern(129, 0xbb)},
			{TypeVideo, 1, 101 + 0x01000000, pattern(129, 0xcc)},
		},
	},
	{
		name: "type 3 begins a message with an extended delta",
		wire: `06 000064 000001 09 01000000 aa
		       86 ffffff 01000000 bb
		       c6 01000000 cc`,
		want: []Message{
			{TypeVideo, 1, 100, []byte{0xaa}},
			{TypeVideo, 1, 100 + 0x01000000, []byte{0xbb}},
			{TypeVideo, 1, 100 + 0x02000000, []byte{0xcc}},
		},
	},
	{
		name: "time wraps around at 32 bits",
		wire: `06 ffffff 000001 09 01000000 fffffff0 aa
		       86 000020 bb`,
		want: []Message{{TypeVideo, 1, 0xfffffff0, []byte{0xaa}}, {TypeVideo, 1, 0x10, []byte{0xbb}}},
	},
	{
		name: "interleaved messages",
		wire: `06 000064 000082 09 01000000 128*aa
		       04 00006e 000003 08 01000000 bbbbbb
		       05 000078 000081 12 01000000 128*cc
		       c6 aaaa
		       c5 cc`,
		want: []Message{
			{TypeAudio, 1, 110, pattern(3, 0xbb)},
			{TypeVideo, 1, 100, pattern(130, 0xaa)},
			{TypeDataAMF0, 1, 120, pattern(129, 0xcc)},
		},
	},
	{
		// §5.4.1: takes effect at once, in the middle of another message.
		name: "set chunk size",
		wire: `06 000064 0000c8 09 01000000 128*aa
		       02 000000 000004 01 00000000 00000040
		       c6 64*aa
		       c6 08*aa
		       02 000000 000004 01 00000000 7fffffff
		       06 000065 000096 09 01000000 150*bb`,
		want: []Message{{TypeVideo, 1, 100, pattern(200, 0xaa)}, {TypeVideo, 1, 101, pattern(150, 0xbb)}},
	},
	{
		// §5.4.2.
		name: "abort",
		wire: `06 000064 0000c8 09 01000000 128*aa
		       02 000000 000004 02 00000000 00000006
		       c6 128*bb c6 72*bb`,
		want: []Message{{TypeVideo, 1, 200, pattern(200, 0xbb)}},
	},
	{
		name: "abort of a chunk stream that does not exist",
		wire: `02 000000 000004 02 00000000 00000009
		       06 000064 000001 09 01000000 aa`,
		want: []Message{{TypeVideo, 1, 100, []byte{0xaa}}},
	},
	{
		name: "repeated headers inside a message",
		wire: `06 000064 000102 09 01000000 128*aa
		       46 000021 000102 09 128*aa
		       86 000021 aaaa`,
		want: []Message{{TypeVideo, 1, 100, pattern(258, 0xaa)}},
	},
	{
		name: "a new message before the old one is complete",
		wire: `06 000064 000102 09 01000000 128*aa
		       06 000085 000001 09 01000000 bb`,
		want: []Message{{TypeVideo, 1, 133, []byte{0xbb}}},
	},
	{
		// §7.1.6: times are shifted by the difference to the first, stream ids are overridden.
		name: "aggregate",
		wire: `06 0003e8 000030 16 01000000
		         08 000001 000064 00 000000 aa 0000000c
		         09 000002 000085 00 000007 bbbb 0000000d
		         12 000000 000090 00 000000 0000000b`,
		want: []Message{
			{TypeAudio, 1, 1000, []byte{0xaa}},
			{TypeVideo, 1, 1033, []byte{0xbb, 0xbb}},
			{TypeDataAMF0, 1, 1044, []byte{}},
		},
	},
	{
		name: "aggregates of time 0, the times of whose messages go on",
		wire: `06 000000 000020 16 01000000
		         08 000001 000000 00 000000 aa 0000000c
		         08 000001 000015 00 000000 bb 0000000c
		       06 000000 000020 16 01000000
		         08 000001 00002a 00 000000 cc 0000000c
		         09 000001 000040 00 000000 dd 0000000c
		       06 000000 000010 16 01000000
		         08 000001 000054 00 000000 ee 0000000c`,
		want: []Message{
			{TypeAudio, 1, 0, []byte{0xaa}}, {TypeAudio, 1, 21, []byte{0xbb}},
			{TypeAudio, 1, 42, []byte{0xcc}}, {TypeVideo, 1, 64, []byte{0xdd}}, {TypeAudio, 1, 84, []byte{0xee}},
		},
	},
	{
		name: "aggregate with 32-bit times, without the last back pointer",
		wire: `06 ffffff 00001c 16 01000000 01000010
		         08 000001 fffff0 00 000000 aa 0000000c
		         09 000001 000001 01 000000 bb`,
		want: []Message{{TypeAudio, 1, 0x01000010, []byte{0xaa}}, {TypeVideo, 1, 0x01000021, []byte{0xbb}}},
	},
	{
		name: "aggregate that holds a command and is cut off",
		wire: `06 000000 00002b 16 01000000
		         14 000001 000000 00 000000 aa 0000000c
		         08 000001 000000 00 000000 bb 0000000c
		         08 0000ff 000000 00 000000
		       04 000001 000001 08 01000000 cc`,
		want: []Message{{TypeAudio, 1, 0, []byte{0xbb}}, {TypeAudio, 1, 1, []byte{0xcc}}},
	},
	{
		name: "aggregate shorter than a header",
		wire: `06 000000 000002 16 01000000 0800
		       04 000001 000001 08 01000000 cc`,
		want: []Message{{TypeAudio, 1, 1, []byte{0xcc}}},
	},

	// Hostile and broken peers.
	{name: "nothing", err: io.EOF},
	{name: "cut off in the basic header", wire: `00`, err: io.ErrUnexpectedEOF},
	{name: "cut off in the message header", wire: `04 000064 0000`, err: io.ErrUnexpectedEOF},
	{name: "cut off in the extended timestamp", wire: `04 ffffff 000001 08 01000000 0100`, err: io.ErrUnexpectedEOF},
	{name: "cut off in the payload", wire: `04 000064 000002 08 01000000 aa`, err: io.ErrUnexpectedEOF},
	{name: "type 2 on a new chunk stream", wire: `84 000001`, err: ErrProtocol},
	{name: "type 3 on a new chunk stream", wire: `c4`, err: ErrProtocol},
	{name: "defect 5b: 16 MiB announced before publish", wire: `03 000000 ffffff 14 00000000`, err: ErrLimit},
	{name: "64 KiB and a byte before publish", wire: `03 000000 010001 14 00000000`, err: ErrLimit},
	{name: "over the limit of a publisher", wire: `03 000000 800001 09 01000000`, publishing: true, err: ErrLimit},
	{
		name: "type 1 over the limit",
		wire: `03 000000 000001 14 00000000 aa 43 000000 ffffff 14`,
		want: []Message{{Type: typeCommandAMF0, Body: []byte{0xaa}}},
		err:  ErrLimit,
	},
	{name: "defect 5d: set chunk size with 2 bytes", wire: `02 000000 000002 01 00000000 0000`, err: ErrProtocol},
	{name: "chunk size 0", wire: `02 000000 000004 01 00000000 00000000`, err: ErrProtocol},
	{name: "chunk size with the first bit", wire: `02 000000 000004 01 00000000 80000080`, err: ErrProtocol},
	{name: "abort with 3 bytes", wire: `02 000000 000003 02 00000000 000000`, err: ErrProtocol},
}

// readAll reads all messages of wire in pieces that src makes of it.
func readAll(wire []byte, publishing bool, split func(io.Reader) io.Reader) ([]Message, error) {
	r := newChunkReader(split(bytes.NewReader(wire)), func(uint32) error { return nil })
	if publishing {
		r.allowMedia(defaultMaxMessageSize)
	}
	var got []Message
	for {
		err := r.await()
		if err != nil {
			return got, err
		}
		m, err := r.read()
		if err != nil {
			return got, err
		}
		got = append(got, m)
	}
}

// diffMessages compares messages. No body and an empty one are the same.
func diffMessages(want, got []Message) string {
	if len(want) == 0 && len(got) == 0 {
		return ""
	}
	return cmp.Diff(want, got, cmp.Comparer(bytes.Equal))
}

func whole(r io.Reader) io.Reader { return r }

func TestChunkReader(t *testing.T) {
	for _, tc := range readerCases {
		t.Run(tc.name, func(t *testing.T) {
			wire := fromHex(t, tc.wire)
			for name, split := range map[string]func(io.Reader) io.Reader{
				"at once": whole, "byte by byte": iotest.OneByteReader, "data with error": iotest.DataErrReader,
			} {
				want := tc.err
				if want == nil {
					want = io.EOF
				}
				got, err := readAll(wire, tc.publishing, split)
				if !errors.Is(err, want) {
					t.Errorf("%s: error %v, want %v", name, err, want)
				}
				if diff := diffMessages(tc.want, got); diff != "" {
					t.Errorf("%s: messages (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

func TestChunkStreamLimit(t *testing.T) {
	for _, tc := range []struct {
		publishing bool
		limit      int
	}{{false, 8}, {true, 64}} {
		var wire []byte
		for id := range byte(tc.limit + 1) {
			wire = append(wire, fromHex(t, "00")...)
			wire = append(wire, id)
			wire = append(wire, fromHex(t, "000000 000001 08 01000000 aa")...)
		}
		got, err := readAll(wire, tc.publishing, whole)
		if !errors.Is(err, ErrLimit) || len(got) != tc.limit {
			t.Errorf("publishing %v: %d messages, %v; want %d, %v", tc.publishing, len(got), err, tc.limit, ErrLimit)
		}
	}
}

// Many unfinished messages together are bounded, whatever each may be.
func TestUnfinishedMessagesAreBounded(t *testing.T) {
	wire := fromHex(t, "02 000000 000004 01 00000000 00010000") // chunks of 64 KiB
	for id := byte(3); id < 6; id++ {
		wire = append(wire, id)
		wire = append(wire, fromHex(t, "000000 010000 14 00000000")...)
		wire = append(wire, make([]byte, 1<<16)...)
	}
	if _, err := readAll(wire, false, whole); err != io.EOF {
		t.Fatalf("complete messages: %v", err)
	}
	wire = fromHex(t, "02 000000 000004 01 00000000 0000ffff") // chunks of a byte less
	for id := byte(3); id < 6; id++ {
		wire = append(wire, id)
		wire = append(wire, fromHex(t, "000000 010000 14 00000000")...)
		wire = append(wire, make([]byte, 1<<16-1)...)
	}
	got, err := readAll(wire, false, whole)
	if !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "unfinished") || len(got) > 0 {
		t.Fatalf("unfinished messages: %v", err)
	}
}

// Memory follows what arrives, not what is announced.
func TestAnnouncedLengthCostsNothing(t *testing.T) {
	r := newChunkReader(bytes.NewReader(fromHex(t, "04 000000 7fffff 09 01000000 128*aa")), nil)
	r.acknowledge = func(uint32) error { return nil }
	r.allowMedia(defaultMaxMessageSize)
	if _, err := r.read(); err != io.EOF {
		t.Fatalf("error %v, want %v", err, io.EOF)
	}
	if got := cap(r.streams[0].body); got > mediaSlabSize {
		t.Errorf("128 bytes of an announced 8 MiB hold %d bytes", got)
	}
}

// Bodies are cut from shared memory: none may change when others are read, or reach into its
// neighbour.
func TestBodiesDoNotOverlap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var wire []byte
	var want [][]byte
	f := Format{StreamID: 1, ChunkSize: defaultChunkSize}
	for i := range 400 {
		body := make([]byte, random.IntN(3000))
		if i%50 == 0 {
			body = make([]byte, 300_000)
		}
		for j := range body {
			body[j] = byte(i)
		}
		want = append(want, body)
		wire = f.AppendMessage(wire, TypeVideo, uint32(i), body)
	}
	got, err := readAll(wire, true, whole)
	if err != io.EOF || len(got) != len(want) {
		t.Fatalf("%d messages, error %v", len(got), err)
	}
	for i, m := range got {
		if cap(m.Body) != len(m.Body) {
			t.Fatalf("message %d: capacity %d behind length %d", i, cap(m.Body), len(m.Body))
		}
		if !bytes.Equal(m.Body, want[i]) {
			t.Fatalf("message %d of %d bytes changed", i, len(m.Body))
		}
	}
}

// TestBufferChangesItsSize: what was received is not lost when a peer begins to send much or
// little.
func TestBufferChangesItsSize(t *testing.T) {
	var wire []byte
	const messages = 60
	for i := range messages {
		wire = Format{StreamID: 1}.AppendMessage(wire, TypeVideo, uint32(i), pattern(i*i*10, byte(i)))
	}
	for name, split := range map[string]func(io.Reader) io.Reader{"at once": whole, "halves": iotest.HalfReader} {
		r := newChunkReader(split(bytes.NewReader(wire)), func(uint32) error { return nil })
		r.chunkSize = ChunkSize
		for i := range messages {
			switch i % 20 {
			case 3:
				r.expectLittle()
			case 13:
				r.allowMedia(defaultMaxMessageSize)
			}
			m, err := r.read()
			if err != nil {
				t.Fatalf("%s, message %d: %v", name, i, err)
			}
			if m.TimestampMS != uint32(i) || !bytes.Equal(m.Body, pattern(i*i*10, byte(i))) {
				t.Fatalf("%s: message %d of %d bytes changed", name, i, len(m.Body))
			}
		}
		if len(r.buf) < minBufferSize || len(r.buf) > mediaBufferSize {
			t.Errorf("%s: buffer of %d bytes at the end", name, len(r.buf))
		}
		r.expectLittle()
		if err := r.await(); err != io.EOF {
			t.Errorf("%s: %v", name, err)
		}
		if len(r.buf) != playerBufferSize {
			t.Errorf("%s: a player's buffer has %d bytes", name, len(r.buf))
		}
	}
}

// arrivals is a socket of which each read brings one message, or a part of it.
type arrivals [][]byte

func (a *arrivals) Read(p []byte) (int, error) {
	if len(*a) == 0 {
		return 0, io.EOF
	}
	n := copy(p, (*a)[0])
	if (*a)[0] = (*a)[0][n:]; len((*a)[0]) == 0 {
		*a = (*a)[1:]
	}
	return n, nil
}

// TestBufferFitsWhatComes: most messages come with one read each, and a publisher keeps no larger
// buffer than it needs for that.
func TestBufferFitsWhatComes(t *testing.T) {
	var socket arrivals
	r := newChunkReader(&socket, func(uint32) error { return nil })
	r.chunkSize = ChunkSize
	r.allowMedia(defaultMaxMessageSize)
	for _, step := range []struct {
		what                 string
		picture, key, buffer int
	}{
		{"small pictures", 1600, 20_000, 4 << 10},
		{"large pictures", 9000, 90_000, 16 << 10},
		{"very large pictures", 200_000, 200_000, mediaBufferSize},
		{"small pictures again", 1600, 20_000, 4 << 10},
	} {
		for i := range 1000 {
			size := step.picture
			if i%60 == 0 {
				size = step.key
			}
			body := pattern(size, byte(i))
			socket = append(socket, Format{StreamID: 1}.AppendMessage(nil, TypeVideo, uint32(i), body))
			if m, err := r.read(); err != nil || !bytes.Equal(m.Body, body) {
				t.Fatalf("%s, message %d: %d bytes, %v", step.what, i, len(m.Body), err)
			}
		}
		if len(r.buf) != step.buffer {
			t.Errorf("%s: a buffer of %d bytes, want %d", step.what, len(r.buf), step.buffer)
		}
	}
}

func TestAcknowledgements(t *testing.T) {
	message := Format{StreamID: 1, ChunkSize: defaultChunkSize}.AppendMessage(nil, TypeVideo, 0, make([]byte, 100_000))
	for _, tc := range []struct {
		name   string
		window uint32
	}{{"default", 0}, {"of the peer", 500_000}} {
		var acks []uint32
		var wire []byte
		for range 80 {
			wire = append(wire, message...)
		}
		r := newChunkReader(bytes.NewReader(wire), func(sequence uint32) error { acks = append(acks, sequence); return nil })
		r.allowMedia(defaultMaxMessageSize)
		window := uint32(2_500_000)
		if tc.window != 0 {
			window = tc.window
			r.setWindow(window)
		}
		for {
			if _, err := r.read(); err != nil {
				break
			}
		}
		if len(acks) == 0 || len(acks) > len(wire)/int(window) || uint32(len(wire))-acks[len(acks)-1] > window+mediaBufferSize {
			t.Fatalf("%s: %d bytes acknowledged as %v", tc.name, len(wire), acks)
		}
		last := uint32(0)
		for _, ack := range acks {
			if ack-last < window || ack-last > window+mediaBufferSize {
				t.Errorf("%s: %d acknowledged after %d", tc.name, ack, last)
			}
			last = ack
		}
	}
}

// One long message is acknowledged while it arrives: its sender may stop until then.
func TestAcknowledgementInsideMessage(t *testing.T) {
	var acks int
	wire := Format{StreamID: 1}.AppendMessage(nil, TypeVideo, 0, make([]byte, 6_000_000))
	r := newChunkReader(bytes.NewReader(wire[:5_500_000]), func(uint32) error { acks++; return nil })
	r.allowMedia(defaultMaxMessageSize)
	r.chunkSize = ChunkSize
	if _, err := r.read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	if acks != 2 {
		t.Errorf("%d acknowledgements in 5.5 MB of a message, want 2", acks)
	}
}

// Acknowledgement numbers go on at 2^32 (§5.4.3).
func TestAcknowledgementWrapsAround(t *testing.T) {
	var acks []uint32
	r := newChunkReader(bytes.NewReader(make([]byte, 3_000_000)), func(sequence uint32) error { acks = append(acks, sequence); return nil })
	r.received, r.acked = 1<<32-1_000_000, 1<<32-1_000_000
	if _, err := io.CopyN(io.Discard, readerFunc(r.receive), 3_000_000); err != nil {
		t.Fatal(err)
	}
	if len(acks) != 1 || acks[0] < 1_500_000 || acks[0] > 1_600_000 {
		t.Errorf("acknowledged %v", acks)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// endless repeats its bytes.
type endless struct {
	wire []byte
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.wire[e.at:])
	e.at = (e.at + n) % len(e.wire)
	return n, nil
}

// mediaWire is two seconds of 30 pictures a second at 2.6 Mbit/s with a large key frame, and AAC,
// in 4096-byte chunks.
func mediaWire() (wire []byte, messages int) {
	f := Format{StreamID: 1, ChunkSize: 4096}
	for i := range 60 {
		size := 9_500
		if i == 0 {
			size = 80_000
		}
		wire = f.AppendMessage(wire, TypeVideo, uint32(i*33), make([]byte, size))
		wire = f.AppendMessage(wire, TypeAudio, uint32(i*33), make([]byte, 300))
		messages += 2
	}
	return wire, messages
}

func TestReadAllocations(t *testing.T) {
	wire, messages := mediaWire()
	r := newChunkReader(&endless{wire: wire}, func(uint32) error { return nil })
	r.allowMedia(defaultMaxMessageSize)
	r.chunkSize = 4096
	perRun := testing.AllocsPerRun(20, func() {
		for range messages {
			if _, err := r.read(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if got := perRun / float64(messages); got >= 0.05 {
		t.Errorf("%.3f allocations per message, want below 0.05", got)
	}
}

func BenchmarkRead(b *testing.B) {
	wire, messages := mediaWire()
	r := newChunkReader(&endless{wire: wire}, func(uint32) error { return nil })
	r.allowMedia(defaultMaxMessageSize)
	r.chunkSize = 4096
	b.SetBytes(int64(len(wire) / messages))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.read(); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzChunkReader: no bytes make the reader panic, exceed its limits or depend on how the network
// cuts them, and what it reads, written and read again, is the same.
func FuzzChunkReader(f *testing.F) {
	for _, tc := range readerCases {
		f.Add(fromHex(f, tc.wire), tc.publishing)
	}
	f.Fuzz(func(t *testing.T, wire []byte, publishing bool) {
		got, err := readAll(wire, publishing, whole)
		again, againErr := readAll(wire, publishing, iotest.OneByteReader)
		if diff := diffMessages(got, again); diff != "" {
			t.Fatalf("byte by byte is different (-at once +byte by byte):\n%s", diff)
		}
		if errors.Is(err, ErrLimit) != errors.Is(againErr, ErrLimit) || errors.Is(err, ErrProtocol) != errors.Is(againErr, ErrProtocol) {
			t.Fatalf("errors differ: %v, byte by byte %v", err, againErr)
		}
		written := appendAll(nil, got)
		reread, err := readAll(written, true, whole)
		if err != io.EOF {
			t.Fatalf("reading what was written: %v", err)
		}
		if diff := diffMessages(got, reread); diff != "" {
			t.Fatalf("round trip (-read +written and read):\n%s", diff)
		}
	})
}

// appendAll writes messages in chunks of two sizes in turn.
func appendAll(dst []byte, messages []Message) []byte {
	chunk := defaultChunkSize
	for i, m := range messages {
		if i%2 == 1 {
			dst = Format{ChunkSize: chunk}.AppendMessage(dst, typeSetChunkSize, 0, be32(uint32(1+i)))
			chunk = 1 + i
		}
		streamID := m.StreamID
		if chunkStreamOf(m.Type) == chunkStreamControl {
			// The writer puts these on stream 0, where they belong: move them there by hand for the
			// comparison.
			at := len(dst)
			dst = Format{ChunkSize: chunk}.AppendMessage(dst, m.Type, m.TimestampMS, m.Body)
			binary.LittleEndian.PutUint32(dst[at+8:], streamID)
			continue
		}
		dst = Format{StreamID: streamID, ChunkSize: chunk}.AppendMessage(dst, m.Type, m.TimestampMS, m.Body)
	}
	return dst
}
