package fmp4

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"livego/internal/codec"
	"livego/internal/media"
)

// Fragment is what Writer.Append writes.
type Fragment struct {
	// Units are the samples, in the order of decoding. Check must have accepted each.
	Units []media.AccessUnit
	// Next is the decode time of the track's unit after these, which says how long the last one
	// lasts; 0 if not known. Not needed for audio whose frames say it themselves.
	Next time.Duration
	// Segment says that a segment begins here.
	Segment bool
	// Wall, unless zero, is the wall clock at the presentation time of the first unit, for a player
	// that measures its delay.
	Wall time.Time
	// Events are messages for the player.
	Events []Event
}

// Written is what became of a Fragment.
type Written struct {
	// Start is the decode time of the first sample and Duration what all last, as written, exact to
	// the nanosecond below. The next fragment begins at or after the sum.
	Start, Duration time.Duration
	// Independent: the first sample is a sync sample.
	Independent bool
	// FirstEnd is the length of the fragment up to and with the first sample: a byte range for
	// I-frame playlists.
	FirstEnd int
}

// Writer writes the fragments of one track, from one init segment to the next: a publisher session,
// or less if its tracks change. It has one user at a time.
type Writer struct {
	track    *media.Track
	clock    clock
	sequence uint32
	lastDTS  time.Duration
}

// NewWriter makes a writer. The error is ErrUnsupported.
func NewWriter(t *media.Track) (*Writer, error) {
	if _, err := describe(t); err != nil {
		return nil, err
	}
	return &Writer{track: t, clock: newClock(t)}, nil
}

// After lets a track go on behind what another Writer wrote of it, which was of another header or
// session: samples do not overlap. It is called before the first Append.
func (w *Writer) After(before *Writer) {
	end := before.clock.duration(before.clock.end)
	w.clock.end = w.clock.ticks(end)
	if w.clock.duration(w.clock.end) < end {
		w.clock.end++
	}
}

// Sample flags (ISO/IEC 14496-12 §8.8.3.1): sample_depends_on and sample_is_non_sync_sample.
const (
	flagsSync    = 2 << 24
	flagsNonSync = 1<<24 | 1<<16
)

// Sizes of the boxes of a fragment, with their headers.
const (
	boxHeader   = 8
	stypSize    = boxHeader + 8 + 3*4
	mfhdSize    = boxHeader + 4 + 4
	tfhdSize    = boxHeader + 4 + 4
	tfdtSize    = boxHeader + 4 + 8
	trunSize    = boxHeader + 4 + 4 + 4 // before the samples
	videoSample = 16                    // duration, size, flags, composition offset
	audioSample = 8                     // duration, size
)

// layout is what is known of a fragment before it is written: the sizes of its pieces, and how far
// decode times are to be moved back.
type layout struct {
	before, moof, data int
	reorder            time.Duration
}

func (l *layout) size() int { return l.before + l.moof + boxHeader + l.data }

// Append adds a fragment to dst, which it may move, and returns it. A segment is the concatenation
// of its fragments. With an error, which is ErrTrack, ErrTime or ErrData, dst and the writer are as
// they were.
//
//	styp              if a segment begins (ISO/IEC 14496-12 §8.16.2)
//	prft              if the wall clock is known (§8.16.5)
//	emsg ...          for each event (ISO/IEC 23009-1 §5.10.3.3)
//	moof
//	├ mfhd            fragments count from 1
//	└ traf
//	  ├ tfhd          offsets are from the moof on
//	  ├ tfdt          64 bits
//	  └ trun          signed composition offsets
//	mdat
//
// Presentation times are exact, with their nanoseconds. Where an encoder has pictures shown before
// they are decoded, decode times are moved back from then on by the most that was seen: version 1
// of trun could say it, but not all players read that alike (FFmpeg shows all pictures later), and
// edit lists less so.
func (w *Writer) Append(dst []byte, f *Fragment) ([]byte, Written, error) {
	l, err := w.measure(f)
	if err != nil {
		return dst, Written{}, err
	}
	dst, written := w.appendHead(slices.Grow(dst, l.size()), f, &l)
	for i := range f.Units {
		dst = append(dst, Payload(&f.Units[i])...)
	}
	return dst, written, nil
}

