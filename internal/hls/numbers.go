package hls

import (
	"time"

	"livego/internal/hls/cut"
	"livego/internal/hls/ladder"
	"livego/internal/ledger"
)

// yearZero is when numbers and media times were 0: the first day of 2026 in Unix seconds.
const yearZero = 1_767_225_600

// firstNumber returns the least media sequence number with which a life begins: the Unix time, so
// that a server that starts again goes on with a higher one. Where segments are shorter than a
// second their numbers rise faster than that, and so does this one, which counts from 2026 then:
// there are clients that read no number above 2^31.
func firstNumber(now time.Time, segment time.Duration) int64 {
	if segment >= time.Second {
		return now.Unix()
	}
	return (now.Unix() - yearZero) * int64((time.Second+segment-1)/segment)
}

// numbers are those with which a life begins.
type numbers struct {
	// ts is that of the first MPEG-TS segment, cmaf of the first CMAF segment. What may stand
	// before that has a number too.
	ts, cmaf int64
	// lost are the segments before cmaf, if players have something of them and the last one broke
	// off.
	lost []ladder.Boundary
	// longest is how long a segment may be that the life before had, 0 if it is not known.
	longest time.Duration
	// follows: the life before ended a moment ago where this one begins.
	follows bool
}

// trusted is for how long it is believed that a life which broke off used no more than was noted.
// After a loss of power the disk has what was noted half a minute before.
const trusted = 30 * time.Second

// followTime is for how long a stream that moved from one server to another is expected at the next
// one, so that there is no hole.
const followTime = 5 * time.Second

// numbersAfter returns those of the life after the last one, of which nothing may be known. They go
// on by one where players may go on too: hls.js (1.7.4, adjustSliding) goes as many target
// durations further as there are numbers that it does not know. Else they are at least what the
// clock says.
func (s *Server) numbersAfter(last *ledger.Entry, known bool) numbers {
	now := s.opt.Now()
	clock := firstNumber(now, s.opt.SegmentDuration)
	if !known {
		clock = max(clock, s.lastSeq.Load()+1)
	}
	age := now.Sub(last.Noted)
	near := known && age >= 0 && age <= trusted
	n := numbers{
		ts: max(last.Next, clock), cmaf: max(last.Segment+1, clock) + 1,
		longest: min(last.Longest.Round(time.Second), cut.MaxFirstSegment),
	}
	if near && last.Next > 0 {
		n.ts = last.Next
	}
	if near && last.Segment > 0 {
		n.cmaf = last.Segment + 2
		if !last.Complete {
			n.lost = s.lostOf(last)
		}
	}
	if n.follows = near && last.Follows && age <= followTime; n.follows && last.Segment > 0 {
		n.cmaf = last.Segment + 1
		n.lost = s.lostOf(last)
		n.lost = n.lost[:len(n.lost)-1]
	}
	return n
}

// lostOf returns the last segments of a life that broke off, and one for what is missing since. The
// first one may be whole, but not be listed as such. The second one was under way; it ends where
// its first parts did, because hls.js (1.7.4) does not see a gap in a segment of which it has
// parts, and stands in front of it.
func (s *Server) lostOf(last *ledger.Entry) (lost []ladder.Boundary) {
	if last.Before > 0 {
		lost = append(lost, ladder.Boundary{Seq: last.Segment - 1, At: last.Before, Before: last.Discontinuity})
	}
	return append(lost,
		ladder.Boundary{Seq: last.Segment, At: last.Begun, Before: last.Discontinuity},
		ladder.Boundary{Seq: last.Segment + 1, At: last.Begun + s.opt.PartDuration, Before: last.Discontinuity})
}

// note keeps what the life used, for the next one.
func (l *life) note(change func(*ledger.Entry)) {
	l.noting.Lock()
	defer l.noting.Unlock()
	change(&l.used)
	l.used.Discontinuity = l.lastDiscontinuity.Load()
	l.used.Reach = max(l.used.Reach, time.Duration(l.reach.Load()))
	l.record.Note(l.used)
	l.noted(l.used)
}

// noteSegment notes the begin of a CMAF segment.
func (l *life) noteSegment(b *ladder.Boundary) {
	l.note(func(e *ledger.Entry) {
		if l.listed && !b.Early && !l.early { // else it says nothing of how far key frames are apart
			l.longest = max(l.longest, b.At-e.Begun)
			e.Longest = l.longest
		}
		l.early = b.Early
		if l.counts.cmaf.Forced.Load() > 0 { // it says nothing of how far key frames are apart
			e.Longest = 0
		}
		l.listed = true
		e.Segment, e.Begun, e.Before, e.Reach = b.Seq, b.At, e.Begun, max(e.Reach, b.At)
		e.Over, e.Complete = false, false
	})
}

// noteEnd notes the end of the life. complete says that its last segment is whole.
func (l *life) noteEnd(complete bool) {
	l.note(func(e *ledger.Entry) { e.Over, e.Complete = true, e.Complete || complete && e.Segment > 0 })
}

// noteMove notes the end of a life that goes on at another server.
func (l *life) noteMove() {
	l.note(func(e *ledger.Entry) {
		e.Over, e.Complete, e.Follows = true, e.Segment > 0, true
		if at := l.packager.Reached(); at > 0 {
			e.Reach = at
		} else {
			e.Reach += usualUnit
		}
	})
}

// maxInherited bounds the streams whose last life was elsewhere and whose next one has not begun.
const maxInherited = 1 << 12

// maxLead and maxLeadNumbers are how far what another server used may be ahead of the clock: none
// that keeps to the rules is.
const (
	maxLead        = time.Minute
	maxLeadNumbers = 1 << 20
)

// Inherit lets the next life of a stream follow one of another server, of which that noted last, as
// it would follow one of its own. What is far ahead of the clock is left alone.
func (s *Server) Inherit(name string, last ledger.Entry) {
	now := s.opt.Now()
	number, at := firstNumber(now, s.opt.SegmentDuration)+maxLeadNumbers, mediaTime(now)+maxLead
	if last.Noted.IsZero() || min(last.Segment, last.Next, last.Discontinuity) < 0 || min(last.Begun, last.Before, last.Reach) < 0 ||
		max(last.Segment, last.Next) > number || last.Discontinuity > maxLeadNumbers || max(last.Begun, last.Before, last.Reach) > at {
		return
	}
	if last.Noted.After(now) { // its clock is a little ahead
		last.Noted = now
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inherited) < maxInherited {
		s.inherited[name] = last
	}
}

// noted tells others of what a life used.
func (s *Server) noted(name string) func(ledger.Entry) {
	return func(e ledger.Entry) {
		if s.opt.Noted != nil {
			e.Noted = s.opt.Now()
			s.opt.Noted(name, e)
		}
	}
}

// lastLife begins to note a life, and returns what is known of the one before, here or elsewhere.
// The caller holds mu.
func (s *Server) lastLife(name string) (record *ledger.Life, last ledger.Entry, known bool) {
	record, last, known = s.opt.Ledger.Begin(name)
	if other, ok := s.inherited[name]; ok && !(known && last.Noted.After(other.Noted)) {
		last, known = other, true
	}
	delete(s.inherited, name)
	return record, last, known
}
