package fanout

import (
	"errors"
	"io"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"livego/internal/live"
	"livego/internal/media"
)

const (
	// pollBatch is how many units are taken from the ring at a time: seldom are there more.
	pollBatch = 16
	// playersPerShard is how many players one goroutine delivers to before another core is worth
	// its wake-ups.
	playersPerShard = 256
	// limitMargin: a feed whose format has a time limit ends at the first random access point
	// within that of it. One that begins within twice that counts from its beginning: the cached
	// GOPs that it begins with may be older than the point at which the feed before ended.
	limitMargin = 10 * time.Minute
)

func defaultShards() int { return runtime.GOMAXPROCS(0) }

// feed is one stream in one wire format: its goroutine encodes into the log and delivers to the
// players of the first shard.
type feed struct {
	owner  *Fanout
	key    feedKey
	reader *live.Reader
	log    *feedLog
	shards []*shard
	stop   chan struct{} // closed when the last player is gone
	// ended is why nothing will be added to the log; nil while something may.
	ended atomic.Pointer[error]
	made  time.Time
	// kinds is the set of kinds of media in the log, as 1<<kind.
	kinds atomic.Uint32

	players int // guarded by owner.mu
	budget  *budget
	class   class

	// Only for the feed's goroutine.
	units   []media.AccessUnit
	moved   []live.Moved // bodies that are in the log now
	cutter  cutter
	headers *media.Headers
	epoch   uint32
	base    time.Duration // stream time of the wire's time zero
	based   bool
	last    time.Time // start of the last pass
	counted int64     // bytes of the log that the budget knows of
	// moves is how often the stream had moved to another node before.
	moves uint32
	// codecs are those of the media in the log, by kind.
	codecs [media.Data]media.Codec
}

func newFeed(f *Fanout, key feedKey, b *budget) *feed {
	fd := &feed{
		owner: f, key: key, budget: b, class: key.view.class(), log: newFeedLog(), stop: make(chan struct{}), made: time.Now(),
		reader: key.pub.NewReader(live.ReaderOptions{GOPs: key.gops(f.opt.GOPs), Lazy: true, Session: key.moves || key.begin}),
		cutter: cutter{view: key.view, body: f.opt.Body},
		units:  make([]media.AccessUnit, pollBatch),
	}
	fd.shards = make([]*shard, f.opt.MaxShards)
	fd.moves, _ = key.pub.Moved()
	for i := range fd.shards {
		fd.shards[i] = &shard{feed: fd, wake: make(chan struct{}, 1)}
		fd.shards[i].oldest.Store(math.MaxUint64)
	}
	return fd
}

// gops returns how many cached GOPs a feed begins with, negative: all of its session.
func (k feedKey) gops(n int) int {
	if k.begin {
		return -1
	}
	return k.view.gops(n)
}

// beginTime is for how long a feed keeps all for players that begin where its session does.
const beginTime = 5 * time.Second

// gops returns how many GOPs joining players get.
func (fd *feed) gops() int {
	switch {
	case !fd.key.begin:
		return fd.owner.opt.GOPs
	case time.Since(fd.made) < beginTime:
		return math.MaxInt
	}
	return max(fd.owner.opt.GOPs, 1)
}

// leastLoaded picks the shard of a new player and counts it in. The caller holds owner.mu.
func (fd *feed) leastLoaded() *shard {
	pick := fd.shards[0]
	for _, sh := range fd.shards[1:] {
		if pick.load < playersPerShard {
			break
		}
		if sh.load < pick.load {
			pick = sh
		}
	}
	pick.load++
	if pick != fd.shards[0] && !pick.running {
		pick.running = true
		fd.owner.wg.Go(pick.run)
	}
	return pick
}

// run encodes and delivers until the last player is gone.
func (fd *feed) run() {
	defer fd.reader.Close()
	first := fd.shards[0]
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	ready, paced := fd.reader.Ready(), false
	for {
		select {
		case <-fd.stop:
			return
		case <-first.wake:
			first.service()
			continue
		case <-ready:
		case <-timer.C:
		}
		now := time.Now()
		if !paced {
			if wait := fd.reader.Wait(now); wait > 0 {
				timer.Reset(wait)
				continue
			}
		}
		due := fd.last.Add(fd.owner.pace.wait(now))
		if wait := due.Sub(now); wait > 0 {
			ready, paced = nil, true
			timer.Reset(wait)
			continue
		}
		ready, paced = fd.reader.Ready(), false
		fd.step(now, due)
		timer.Reset(fd.reader.Doze(now))
	}
}