// AppendHead is Append without the content of the mdat, which is the Payload of each unit, in their
// order: for who would rather point to them than copy them.
func (w *Writer) AppendHead(dst []byte, f *Fragment) ([]byte, Written, error) {
	l, err := w.measure(f)
	if err != nil {
		return dst, Written{}, err
	}
	dst, written := w.appendHead(slices.Grow(dst, l.size()-l.data), f, &l)
	return dst, written, nil
}

// appendHead writes a fragment that was measured, up to the content of the mdat.
func (w *Writer) appendHead(dst []byte, f *Fragment, l *layout) ([]byte, Written) {
	first := &f.Units[0]
	w.clock.reorder = l.reorder
	start := w.clock.start(first, codec.FrameSamples(w.track, first.Data), w.clock.end)

	if f.Segment {
		dst = appendStyp(dst)
	}
	if !f.Wall.IsZero() {
		dst = appendPrft(dst, trackID(w.track), f.Wall, w.presentation(first))
	}
	for i := range f.Events {
		dst = w.appendEvent(dst, &f.Events[i])
	}
	w.sequence++
	dst = w.appendMoof(dst, f, l, start)
	dst = appendHeader(dst, "mdat", boxHeader+l.data)
	w.lastDTS = f.Units[len(f.Units)-1].DTS
	from := w.clock.duration(start)
	return dst, Written{
		Start:       from,
		Duration:    w.clock.duration(w.clock.end) - from,
		Independent: isSync(first),
		FirstEnd:    l.before + l.moof + boxHeader + len(Payload(first)),
	}
}

// measure checks a fragment and returns its layout.
func (w *Writer) measure(f *Fragment) (layout, error) {
	if len(f.Units) == 0 || len(f.Units) > maxUnits {
		return layout{}, fmt.Errorf("fragment of %d units: %w", len(f.Units), ErrData)
	}
	l := layout{moof: boxHeader + mfhdSize + boxHeader + tfhdSize + tfdtSize + trunSize + len(f.Units)*w.sampleSize()}
	if f.Segment {
		l.before += stypSize
	}
	if !f.Wall.IsZero() {
		l.before += prftSize
	}
	for i := range f.Events {
		size, err := f.Events[i].size()
		if err != nil {
			return layout{}, err
		}
		l.before += size
	}
	l.reorder = w.clock.reorder
	before := w.lastDTS
	for i := range f.Units {
		u := &f.Units[i]
		if err := w.accept(u, before, i > 0); err != nil {
			return layout{}, err
		}
		before = u.DTS
		if w.track.Kind == media.Video {
			l.reorder = max(l.reorder, u.DTS-u.PTS)
		}
		l.data += len(Payload(u))
		if l.size() > maxFragment {
			return layout{}, fmt.Errorf("fragment of more than %d bytes: %w", maxFragment, ErrData)
		}
	}
	return l, nil
}

// accept checks what the writer itself depends on. follows says that the unit before is in the same
// fragment.
func (w *Writer) accept(u *media.AccessUnit, before time.Duration, follows bool) error {
	switch {
	case u.Track != w.track || u.Header != media.Sample:
		return ErrTrack
	case len(Payload(u)) == 0 || len(u.Data) > maxUnit:
		return fmt.Errorf("sample of %d bytes: %w", len(u.Data), ErrData)
	case u.DTS < before || follows && u.DTS-before > maxGap:
		return fmt.Errorf("decode time %v after %v: %w", u.DTS, before, ErrTime)
	}
	return checkTime(u)
}

