package fanout

import (
	"bytes"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/media"
)

const (
	// blockDuration is how much of the stream a block is made for, within minBlock and maxBlock
	// bytes: short enough to be freed soon, long enough that making blocks costs nothing.
	blockDuration = 500 * time.Millisecond
	minBlock      = 16 << 10
	maxBlock      = 1 << 20
	minEntries    = 32
	// Memory of more than largeObject bytes comes in whole pages, of pageSize each.
	largeObject = 32 << 10
	pageSize    = 8 << 10
)

// entry describes one message in a block.
type entry struct {
	end     int   // offset in the block behind the message
	arrived int64 // ns since 1970
	// video and audio count the payload bytes of the log up to here, this message included.
	video, audio uint64
	headers      *media.Headers // in force before this message
}

// block is a piece of the log. The feed's goroutine fills it; others read what filled and count
// publish.
type block struct {
	seq  uint64
	base int64 // offset in the log of the first byte
	// video and audio count the payload bytes of the log before the block, number its messages.
	video, audio, number uint64
	buf                  []byte  // the bytes up to filled are immutable
	entries              []entry // the entries up to count are immutable
	filled               atomic.Int64
	count                atomic.Int64
	sealed               atomic.Bool // filled and count are final

	// Only for the writer: what is not published yet is behind filled and count.
	used, messages int
}

// rest returns the published bytes from pos on; they end at a message boundary.
func (b *block) rest(pos int) []byte { return b.buf[pos:b.filled.Load()] }

// find returns the index of the message that pos is in or begins; the number of messages when pos
// is behind the last.
func (b *block) find(pos int) int {
	n := int(b.count.Load())
	return sort.Search(n, func(i int) bool { return b.entries[i].end > pos })
}

// payloadAt returns how many payload bytes the log has before the message that pos is in or begins.
func (b *block) payloadAt(pos int) (video, audio uint64) {
	i := b.find(pos)
	if i == 0 {
		return b.video, b.audio
	}
	return b.entries[i-1].video, b.entries[i-1].audio
}

// numberAt returns how many messages the log has before the one that pos is in or begins.
func (b *block) numberAt(pos int) uint64 { return b.number + uint64(b.find(pos)) }

// headersAt returns the headers in force at pos.
func (b *block) headersAt(pos int) *media.Headers {
	n := int(b.count.Load())
	if n == 0 {
		return nil
	}
	return b.entries[min(b.find(pos), n-1)].headers
}

// join is a place where a player may begin.
type join struct {
	block     *block
	pos       int
	at        int64 // offset in the log
	arrived   int64
	timestamp uint32 // ms on the wire
	headers   *media.Headers
	// ahead is sound that came before and is to be heard from here on, or later, as it is in the
	// log.
	ahead []inLog

	once sync.Once
	// prefix is the headers, whole the sound behind them too.
	prefix, whole []byte
}

// inLog is a message in the log, at an offset.
type inLog struct {
	at    int64
	dts   time.Duration
	bytes []byte
}

// prefixFor returns what a player gets that goes on here, has everything up to an offset of the
// log, and knows the headers in force or not: those, unless it does, and the sound that is ahead.
func (j *join) prefixFor(f Format, has int64, knows bool) []byte {
	headers := j.framedPrefix(f)
	switch {
	case has == 0 && !knows:
		return j.whole
	case knows:
		headers = nil
	}
	for i := range j.ahead {
		if j.ahead[i].at >= has {
			headers = append(headers[:len(headers):len(headers)], j.ahead[i].bytes...)
		}
	}
	return headers
}

// framedPrefix returns the headers in force, framed and stamped with the join's time, metadata with
// 0: FFmpeg takes metadata with any other time for a subtitle track. It is built for the first
// player.
func (j *join) framedPrefix(f Format) []byte {
	j.once.Do(func() {
		units := j.headers.Units()
		for i, u := range units {
			timestamp := j.timestamp
			if u.Header == media.Metadata {
				timestamp = 0
			}
			if len(u.Body) > 0 && !slices.ContainsFunc(units[:i], func(o media.AccessUnit) bool { return sameMessage(&o, &u) }) {
				j.prefix = f.AppendMessage(j.prefix, u.MessageType, timestamp, u.Body)
			}
		}
		j.whole = j.prefix
		if len(j.ahead) > 0 {
			j.whole = slices.Clone(j.prefix)
		}
		for i := range j.ahead {
			j.whole = append(j.whole, j.ahead[i].bytes...)
		}
	})
	return j.prefix
}

// sameMessage says whether two headers came in one message: then they have one body.
func sameMessage(a, b *media.AccessUnit) bool { return len(a.Body) > 0 && &a.Body[0] == &b.Body[0] }

// index is an immutable snapshot of what the log holds.
type index struct {
	blocks []*block
	joins  []*join
}