// step encodes what is new and delivers it. It was due at due, or when the newest unit came.
func (fd *feed) step(now, due time.Time) {
	grew := fd.collect()
	if !grew && fd.ended.Load() == nil {
		return
	}
	if !fd.last.IsZero() {
		fd.owner.pace.began(now.Sub(later(due, time.Unix(0, fd.log.newest.Load()))))
	}
	fd.last = now
	for _, sh := range fd.shards[1:] {
		sh.signal()
	}
	fd.shards[0].pass()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// collect encodes all new units. It says whether the log grew.
func (fd *feed) collect() (grew bool) {
	for fd.ended.Load() == nil {
		n, err := fd.reader.Poll(fd.units)
		before := fd.beforeMove(fd.units[:n])
		for i := range before {
			fd.encode(&fd.units[i], fd.units[i+1:before])
		}
		clear(fd.units[:n])
		fd.share()
		grew = grew || n > 0
		if errors.Is(err, io.EOF) {
			fd.publish() // who sees the end must see all that came before it
			fd.finish(ErrStreamEnded)
		}
		if before < n || fd.hasMoved() && errors.Is(err, media.ErrSuspended) {
			fd.publish()
			fd.finish(live.ErrMoved)
		}
		if n == 0 && !errors.Is(err, media.ErrSuspended) {
			break
		}
	}
	if grew {
		fd.publish()
	}
	return grew
}

// hasMoved says whether the stream has moved to another node since the feed began, which then ends
// there.
func (fd *feed) hasMoved() bool {
	if !fd.key.moves {
		return false
	}
	times, _ := fd.key.pub.Moved()
	return times != fd.moves
}

// beforeMove returns how many of some units are from before the stream moved.
func (fd *feed) beforeMove(units []media.AccessUnit) int {
	if !fd.hasMoved() {
		return len(units)
	}
	_, behind := fd.key.pub.Moved()
	for i := range units {
		if units[i].Header == media.Sample && units[i].Seq >= behind {
			return i
		}
	}
	return len(units)
}

// share lets the ring hold what is in the log instead of bytes of its own.
func (fd *feed) share() {
	if len(fd.moved) == 0 {
		return
	}
	fd.reader.Share(fd.moved)
	clear(fd.moved)
	fd.moved = fd.moved[:0]
}

// encode appends one unit's message, or what the view makes of it; following are the next units,
// some of which may share it.
func (fd *feed) encode(u *media.AccessUnit, following []media.AccessUnit) {
	if fd.key.view.Whole {
		fd.write(u, following)
		return
	}
	cut := fd.cutter.cut(u)
	for i := range cut {
		fd.write(&cut[i], nil)
	}
	clear(cut)
}

// write appends one unit's message; following are the next units, some of which may share it.
func (fd *feed) write(u *media.AccessUnit, following []media.AccessUnit) {
	before := fd.headers
	fd.headers = before.After(u)
	if before == nil {
		before = fd.headers
	}
	if u.Shared || u.Body == nil || fd.ended.Load() != nil {
		return
	}
	for i := range following {
		if !following[i].Shared {
			break
		}
		u.Join = u.Join || following[i].Join
	}
	if fd.changesCodec(u) {
		if fd.log.tail.Load() > 0 {
			fd.publish()
			fd.finish(ErrCodecChanged)
			return
		}
		fd.log.forgetJoins() // it is in what the feed begins with
	}
	timestamp, ok := fd.timestamp(u)
	if !ok {
		fd.publish()
		fd.finish(ErrTimeLimit)
		return
	}
	fd.noteKind(u)
	framed := fd.log.append(fd.key.format, u, timestamp, before)
	if body := bodyIn(framed, u.Body); body != nil && u.Header == media.Sample {
		fd.moved = append(fd.moved, live.Moved{Seq: u.Seq, From: u.Body, To: body})
	}
}

// changesCodec says that a track goes on with another codec with u, of which players want to be
// told. What does not parse is no codec.
func (fd *feed) changesCodec(u *media.AccessUnit) bool {
	if !fd.key.codecs || fd.key.view.Whole || u.Track.Kind == media.Data || !u.Track.Parsed {
		return false
	}
	before := &fd.codecs[u.Track.Kind]
	changed := *before != "" && *before != u.Track.Codec
	*before = u.Track.Codec
	return changed
}

// noteKind keeps the set of kinds of media that the current publisher session has.
func (fd *feed) noteKind(u *media.AccessUnit) {
	if u.Header != media.Sample && u.Header != media.SequenceHeader {
		return
	}
	kinds := fd.kinds.Load()
	if u.Epoch != fd.epoch {
		fd.epoch, kinds = u.Epoch, 0
	}
	if with := kinds | 1<<u.Track.Kind; with != fd.kinds.Load() {
		fd.kinds.Store(with)
	}
}

// timestamp maps stream time to the wire. It fails when the format's time ends here.
func (fd *feed) timestamp(u *media.AccessUnit) (ms uint32, ok bool) {
	limit := fd.key.limit
	if !fd.based {
		if u.Header != media.Sample {
			return 0, true // before the first place to join: only a player's prefix shows it, with the time of that place
		}
		fd.based = true
		if limit > 0 && u.DTS >= limit-2*limitMargin {
			fd.base = u.DTS
		}
	}
	t := max(u.DTS-fd.base, 0)
	if limit > 0 && (t >= limit || (u.Join && t >= limit-limitMargin)) {
		return 0, false
	}
	return uint32(t / time.Millisecond), true
}

// spareLog is how much longer the log is than joiners need, whoever reads it: a player that has
// just joined is not counted yet.
const spareLog = 500 * time.Millisecond

// publish makes the new part of the log visible and bounds the log: it keeps the GOPs that joiners
// get, and what players still need as long as they do not lag too far behind those, within the
// memory that the stream's feeds have together.
func (fd *feed) publish() {
	opt := &fd.owner.opt
	allowance := fd.budget.allowance(fd.class, fd.counted)
	keep := retention{
		gops: fd.gops(), memory: allowance, allowance: allowance, spare: int64(min(spareLog, opt.PlayerLag)), first: math.MaxUint64,
		most: int64(opt.PlayerLag), mostBytes: int64(opt.PlayerBytes),
	}
	for _, sh := range fd.shards {
		keep.first = min(keep.first, sh.oldest.Load())
	}
	fd.log.publish(keep)
	held := fd.log.bytes.Load()
	fd.budget.bytes[fd.class].Add(held - fd.counted)
	fd.counted = held
}

// finish says that nothing more will come. Players end when they have got everything.
func (fd *feed) finish(cause error) {
	fd.ended.Store(&cause)
	fd.owner.mu.Lock()
	fd.owner.retire(fd)
	fd.owner.mu.Unlock()
}
