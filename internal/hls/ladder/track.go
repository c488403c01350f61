package ladder

import (
	"cmp"
	"strconv"
	"time"

	"livego/internal/codec"
	"livego/internal/fmp4"
	"livego/internal/hls/cut"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

const (
	// maxGaps is how many segments a rendition may miss before it leaves the ladder.
	maxGaps = 3
	// alignment is how far apart random access points are taken for the same one: an output of an
	// encoder whose AAC has priming samples (1,024 to 2,112) begins that much later than one
	// without sound.
	alignment = 50 * time.Millisecond
	// maxTries is how many boundaries a rendition gets to match.
	maxTries = 3
	// maxQueue bounds the units that wait for the leading track: the longest first segment at 120
	// pictures a second, and more audio frames than that.
	maxQueue = 4096
	// spareQueue is how many units' room a queue keeps.
	spareQueue = 256
)

// standing says what a track has to do with the ladder.
type standing uint8

const (
	// active: it is a member, or waits for a boundary where it may become one.
	active standing = iota
	// spare: it is audio that another publication has too, and stands by.
	spare
	// out: it cannot be packaged, until it gets another header.
	out
)

// track is one track of a publication.
type track struct {
	pub      *Publication
	kind     media.Kind
	number   uint8
	standing standing
	// header is the newest one. objection says why it is not packaged, until that was logged.
	header    *media.Track
	objection string
	// same is a later header that changes nothing for players, so that header stays.
	same *media.Track
	// queue holds units that wait: for the leading track, or for the first segment's end.
	queue  unitQueue
	newest time.Duration
	// came is when the newest unit came, in ns since 1970, 0 if that is not known.
	came int64
	// shown is when the last unit in the order of presentation begins, and reorder by how much
	// later than it is decoded the last random access point is shown.
	shown, reorder time.Duration
	step           cut.Pace
	// sound counts what was taken, if it is audio.
	sound cut.SoundCount
	// lastHeader and lastSession are of the last unit about which the track decided as leader.
	lastHeader  *media.Track
	lastSession uint32

	// tried is the newest boundary at which the track could not begin, tries how many there were.
	tried int64
	tries int
	// lastKey is the time of the last random access point of video, negative before the first one.
	lastKey time.Duration
	// quiet: the encoder says that no sound comes. lateness is by how much its sound was behind the
	// leading video lately.
	quiet    bool
	lateness time.Duration
	// resumes is the time from which on sound is taken after silence.
	resumes time.Duration
	// dates are date ranges for the next segment, events what the next part tells the player.
	dates  []string
	events []fmp4.Event

	// member is what the track has while it is in the ladder, nil while it is not.
	*member
}

// member is what a track of the ladder writes, lists and shows.
type member struct {
	*playlist.Rendition
	info playlist.Info
	// version is that of the newest view.
	version  uint64
	window   playlist.Window
	rates    playlist.Rates
	captions captionReader

	// track is what writer writes, and session the publication's when it began. alike is another
	// publication's track that differs in nothing that a player sees, unlike one that has another
	// initialization section, nil if there is none.
	track, alike, unlike *media.Track
	session              uint32
	writer               *fmp4.Writer
	init                 *playlist.Init

	// seq is the number of the segment under way, segment what there is of it: nil if it was ended
	// early. gaps counts the segments without media since the last one that has some.
	seq     int64
	segment *playlist.Segment
	gaps    int
	cadence
	// part is the part under way, cell its place on the grid of parts, origin where the grid
	// begins. next is where its last unit ends, if all is as it should be, and held how long it
	// lasts if it is of audio.
	part               []media.AccessUnit
	cell               int64
	origin, next, held time.Duration
	// arrived is when the last unit of the newest part came, in ns since 1970, 0 if it was told or
	// is not known.
	arrived int64
	// listed is up to when parts are listed, as they were written, and unlisted by how much they
	// are longer.
	listed, unlisted time.Duration
	// endless: the end of the last segment is not listed yet.
	endless bool

	// silent: silence is made.
	silent bool
	// waitedFor is the newest segment of another header for which sound of the old one waited, and
	// waitedAt its time when that began.
	waitedFor int64
	waitedAt  time.Duration
}

// joining says that the track waits for a boundary where it may begin.
func (t *track) joining() bool { return t.standing == active && t.member == nil }

// isSilent says that silence is made in place of the track's sound.
func (t *track) isSilent() bool { return t.member != nil && t.silent }

// endSilence lets sound come again.
func (t *track) endSilence() {
	if t.member != nil {
		t.silent = false
	}
}

// toList is how much of the track's media waits to be listed.
func (t *track) toList() time.Duration {
	if t.member == nil {
		return 0
	}
	return t.unlisted
}

// count notes a unit, and returns how long one lasts.
func (t *track) count(u *media.AccessUnit) (length time.Duration) {
	if t.kind == media.Audio {
		t.sound.Take(u, cmp.Or(codec.FrameLength(u), t.length()))
	}
	length = t.length()
	t.newest, t.shown = u.DTS, max(t.shown, u.PTS)
	if u.Arrived != 0 {
		t.came = u.Arrived
	}
	if u.RandomAccess {
		t.reorder = u.PTS - u.DTS
	}
	t.step.Mark(u.DTS)
	return length
}

// bursts says that t is ahead of another track by so much only because it comes in bursts.
func (t *track) bursts(other *track, ahead time.Duration) bool {
	return t.came != 0 && other.came != 0 && cut.Bursts(ahead, time.Duration(t.came-other.came))
}

// unitQueue is a queue of units that reuses its room.
type unitQueue struct {
	units []media.AccessUnit
	head  int
	bytes int
}

func (q *unitQueue) len() int { return len(q.units) - q.head }

func (q *unitQueue) waiting() []media.AccessUnit { return q.units[q.head:] }

func (q *unitQueue) push(u *media.AccessUnit) {
	if q.head > 0 && q.head == len(q.units) {
		q.units, q.head = q.units[:0], 0
	} else if q.head > spareQueue && q.head > len(q.units)/2 {
		n := copy(q.units, q.units[q.head:])
		clear(q.units[n:])
		q.units, q.head = q.units[:n], 0
	}
	q.units = append(q.units, *u)
	q.bytes += len(u.Data)
}

func (q *unitQueue) pop() media.AccessUnit {
	u := q.units[q.head]
	q.units[q.head] = media.AccessUnit{}
	q.head++
	q.bytes -= len(u.Data)
	if q.len() == 0 && cap(q.units) > spareQueue {
		q.units, q.head = nil, 0
	}
	return u
}

// id is the track's name in URLs. That of audio does not say where it comes from.
func (t *track) id() string {
	id := t.kind.String()[:1] + strconv.Itoa(int(t.number))
	if t.pub.Rendition != "" && t.kind == media.Video {
		return t.pub.Rendition + "." + id
	}
	return id
}

// has says whether a header is that of the track, or makes no difference.
func (t *track) has(header *media.Track) bool {
	if t.header == header || t.same == header {
		return true
	}
	if !fmp4.SameInit(t.header, header) {
		return false
	}
	t.same = header
	return true
}

// frame is the length of an audio frame if it is constant, else 0.
func frame(t *media.Track) time.Duration {
	if t.Kind != media.Audio || t.SampleRate <= 0 {
		return 0
	}
	return time.Duration(t.SamplesPerFrame) * time.Second / time.Duration(t.SampleRate)
}

// length is how long the next unit probably lasts.
func (t *track) length() time.Duration {
	if f := cmp.Or(frame(t.header), t.sound.Length); f > 0 {
		return f
	}
	if t.step.Step > 0 {
		return t.step.Step
	}
	return usualInterval
}
