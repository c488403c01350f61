package record

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"livego/internal/hls"
	"livego/internal/media"
)

const (
	// patience is how many segments of the stream come before one of a rendition is missed for
	// good: as many as a rendition may miss before it leaves the ladder, and one more.
	patience = 4
	// hole is the least time between two segments that is listed as missing.
	hole = 200 * time.Millisecond
	// overlap is by how much a segment may begin before the end of the one before it.
	overlap = 500 * time.Millisecond
	// gapName is where segments lead that are missing.
	gapName = "gap.m4s"
	// playlistVersion is the least that allows EXT-X-MAP beside media (RFC 8216 7).
	playlistVersion = "6"
	// sizeComment stands in front of a segment's URI, with its size in bytes.
	sizeComment = "#LIVEGO-SIZE:"
	dateFormat  = "2006-01-02T15:04:05.000Z07:00"
)

// state is where a file is.
type state uint8

const (
	waiting state = iota // for the local disk
	spooled              // on the local disk
	stored               // in the bucket
	lost                 // nowhere
)

// object is a file that a recording has, or will have. Its state is guarded by the Recorder's mu.
type object struct {
	name  string // below the recording's folder
	size  int
	sum   uint32 // CRC-32C
	state state
	// written is when it was written to the local disk, zero if an earlier process did that.
	written time.Time
	// unsure: it is not on the local disk, and may be in the bucket.
	unsure bool
	// piece is what it has, nil if it is an initialization section.
	piece *piece
}

// piece is a segment of one rendition. It is missing without a file, or with one that is lost.
type piece struct {
	track    *track
	seq      int64
	duration time.Duration
	dates    []string
	file     *object
	init     *object
}

func (p *piece) missing() bool { return p.file == nil || p.file.state == lost || p.init.state == lost }

func (p *piece) pending() bool {
	return !p.missing() && (p.file.state != stored || p.init.state != stored)
}

// track is one rendition of a recording.
type track struct {
	hls.Description
	// codecs are all that it had.
	codecs []string
	// init is the newest initialization section, content what is in it, nil after a restart; shown
	// is the one that applies where body ends.
	init    *object
	content []byte
	shown   *object
	inits   []*object
	pieces  map[int64]*piece
	// body is the text of the listed segments. It only grows.
	body []byte
	// bytes and media are of listed segments, peak is the highest bit rate of a segment.
	bytes int64
	media time.Duration
	peak  float64
}

// slot is a segment's place, the same in all renditions.
type slot struct {
	seq             int64
	start, duration time.Duration
	at              time.Time
	discontinuity   bool
}

// timeline makes the playlists of a recording of its segments: of all renditions alike, with the
// same segments, gaps and discontinuities, so that players may change between them anywhere. What
// is listed never changes. The caller makes sure that one goroutine at a time uses it.
type timeline struct {
	tracks []*track
	slots  []slot // that are not listed, by rising number
	// newest is the highest number so far, from the lowest that is taken.
	newest, from int64
	// blank is the body of a rendition that has nothing.
	blank []byte
	// listed counts segments. end is where the last one ends.
	listed    int
	end       time.Duration
	target    time.Duration
	duration  time.Duration
	missing   int
	dependent bool
	// dated: the next segment needs no date, as it follows from the one before.
	dated bool
}

// track returns the one with an ID, nil if there is none.
func (t *timeline) track(id string) *track {
	if i := slices.IndexFunc(t.tracks, func(o *track) bool { return o.ID == id }); i >= 0 {
		return t.tracks[i]
	}
	return nil
}

// describe notes a rendition, and says whether there is something new.
func (t *timeline) describe(d hls.Description) (r *track, news bool) {
	d.Peak, d.Average = 0, 0 // they are measured here
	r = t.track(d.ID)
	if r == nil {
		r = &track{pieces: make(map[int64]*piece), body: bytes.Clone(t.blank)}
		t.tracks = append(t.tracks, r)
	}
	if r.Description == d {
		return r, false
	}
	r.Description = d
	if !slices.Contains(r.codecs, d.Codecs) {
		r.codecs = append(r.codecs, d.Codecs)
	}
	slices.SortStableFunc(t.tracks, func(a, b *track) int { return int(a.Kind) - int(b.Kind) })
	return r, true
}

// add takes a segment of a rendition; p has its file and its initialization section, or neither. It
// is false if the segment comes too late, or too early.
func (t *timeline) add(r *track, p *piece, s *slot, target time.Duration, independent bool) bool {
	if s.seq < t.from || r.pieces[s.seq] != nil {
		return false
	}
	i, there := slices.BinarySearchFunc(t.slots, s.seq, func(o slot, seq int64) int { return int(o.seq - seq) })
	switch {
	case there && r.Kind == media.Video:
		o := &t.slots[i]
		o.start, o.duration, o.at = s.start, s.duration, s.at
		o.discontinuity = o.discontinuity || s.discontinuity
	case there:
		t.slots[i].discontinuity = t.slots[i].discontinuity || s.discontinuity
	case s.seq <= t.newest && i == 0:
		return false // it is listed without
	default:
		t.slots = slices.Insert(t.slots, i, *s)
	}
	if r.init != nil && p.init != nil && p.init != r.init {
		t.slots[i].discontinuity = true
	}
	if p.init != nil {
		r.init = p.init
	}
	r.pieces[s.seq] = p
	p.track = r
	t.newest = max(t.newest, s.seq)
	t.target = max(t.target, target)
	t.dependent = t.dependent || !independent && p.file != nil
	return true
}

