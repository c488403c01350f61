package playlist

import (
	"sync"
	"time"
	"unsafe"
	"weak"
)

// heldSegments is how many of the newest segments are held as they are sent. Players that keep up
// ask for no others.
const heldSegments = 2

// TSSegment is one finished media segment. It never changes, and all requests share its bytes.
type TSSegment struct {
	// Seq is the media sequence number and the segment's name.
	Seq int64
	// Start is the decode time of its first access unit on the stream's timeline.
	Start, Duration time.Duration
	// At is the wall clock at start, zero if nobody stamped the stream.
	At time.Time
	// Discontinuity: times or tracks are not those of the segment before.
	Discontinuity bool
	// Independent: all of this segment can be decoded without those before.
	Independent bool
	Data        *TSMedia
}

// TSMedia is the bytes of a segment. They are held, or made again of what others hold too, when
// somebody wants them. Its methods may be called at the same time.
type TSMedia struct {
	size  int
	again func() []byte

	mu   sync.Mutex
	held []byte
	// made are bytes that were made, or held before, as long as somebody uses them.
	made weak.Pointer[byte]
}

// NewTSMedia returns media of these bytes, which must not change any more. again makes the same
// bytes another time; nil: they are held for good.
func NewTSMedia(b []byte, again func() []byte) *TSMedia {
	return &TSMedia{size: len(b), again: again, held: b}
}

// Size is the number of bytes.
func (m *TSMedia) Size() int { return m.size }

// Bytes returns the bytes, made once for all who want them at the same time.
func (m *TSMedia) Bytes() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held != nil || m.again == nil {
		return m.held
	}
	if first := m.made.Value(); first != nil {
		return unsafe.Slice(first, m.size)
	}
	b := m.again()
	m.made = weak.Make(unsafe.SliceData(b))
	return b
}

// release lets go of bytes that can be made again.
func (m *TSMedia) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.again != nil && len(m.held) > 0 {
		m.made, m.held = weak.Make(unsafe.SliceData(m.held)), nil
	}
}
