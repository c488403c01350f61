package hls

import (
	"time"

	"livego/internal/hls/cut"
	"livego/internal/ledger"
	"livego/internal/media"
	"livego/internal/spool"
)

// lifeTime maps the time of a stream, which begins anew with each life, to the media time of HLS,
// which does not: a life begins at what the clock of the day says, in milliseconds since 2026. So
// all lives of a stream are on one timeline, whichever process packages them, and players go on
// with the next one as after a hole. With times that begin at 0 again hls.js (1.7.4) stands still
// for good.
type lifeTime struct {
	now func() time.Time
	// floor is the least time that the life may have.
	floor time.Duration
	// follows: the life begins at floor, where the one before ended.
	follows bool
	// shift is media time minus stream time, valid once placed.
	shift  time.Duration
	placed bool
	// reach is the latest time of a unit.
	reach time.Duration
}

// mediaTime is what a clock of the day is as media time.
func mediaTime(clock time.Time) time.Duration {
	return max(0, clock.Sub(time.Unix(yearZero, 0))).Truncate(time.Millisecond)
}

// place gives u its media time. The first one says when the life began.
func (l *lifeTime) place(u *media.AccessUnit) {
	if !l.placed {
		came := l.now()
		if u.Arrived != 0 {
			came = time.Unix(0, u.Arrived)
		}
		begin := max(mediaTime(came), l.floor)
		if l.follows && begin-l.floor < followTime {
			begin = l.floor
		}
		l.shift, l.placed = begin-u.DTS, true
	}
	u.DTS += l.shift
	u.PTS += l.shift
	l.reach = max(l.reach, u.DTS, u.PTS)
}

// usualUnit is what the last unit of a life lasts where nothing says better.
const usualUnit = 33 * time.Millisecond

// lastUnit is more than the last unit of a life lasts.
const lastUnit = time.Second

// endOfNoted is from when on there is no media of a life, of which it is known what was noted.
func endOfNoted(last *ledger.Entry, now time.Time) time.Duration {
	if last.Follows {
		return last.Reach.Truncate(time.Millisecond)
	}
	if last.Over {
		return (last.Reach + lastUnit).Truncate(time.Millisecond)
	}
	unknown := cut.MaxFirstSegment // of the segment that was under way
	if last.Longest > 0 {
		unknown = min(unknown, last.Longest.Truncate(time.Second)+time.Second+cut.Rounding)
	}
	return endOf(spool.Reach{Time: last.Reach, Stored: last.Noted.UnixNano(), Unknown: unknown}, now)
}
