package hls

import (
	"time"

	"livego/internal/media"
)

// lifeTime maps the time of a stream, which begins anew with each life, to the media time of HLS, which does not: a life begins at what the
// clock of the day says, in milliseconds since 2026. So all lives of a stream are on one timeline, whichever process packages them, and players
// go on with the next one as after a hole. With times that begin at 0 again hls.js (1.7.4) stands still for good.
type lifeTime struct {
	now func() time.Time
	// floor is the least time that the life may have.
	floor time.Duration
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
		l.shift, l.placed = max(mediaTime(came), l.floor)-u.DTS, true
	}
	u.DTS += l.shift
	u.PTS += l.shift
	l.reach = max(l.reach, u.DTS, u.PTS)
}

// floor is what a stream's life must not go below, as an earlier one used what is lower: its last discontinuity sequence number, and the time from
// which on there is no media. The zero value is none.
//
// The life that follows has the same discontinuity sequence number, 0 if that is not known, because its media follow on one timeline: hls.js (1.7.4)
// takes a lower one for the same, but with a higher one, and no segment in common, it never finds out where to go on
// (BaseStreamController.getInitialLiveFragment).
type floor struct {
	discontinuity int64
	time          time.Duration
	// noted is when the earlier life was forgotten.
	noted time.Time
}

// lastUnit is more than the last unit of a life lasts.
const lastUnit = time.Second

// floor is what the next life must not go below.
func (l *life) floor() floor {
	f := floor{discontinuity: l.lastDiscontinuity.Load()}
	if reach := time.Duration(l.reach.Load()); reach > 0 {
		f.time = (reach + lastUnit).Truncate(time.Millisecond)
	}
	return f
}

const (
	// maxFloors bounds the floors that are remembered of streams that are off the air, and floorAge is for how long: nobody goes on after that.
	maxFloors = 1 << 12
	floorAge  = time.Hour
)

// remember keeps the floor of a stream that goes off the air. The caller holds mu.
func (s *Server) remember(name string, f floor) {
	now := s.opt.Now()
	f.noted = now
	for name, old := range s.floors {
		if old.time <= mediaTime(now) && now.Sub(old.noted).Abs() > floorAge {
			delete(s.floors, name)
		}
	}
	if len(s.floors) < maxFloors {
		s.floors[name] = f
	}
}