func (w *Writer) sampleSize() int {
	if w.track.Kind == media.Audio {
		return audioSample
	}
	return videoSample
}

// presentation returns the presentation time of a unit in ticks.
func (w *Writer) presentation(u *media.AccessUnit) int64 {
	return w.clock.ticks(u.PTS + time.Duration(u.Nanos))
}

func appendHeader(dst []byte, kind string, size int) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(size)), kind...)
}

// appendStyp writes the brands of a CMAF segment whose fragments come in chunks (ISO/IEC 23000-19
// §7.2).
func appendStyp(dst []byte) []byte {
	dst = append(appendHeader(dst, "styp", stypSize), "cmfs\x00\x00\x00\x00"...)
	return append(dst, "cmfscmffcmfl"...)
}

func (w *Writer) appendMoof(dst []byte, f *Fragment, l *layout, start int64) []byte {
	const baseIsMoof = 0x02_0000
	dst = appendHeader(dst, "moof", l.moof)
	dst = appendHeader(dst, "mfhd", mfhdSize)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, w.sequence)
	dst = appendHeader(dst, "traf", l.moof-boxHeader-mfhdSize)
	dst = appendHeader(dst, "tfhd", tfhdSize)
	dst = binary.BigEndian.AppendUint32(dst, baseIsMoof)
	dst = binary.BigEndian.AppendUint32(dst, trackID(w.track))
	dst = appendHeader(dst, "tfdt", tfdtSize)
	dst = binary.BigEndian.AppendUint32(dst, 1<<24)
	dst = binary.BigEndian.AppendUint64(dst, uint64(start))
	return w.appendTrun(dst, f, l, start)
}

// appendTrun writes the samples' durations, sizes and, for video, flags and composition offsets
// (ISO/IEC 14496-12 §8.8.8). Flags stand with each sample because first_sample_flags, which would
// be shorter, is unknown to some readers.
func (w *Writer) appendTrun(dst []byte, f *Fragment, l *layout, start int64) []byte {
	const (
		version1                                    = 1 << 24
		dataOffset, durations, sizes, flags, offset = 0x1, 0x100, 0x200, 0x400, 0x800
	)
	video := w.track.Kind == media.Video
	head := uint32(version1 | dataOffset | durations | sizes)
	if video {
		head |= flags | offset
	}
	dst = appendHeader(dst, "trun", trunSize+len(f.Units)*w.sampleSize())
	dst = binary.BigEndian.AppendUint32(dst, head)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.Units)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(l.moof+boxHeader))
	for i := range f.Units {
		u := &f.Units[i]
		end := w.end(f, i, start)
		dst = binary.BigEndian.AppendUint32(dst, uint32(end-start))
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(Payload(u))))
		if video {
			dst = binary.BigEndian.AppendUint32(dst, sampleFlags(u))
			dst = binary.BigEndian.AppendUint32(dst, uint32(int32(w.presentation(u)-start)))
		}
		w.clock.keepUsual(end - start)
		start = end
	}
	w.clock.end = start
	return dst
}

// end returns where unit i ends, which begins at start: where the next one begins.
func (w *Writer) end(f *Fragment, i int, start int64) int64 {
	u := &f.Units[i]
	w.clock.count(u, codec.FrameSamples(w.track, u.Data), start)
	if i+1 == len(f.Units) {
		return w.clock.last(u, start, f.Next)
	}
	next := &f.Units[i+1]
	return w.clock.start(next, codec.FrameSamples(w.track, next.Data), start+1)
}

func sampleFlags(u *media.AccessUnit) uint32 {
	if isSync(u) {
		return flagsSync
	}
	return flagsNonSync
}

// isSync says whether all that follows can be decoded from u on. A recovery point is no sync sample
// (ISO/IEC 14496-15 §6.2).
func isSync(u *media.AccessUnit) bool { return u.RandomAccess && !u.Recovery }
