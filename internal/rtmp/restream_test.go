package rtmp

import (
	"bytes"
	"math/rand/v2"
	"net"
	"testing"
)

// sink is a connection that keeps what is written to it.
type sink struct {
	net.Conn
	bytes.Buffer
}

func (s *sink) Write(b []byte) (int, error) { return s.Buffer.Write(b) }
func (s *sink) Read(b []byte) (int, error)  { return s.Buffer.Read(b) }

// TestRestream: whatever the messages, and wherever writes end, what arrives is what a format for
// the message stream would have written.
func TestRestream(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	types := []uint8{TypeAudio, TypeVideo, TypeDataAMF0, typeCommandAMF0, typeAcknowledgement, typeUserControl}
	lengths := []int{0, 1, 4, 100, ChunkSize - 1, ChunkSize, ChunkSize + 1, 3*ChunkSize + 7}
	times := []uint32{0, 1000, extendedMark - 1, extendedMark, extendedMark + 1, 1<<32 - 1}
	for _, streamID := range []uint32{2, 7, 32, 0x01020304} {
		var shared, want []byte
		for range 200 {
			messageType := types[random.IntN(len(types))]
			body := make([]byte, lengths[random.IntN(len(lengths))])
			for i := range body {
				body[i] = byte(random.Uint32())
			}
			at := times[random.IntN(len(times))]
			f := Format{StreamID: 1}
			if messageType == typeCommandAMF0 {
				f.StreamID = streamID // a status, which is written for the player
			}
			shared = f.AppendMessage(shared, messageType, at, body)
			want = Format{StreamID: streamID}.AppendMessage(want, messageType, at, body)
		}
		for _, most := range []int{1, 2, 13, 16 << 10, len(shared)} {
			to := &sink{}
			c := Restream(to, streamID)
			for rest := shared; len(rest) > 0; {
				n := min(1+random.IntN(most), len(rest))
				if wrote, err := c.Write(rest[:n]); wrote != n || err != nil {
					t.Fatalf("wrote %d of %d, %v", wrote, n, err)
				}
				rest = rest[n:]
			}
			if !bytes.Equal(to.Bytes(), want) {
				t.Errorf("message stream %d, writes of up to %d bytes: something else arrives", streamID, most)
			}
		}
	}
}

func TestRestreamDoesNotAllocate(t *testing.T) {
	b := Format{StreamID: 1}.AppendMessage(nil, TypeVideo, 0, make([]byte, 10<<10))
	to := &sink{}
	c := Restream(to, 2)
	_, _ = c.Write(b)
	if n := testing.AllocsPerRun(100, func() {
		to.Reset()
		_, _ = c.Write(b)
	}); n > 0 {
		t.Errorf("%v allocations for a write", n)
	}
}

func FuzzRestream(f *testing.F) {
	f.Add(Format{StreamID: 1}.AppendMessage(nil, TypeVideo, extendedMark, make([]byte, ChunkSize+1)), uint16(5))
	f.Add([]byte{4, 0xFF, 0xFF, 0xFF, 0, 0, 0}, uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, size uint16) {
		to := &sink{}
		c := Restream(to, 9)
		for rest := b; len(rest) > 0; {
			n := min(int(size)+1, len(rest))
			if _, err := c.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if to.Len() != len(b) { // whatever it holds, nothing gets lost or added
			t.Errorf("%d bytes became %d", len(b), to.Len())
		}
	})
}