// after returns the block that follows b, nil while there is none. lost says that it was there and
// is gone.
func (x *index) after(b *block) (next *block, lost bool) {
	if len(x.blocks) == 0 {
		return nil, false
	}
	if b.seq+1 < x.blocks[0].seq {
		return nil, true
	}
	if i := b.seq + 1 - x.blocks[0].seq; i < uint64(len(x.blocks)) {
		return x.blocks[i], false
	}
	return nil, false
}

// feedLog is the append-only byte log of a feed. One goroutine writes; any number read through
// index and the blocks.
type feedLog struct {
	index atomic.Pointer[index]
	bytes atomic.Int64 // capacity of the blocks held
	// tail is the offset behind the last published message, newest its arrival.
	tail   atomic.Int64
	newest atomic.Int64

	// Only for the writer.
	last       *block
	end        int64
	v, a       uint64
	blockSize  int
	perBlock   int
	blockSince time.Duration // decode time at which the last block begins
	reached    time.Duration // decode time of the last message
	ahead      ahead
	fresh      []*block // not yet in index
	joins      []*join  // not yet in index
}

func newFeedLog() *feedLog {
	l := &feedLog{blockSize: minBlock, perBlock: minEntries}
	l.index.Store(&index{})
	return l
}

// reserve returns a block with room for a message of at most n bytes.
func (l *feedLog) reserve(n int, at time.Duration) *block {
	b := l.last
	if b != nil && !b.sealed.Load() {
		if len(b.buf)-b.used >= n && b.messages < len(b.entries) {
			return b
		}
		l.seal(b, at)
	}
	next := &block{base: l.end, video: l.v, audio: l.a}
	if b != nil {
		next.seq, next.number = b.seq+1, b.number+uint64(b.messages)
	}
	next.buf, next.entries = allOf[byte](max(n, l.blockSize)), allOf[entry](l.perBlock)
	l.bytes.Add(int64(len(next.buf)))
	l.last, l.blockSince = next, at
	l.fresh = append(l.fresh, next)
	return next
}

// seal publishes a full block for good, before a message of a decode time, and sizes the next ones
// by the rate that it saw. What counts is the time of the media: after a burst blocks would be too
// long for minutes otherwise.
func (l *feedLog) seal(b *block, at time.Duration) {
	l.publishBlock(b)
	b.sealed.Store(true)
	if span := at - l.blockSince; span > 0 {
		l.blockSize = clamp(scale(b.used, span), minBlock, maxBlock)
		if l.blockSize > largeObject {
			l.blockSize -= l.blockSize % pageSize
		}
		l.perBlock = clamp(scale(b.messages, span)*5/4, minEntries, 4096)
	}
}

// allOf returns at least n elements, and all that fit into the memory which they take.
func allOf[T any](n int) []T {
	s := slices.Grow([]T(nil), n)
	return s[:cap(s)]
}

func scale(n int, span time.Duration) int {
	return int(float64(n) * float64(blockDuration) / float64(span))
}

func clamp(n, lo, hi int) int { return min(max(n, lo), hi) }

// append encodes a message, and returns it. headers are those in force before it. It becomes
// visible with publish.
func (l *feedLog) append(f Format, u *media.AccessUnit, timestampMS uint32, headers *media.Headers) (framed []byte) {
	b := l.reserve(len(u.Body)+f.Overhead(len(u.Body)), u.DTS)
	l.reached = u.DTS
	pos := b.used
	if u.Join {
		l.joins = append(l.joins, &join{
			block: b, pos: pos, at: l.end, arrived: u.Arrived, timestamp: timestampMS, headers: headers, ahead: l.ahead.of(u),
		})
	}
	if a, ok := f.(ArrivalFormat); ok {
		b.used = len(a.AppendArrived(b.buf[:pos], u.MessageType, timestampMS, u.Arrived, u.Body))
	} else {
		b.used = len(f.AppendMessage(b.buf[:pos], u.MessageType, timestampMS, u.Body))
	}
	switch u.Track.Kind {
	case media.Video:
		l.v += uint64(len(u.Body))
	default:
		l.a += uint64(len(u.Body))
	}
	b.entries[b.messages] = entry{end: b.used, arrived: u.Arrived, video: l.v, audio: l.a, headers: headers}
	b.messages++
	message := b.buf[pos:b.used:b.used]
	l.ahead.note(u, inLog{at: l.end, dts: u.DTS, bytes: message})
	l.end += int64(len(message))
	return message
}

// maxAhead bounds by how much sound may come before the picture beside which it is to be heard.
const maxAhead = 3 * time.Second

// ahead is the sound in the log that is later than the pictures: an encoder sends it sooner, or its
// pictures are shown before they are decoded. Players that begin with the next picture need it.
type ahead struct {
	sound   []inLog
	picture time.Duration // the decode time of the newest picture, if there was one
	shown   bool
}

// note takes a message of a unit.
func (a *ahead) note(u *media.AccessUnit, message inLog) {
	switch {
	case u.Header != media.Sample:
		if u.Track.Kind == media.Audio { // sound of another header is none to begin with
			a.forget(len(a.sound))
		}
	case u.Track.Kind == media.Video:
		a.picture, a.shown = u.DTS, true
		a.forgetUntil(u.DTS)
	case u.Track.Kind == media.Audio && a.shown && u.DTS >= a.picture:
		a.sound = append(a.sound, message)
		a.forgetUntil(u.DTS - maxAhead)
	}
}