// advance lists what can be listed: segments of which it is known in all renditions what became of
// them. final says that no more come.
func (t *timeline) advance(final bool) {
	for len(t.slots) > 0 {
		s := &t.slots[0]
		if !final && t.newest < s.seq+patience || t.pending(s.seq) {
			return
		}
		t.list(s)
		t.slots = t.slots[1:]
	}
}

func (t *timeline) pending(seq int64) bool {
	return slices.ContainsFunc(t.tracks, func(r *track) bool { p := r.pieces[seq]; return p != nil && p.pending() })
}

// list puts a segment into all playlists.
func (t *timeline) list(s *slot) {
	if t.listed > 0 {
		t.bridge(s)
		if s.discontinuity {
			t.write("#EXT-X-DISCONTINUITY\n")
			t.dated = false
		}
	}
	if !t.dated && !s.at.IsZero() {
		t.write("#EXT-X-PROGRAM-DATE-TIME:" + s.at.UTC().Format(dateFormat) + "\n")
		t.dated = true
	}
	for _, r := range t.tracks {
		p := r.pieces[s.seq]
		delete(r.pieces, s.seq)
		if p == nil || p.missing() {
			if p != nil && p.file != nil {
				t.missing++
			}
			r.body = appendGap(r.body, s.duration)
			continue
		}
		r.list(p)
	}
	t.blank = appendGap(t.blank, s.duration)
	t.listed++
	t.duration += s.duration
	t.end = s.start + s.duration
}

// bridge lists what lies between the last segment and s as missing. A segment that begins before
// the end of the last one is of another timeline.
func (t *timeline) bridge(s *slot) {
	space := s.start - t.end
	switch {
	case space < -overlap:
		s.discontinuity = true
	case space > hole && t.target > 0:
		n := (space + t.target - 1) / t.target
		for range n {
			t.blank = appendGap(t.blank, space/n)
			for _, r := range t.tracks {
				r.body = appendGap(r.body, space/n)
			}
		}
		t.duration += space
		t.listed += int(n)
		t.dated = false
	}
}

// write puts a line into all playlists.
func (t *timeline) write(line string) {
	t.blank = append(t.blank, line...)
	for _, r := range t.tracks {
		r.body = append(r.body, line...)
	}
}

func appendGap(b []byte, d time.Duration) []byte {
	b = append(b, "#EXT-X-GAP\n"...)
	b = appendDuration(b, d)
	return append(b, gapName+"\n"...)
}

func appendDuration(b []byte, d time.Duration) []byte {
	b = append(b, "#EXTINF:"...)
	b = strconv.AppendFloat(b, d.Seconds(), 'f', 6, 64)
	return append(b, ",\n"...)
}

// list puts a segment that there is into the rendition's playlist.
func (r *track) list(p *piece) {
	if p.init != r.shown {
		r.shown = p.init
		r.body = append(r.body, `#EXT-X-MAP:URI="`+p.init.name+"\"\n"...)
	}
	for _, d := range p.dates {
		r.body = append(r.body, "#EXT-X-DATERANGE:"+d+"\n"...)
	}
	r.body = appendDuration(r.body, p.duration)
	r.body = append(r.body, sizeComment...)
	r.body = strconv.AppendInt(r.body, int64(p.file.size), 10)
	r.body = append(r.body, "\n"+p.file.name+"\n"...)
	r.note(int64(p.file.size), p.duration)
}

// note counts a segment that is listed.
func (r *track) note(size int64, d time.Duration) {
	r.bytes += size
	r.media += d
	if d >= time.Second {
		r.peak = max(r.peak, float64(size)*8/d.Seconds())
	}
}

// described returns what the multivariant playlist says of the rendition.
func (r *track) described() hls.Description {
	d := r.Description
	if r.media > 0 {
		d.Average = int(float64(r.bytes) * 8 / r.media.Seconds())
	}
	d.Peak = max(int(r.peak), d.Average)
	d.Codecs = strings.Join(r.codecs, ",")
	return d
}

// playlist is one to be written.
type playlist struct {
	name       string
	head, body []byte
}

// playlists returns all of them, the multivariant one last, so that what it names is there.
func (t *timeline) playlists(ended bool) (all []playlist) {
	kind, tail := "EVENT", ""
	if ended {
		kind, tail = "VOD", "#EXT-X-ENDLIST\n"
	}
	head := fmt.Appendf(nil, "#EXTM3U\n#EXT-X-VERSION:%s\n#EXT-X-TARGETDURATION:%d\n#EXT-X-PLAYLIST-TYPE:%s\n#EXT-X-MEDIA-SEQUENCE:0\n",
		playlistVersion, max(1, int(t.target/time.Second)), kind)
	var list []hls.Description
	for _, r := range t.tracks {
		if r.media == 0 {
			continue
		}
		all = append(all, playlist{r.ID + playlistSuffix, head, append(r.body[:len(r.body):len(r.body)], tail...)})
		list = append(list, r.described())
	}
	if len(list) == 0 {
		return nil
	}
	return append(all, playlist{name: indexName, body: hls.Multivariant(list, !t.dependent)})
}
