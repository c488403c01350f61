package playlist

import (
	"sync"
	"unsafe"
	"weak"
)

// Content is bytes that never change, in pieces that others have too. They are joined when somebody
// wants them in one, and the joined bytes are held by those who use them only: players want a part
// at the same moment, and hardly ever again. Its methods may be called at the same time, also on
// nil, which is no bytes.
type Content struct {
	pieces [][]byte
	size   int

	mu     sync.Mutex
	joined weak.Pointer[byte]
}

// NewContent makes content of pieces, which must not change any more.
func NewContent(pieces ...[]byte) *Content {
	c := &Content{pieces: pieces}
	for _, p := range pieces {
		c.size += len(p)
	}
	return c
}

// Size is the number of bytes.
func (c *Content) Size() int {
	if c == nil {
		return 0
	}
	return c.size
}

// Pieces returns the bytes as they are held.
func (c *Content) Pieces() [][]byte {
	if c == nil {
		return nil
	}
	return c.pieces
}

// Bytes returns the bytes in one piece, the same as long as somebody holds them.
func (c *Content) Bytes() []byte {
	switch {
	case c.Size() == 0:
		return nil
	case len(c.pieces) == 1:
		return c.pieces[0]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if first := c.joined.Value(); first != nil {
		return unsafe.Slice(first, c.size)
	}
	b := make([]byte, 0, c.size)
	for _, p := range c.pieces {
		b = append(b, p...)
	}
	c.joined = weak.Make(unsafe.SliceData(b))
	return b
}
