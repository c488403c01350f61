package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"sort"
	"time"
)

// jump is by how much media may be elsewhere than the playlist says before times are set anew.
const jump = 500 * time.Millisecond

// voice is one rendition of a clip.
type voice struct {
	items []item
	init  initOf
	// initName is the file of init.
	initName string
}

// piecePlace is a segment of a clip: of a voice, in a slot, from an offset of the file on.
type piecePlace struct {
	slot, voice  int
	offset, size int64
}

// clip is a file that is made of segments: an MP4 with fragments, the same whoever asks for
// whichever range of it. It reads a segment when it is needed, and has one in memory.
type clip struct {
	ctx     context.Context // of the request
	at      storedAt
	control *http.ResponseController

	voices []voice
	head   []byte
	pieces []piecePlace
	size   int64
	// shifts are the media times that the beginning has, by the run of slots in which that holds.
	// runs are their first slots.
	runs   []int
	shifts []time.Duration

	offset int64
	// loaded is the piece whose bytes are in data, if there are some.
	loaded int
	data   []byte
	err    error
}

var _ io.ReadSeeker = (*clip)(nil)

// open reads what the head of the file needs, and finds the place of each segment.
func (c *clip) open(ids []string, s span) error {
	var length time.Duration
	for _, id := range ids {
		p, err := c.at.media(c.ctx, id)
		if err != nil {
			return err
		}
		if s.end > len(p.items) || s.first >= s.end {
			return badRequest{http.StatusNotFound, errSpan}
		}
		v := voice{items: p.items[s.first:s.end]}
		last := &v.items[len(v.items)-1]
		length = max(length, last.end()-v.items[0].begin)
		if err := v.oneInit(); err != nil {
			return err
		}
		if v.initName == "" {
			continue // there is nothing of it
		}
		data, err := c.at.file(c.ctx, v.initName)
		if err != nil {
			return err
		}
		if v.init, err = readInit(data); err != nil {
			return err
		}
		c.voices = append(c.voices, v)
	}
	if len(c.voices) == 0 {
		return badRequest{http.StatusNotFound, errSpan}
	}
	return c.join(length)
}

// oneInit finds the initialization section, of which there must be one.
func (v *voice) oneInit() error {
	for i := range v.items {
		it := &v.items[i]
		switch {
		case it.gap:
		case v.initName == "":
			v.initName = it.init
		case it.init != v.initName:
			return badRequest{http.StatusConflict, fmt.Errorf("the encoder's settings change at %.3f s, which one file cannot have: end the clip before, or begin it there",
				it.begin.Seconds())}
		}
	}
	return nil
}

// join makes the head of the file, and finds the place of each segment behind it.
func (c *clip) join(length time.Duration) (err error) {
	inits := make([]initOf, len(c.voices))
	for i := range c.voices {
		inits[i] = c.voices[i].init
	}
	if c.head, err = joinInits(inits, length); err != nil {
		return err
	}
	c.size = int64(len(c.head))
	for slot := range c.voices[0].items {
		if slot == 0 || c.voices[0].items[slot].discontinuity {
			c.runs = append(c.runs, slot)
		}
		for k := range c.voices {
			it := &c.voices[k].items[slot]
			if it.gap {
				continue
			}
			if it.size < 0 { // the playlist does not say
				if it.size, err = c.at.Stat(c.ctx, c.at.full(it.uri)); err != nil {
					return err
				}
			}
			c.pieces = append(c.pieces, piecePlace{slot, k, c.size, it.size})
			c.size += it.size
		}
	}
	return nil
}

// Seek implements io.Seeker.
func (c *clip) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.offset
	case io.SeekEnd:
		offset += c.size
	}
	if offset < 0 {
		return 0, errors.New("a place before the file")
	}
	c.offset = offset
	return offset, nil
}

// Read implements io.Reader. The client has a while for each segment.
func (c *clip) Read(b []byte) (n int, err error) {
	switch {
	case c.err != nil:
		return 0, c.err
	case c.offset >= c.size:
		return 0, io.EOF
	case c.offset < int64(len(c.head)):
		n = copy(b, c.head[c.offset:])
		c.offset += int64(n)
		return n, nil
	}
	i := sort.Search(len(c.pieces), func(i int) bool { return c.pieces[i].offset > c.offset }) - 1
	if c.data == nil || c.loaded != i {
		_ = c.control.SetWriteDeadline(time.Now().Add(serveTimeout)) // where there is none, there is none
		if c.data, c.err = c.load(&c.pieces[i]); c.err != nil {
			return 0, c.err
		}
		c.loaded = i
	}
	n = copy(b, c.data[c.offset-c.pieces[i].offset:])
	c.offset += int64(n)
	return n, nil
}

// fragmentBits are for the fragments of a segment in the sequence numbers of a clip. With them,
// those of all segments of the longest recording fit into 32 bits.
const fragmentBits = 12

// load reads a segment, and makes it one of the file.
func (c *clip) load(p *piecePlace) ([]byte, error) {
	shift, err := c.shift(p.slot)
	if err != nil {
		return nil, err
	}
	v := &c.voices[p.voice]
	data, err := c.at.file(c.ctx, v.items[p.slot].uri)
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != p.size {
		return nil, fmt.Errorf("%w: %s has %d bytes, the playlist says %d", errMP4, v.items[p.slot].uri, len(data), p.size)
	}
	sequence := uint32(p.slot*len(c.voices)+p.voice) << fragmentBits
	return data, retrack(data, uint32(p.voice+1), ticks(shift, v.init.timescale), &sequence)
}

// shift returns the media time that the beginning of the file has, for a slot: it is another one
// behind a discontinuity where media are elsewhere than the playlist says.
func (c *clip) shift(slot int) (time.Duration, error) {
	run := sort.SearchInts(c.runs, slot+1) - 1
	for len(c.shifts) <= run {
		at, place, err := c.runBegins(len(c.shifts))
		if err != nil {
			return 0, err
		}
		n := len(c.shifts)
		switch {
		case at == math.MaxInt64 && n == 0: // there is nothing in it
			c.shifts = append(c.shifts, 0)
		case n > 0 && (at == math.MaxInt64 || (at-c.shifts[n-1]-place).Abs() <= jump):
			c.shifts = append(c.shifts, c.shifts[n-1])
		default:
			c.shifts = append(c.shifts, at-place)
		}
	}
	return c.shifts[run], nil
}

// runBegins returns the media time of the first segments of a run, and their place in the file;
// math.MaxInt64 if there are none.
func (c *clip) runBegins(run int) (earliest, place time.Duration, err error) {
	earliest = math.MaxInt64
	end := len(c.voices[0].items)
	if run+1 < len(c.runs) {
		end = c.runs[run+1]
	}
	for slot := c.runs[run]; slot < end && earliest == math.MaxInt64; slot++ {
		place = c.voices[0].items[slot].begin - c.voices[0].items[0].begin
		for k := range c.voices {
			it := &c.voices[k].items[slot]
			if it.gap {
				continue
			}
			data, err := c.at.file(c.ctx, it.uri)
			if err != nil {
				return 0, 0, err
			}
			at, err := begins(data, c.voices[k].init.timescale)
			if err != nil {
				return 0, 0, err
			}
			earliest = min(earliest, at)
		}
	}
	return earliest, place, nil
}