// of returns the sound that belongs behind a picture with which players may begin.
func (a *ahead) of(u *media.AccessUnit) []inLog {
	if u.Track.Kind != media.Video || len(a.sound) == 0 {
		return nil
	}
	a.forgetUntil(u.DTS)
	return slices.Clone(a.sound)
}

// forgetUntil forgets what is before a time.
func (a *ahead) forgetUntil(at time.Duration) {
	n := 0
	for n < len(a.sound) && a.sound[n].dts < at {
		n++
	}
	a.forget(n)
}

// forget lets the first n messages go, and so the blocks that they are in.
func (a *ahead) forget(n int) {
	rest := copy(a.sound, a.sound[n:])
	clear(a.sound[rest:])
	a.sound = a.sound[:rest]
}

// trailer is how many bytes FLV has behind a body (FLV 1.0 §E.3, PreviousTagSize).
const trailer = 4

// bodyIn returns the body of a framed message within it, nil if it is not there in one piece.
func bodyIn(framed, body []byte) []byte {
	for _, behind := range [...]int{0, trailer} {
		end := len(framed) - behind
		if at := end - len(body); at >= 0 && bytes.Equal(framed[at:end], body) {
			return framed[at:end:end]
		}
	}
	return nil
}

// forgetJoins lets players begin at none of the places that are not published yet.
func (l *feedLog) forgetJoins() { l.joins = l.joins[:0] }

func (l *feedLog) publishBlock(b *block) {
	b.count.Store(int64(b.messages))
	b.filled.Store(int64(b.used))
}

// retention says which blocks the log keeps: those that joiners need for the newest gops GOPs of at
// most memory bytes, those that are not older than spare (ns) before that, and those from the block
// first on, as long as they are not older than most (ns) nor further back than mostBytes. All
// blocks together take allowance bytes at most, but for the newest minBlocks ones.
type retention struct {
	gops                           int
	memory, spare, most, mostBytes int64
	first                          uint64
	allowance                      int64
}

// with adds what joiners need. A GOP that is longer than there is memory for is not cached.
func (r retention) with(joins []*join, newest, end int64) retention {
	for _, j := range joins[max(0, len(joins)-r.gops):] {
		if end-j.at <= r.memory {
			age := max(newest-j.arrived, 0)
			r.spare += age
			r.most += age
			r.mostBytes += end - j.at
			break
		}
	}
	return r
}

func (r *retention) keeps(b *block, age, back int64) bool {
	return age <= r.most && back <= r.mostBytes && (b.seq >= r.first || age <= r.spare)
}

// publish makes everything that was appended visible, and lets go of the blocks that keep does not
// name.
func (l *feedLog) publish(keep retention) {
	if l.last == nil {
		return
	}
	l.publishBlock(l.last)
	newest := l.newestArrival()
	if len(l.fresh) > 0 || len(l.joins) > 0 {
		l.swapIndex(newest, keep)
	}
	if !l.last.sealed.Load() && !l.last.fitsAnother(l.end-l.tail.Load()) {
		l.seal(l.last, l.reached)
	}
	l.newest.Store(newest)
	l.tail.Store(l.end)
}

// fitsAnother says whether a pass of so many bytes like the last one has room in the block. If not,
// a new block is better than one write for the end of this one and one for the beginning of the
// next to each player. Not much is left empty for that.
func (b *block) fitsAnother(n int64) bool {
	return int64(len(b.buf)-b.used) >= min(n, int64(len(b.buf)/4))
}

func (l *feedLog) newestArrival() int64 {
	if n := l.last.messages; n > 0 {
		return l.last.entries[n-1].arrived
	}
	return l.newest.Load()
}

func (l *feedLog) swapIndex(newest int64, keep retention) {
	old := l.index.Load()
	blocks := slices.Concat(old.blocks, l.fresh)
	joins := slices.Concat(old.joins, l.joins)
	keep = keep.with(joins, newest, l.end)
	drop := 0
	for drop < len(blocks)-1 && blocks[drop].sealed.Load() {
		b := blocks[drop]
		tooMuch := l.bytes.Load() > keep.allowance && drop < len(blocks)-minBlocks
		if !tooMuch && keep.keeps(b, newest-b.entries[b.messages-1].arrived, l.end-b.base-b.filled.Load()) {
			break
		}
		l.bytes.Add(-int64(len(b.buf)))
		drop++
	}
	blocks = slices.Clone(blocks[drop:])
	joins = slices.DeleteFunc(joins, func(j *join) bool { return j.block.seq < blocks[0].seq })
	l.index.Store(&index{blocks: blocks, joins: joins})
	clear(l.fresh)
	clear(l.joins)
	l.fresh, l.joins = l.fresh[:0], l.joins[:0]
}
