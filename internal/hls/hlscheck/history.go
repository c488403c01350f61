package hlscheck

import (
	"fmt"
	"maps"
	"net/url"
	"time"
)

// drift is by how much dates and times may differ that should be the same: durations are rounded.
const drift = 100 * time.Millisecond

// history is what a client knows of one media playlist.
type history struct {
	path string
	// last is the newest version with all its segments, at when it came.
	last *playlist
	at   time.Time
	// segments are all that ever were in the playlist.
	segments map[int64]*seen
	// longest is the duration of the longest version.
	longest time.Duration
	// positions are the ends of the versions.
	positions []position
	// partAt and segmentAt are when the last part and the last segment appeared.
	partAt, segmentAt time.Time
}

// seen is a segment of a playlist over time.
type seen struct {
	segment
	// first is when it appeared, removed when it had gone, partsGone when its parts had.
	first, removed, partsGone time.Time
}

// position is the last part of a playlist, -1 if the last segment has none.
type position struct {
	at   time.Time
	msn  int64
	part int
}

func (h *history) target() time.Duration {
	if h.last == nil {
		return 0
	}
	return time.Duration(h.last.target) * time.Second
}

// bySegment returns the segment that a file is, or is a part of.
func (h *history) bySegment(base, name string) *seen {
	for _, s := range h.segments {
		if s.uri != "" && resolve(base, s.uri) == name {
			return s
		}
		for _, p := range s.parts {
			if resolve(base, p.uri) == name {
				return s
			}
		}
	}
	return nil
}

// end returns the last part of a playlist.
func (p *playlist) end() position {
	list := p.all()
	if len(list) == 0 {
		return position{msn: -1, part: -1}
	}
	last := list[len(list)-1]
	return position{msn: last.msn, part: len(last.parts) - 1}
}

func (a position) String() string { return fmt.Sprintf("%d.%d", a.msn, a.part) }

// before says whether a playlist that ends at a is older than one that ends at b.
func (a position) before(b position) bool { return a.msn < b.msn || a.msn == b.msn && a.part < b.part }

// directive returns a number in a query, -1 if it is not there.
func directive(u *url.URL, name string) int64 { return number(u.Query().Get(name)) }

// media checks a media playlist.
func (c *Checker) media(u *url.URL) {
	p, err := parseMedia(string(c.now.Body))
	if err != nil {
		c.report("4", "media playlist: %v", err)
		return
	}
	h := c.playlists[u.Path]
	if h == nil {
		h = &history{path: u.Path, segments: map[int64]*seen{}}
		c.playlists[u.Path] = h
	}
	if h.last != nil && h.last.ended() {
		if last := h.last.end(); p.mediaSequence <= last.msn {
			c.check(p.ended() && p.end() == last, "4.4.3.4", "the playlist goes on after its end")
			return
		}
		*h = history{path: u.Path, segments: map[int64]*seen{}} // another life
	}
	cache := "max-age=1"
	if msn := directive(u, "_HLS_msn"); msn >= 0 && (!p.ended() || msn <= p.end().msn) { // another life may have one that an ended playlist has not
		cache = fmt.Sprintf("max-age=%d", 6*p.target)
	}
	c.cached(cache)
	if !c.merge(u, h, p) {
		return
	}
	p.number()
	c.form(p)
	c.reportDue(u.Path, p)
	c.dates(p)
	c.blocked(u, p)
	c.follow(h, p)
}

// merge completes a delta update with what the client knows (RFC 8216bis 6.2.5.1). It is false if
// that cannot be done.
func (c *Checker) merge(u *url.URL, h *history, p *playlist) bool {
	asked := u.Query().Get("_HLS_skip")
	boundary, err := seconds(p.control["CAN-SKIP-UNTIL"])
	offered := err == nil && p.control["CAN-SKIP-UNTIL"] != ""
	if p.tags["EXT-X-SKIP"] == 0 {
		if (asked == "YES" || asked == "v2") && offered && !p.ended() && len(p.segments) > 0 {
			rest := p.duration() - p.segments[0].duration
			c.check(rest < boundary, "6.2.5.1", "no delta update, though %v of segments could be skipped", rest-boundary)
		}
		return true
	}
	c.check(asked == "YES" || asked == "v2", "6.2.5.1", "a delta update that was not asked for")
	c.check(offered, "4.4.3.8", "a delta update without CAN-SKIP-UNTIL")
	c.check(!p.ended(), "6.2.5.1", "a delta update of an ended playlist")
	c.check(p.skipped > 0, "4.4.5.2", "%d segments are skipped", p.skipped)
	if p.skipped <= 0 {
		return false
	}
	rest := p.duration()
	if p.open != nil {
		rest += p.open.length()
	}
	c.check(rest >= boundary-drift, "6.2.5.1", "skipped segments are within %v of the end, skip boundary %v", rest, boundary)
	var list []segment
	for msn := p.mediaSequence; msn < p.mediaSequence+int64(p.skipped); msn++ {
		s := h.segments[msn]
		if s == nil || s.uri == "" {
			c.report("6.2.5.1", "segment %d is skipped, but was in no playlist before", msn)
			return false
		}
		s.parts = nil
		list = append(list, s.segment)
	}
	init := list[len(list)-1].init
	for i := range p.segments {
		if p.segments[i].init == "" {
			p.segments[i].init = init
		}
	}
	if p.open != nil && p.open.init == "" {
		p.open.init = init
	}
	p.segments = append(list, p.segments...)
	return true
}

// dates checks the dates within a playlist.
func (c *Checker) dates(p *playlist) {
	list, dated := p.all(), p.tags["EXT-X-PROGRAM-DATE-TIME"] > 0
	for i, s := range list {
		c.check(!dated || !s.discontinuity || !s.at.IsZero(), "6.2.1", "segment %d begins with a discontinuity and has no date", s.msn)
		if i == 0 || s.at.IsZero() || list[i-1].at.IsZero() {
			continue
		}
		gap := s.at.Sub(list[i-1].at.Add(list[i-1].length()))
		if s.discontinuity {
			c.check(gap >= -time.Second, "6.2.1", "the date of segment %d is %v before the end of the one before", s.msn, -gap)
		} else {
			c.check(gap.Abs() <= drift, "4.4.4.6", "the date of segment %d is %v from the end of the one before", s.msn, gap)
		}
	}
}

// blocked checks that the answer has what the request waited for (RFC 8216bis 6.2.5.2).
func (c *Checker) blocked(u *url.URL, p *playlist) {
	msn, index := directive(u, "_HLS_msn"), directive(u, "_HLS_part")
	if msn < 0 || p.ended() {
		return
	}
	end := p.end()
	if index < 0 || p.framesOnly() {
		if p.open != nil {
			end.msn--
		}
		c.check(end.msn >= msn, "6.2.5.2", "segment %d was asked for, the playlist ends with %d", msn, end.msn)
		return
	}
	for _, s := range p.all() {
		if s.msn == msn && s.uri != "" && !s.gap && int(index) >= len(s.parts) && len(s.parts) > 0 {
			msn, index = msn+1, 0
			break
		}
	}
	has := end.msn > msn || end.msn == msn && int64(end.part) >= index || end.msn == msn && p.open == nil
	c.check(has, "6.2.5.2", "part %d.%d was asked for, the playlist ends with %d.%d", msn, index, end.msn, end.part)
}

// refused checks an answer that is no playlist.
func (c *Checker) refused(u *url.URL) {
	h := c.playlists[u.Path]
	if c.now.Status != 400 || h == nil || h.last == nil {
		return
	}
	msn := directive(u, "_HLS_msn")
	if directive(u, "_HLS_part") >= 0 && msn < 0 {
		return
	}
	end := h.last.end()
	c.check(msn > end.msn+1, "6.2.5.2", "segment %d is refused, though %d is there", msn, end.msn)
}

// follow checks a version of a playlist against those before, and remembers it.
func (c *Checker) follow(h *history, p *playlist) {
	if old := h.last; old != nil {
		if p.end().before(old.end()) {
			if !c.Shared && !c.now.Asked.Before(h.at) {
				c.report("6.2.1", "the playlist goes back from %v to %v", old.end(), p.end())
			}
			return
		}
		c.constant(h, old, p)
		c.hinted(h, old, p)
		c.paced(h, old, p)
	} else {
		h.partAt, h.segmentAt = c.now.At, c.now.At
	}
	c.note(h, p)
	c.across(h, p)
	h.last, h.at = p, c.now.At
	h.longest = max(h.longest, p.duration())
	end := p.end()
	end.at = c.now.At
	h.positions = append(h.positions, end)
}

// constant checks what must not change, or must change in one direction only.
func (c *Checker) constant(h *history, old, p *playlist) {
	c.check(p.target == old.target, "6.2.1", "the target duration goes from %d to %d", old.target, p.target)
	c.check(p.partTarget == old.partTarget, "6.2.1", "the part target duration goes from %v to %v", old.partTarget, p.partTarget)
	c.check(maps.Equal(p.control, old.control), "6.2.1", "the server control goes from %v to %v", old.control, p.control)
	c.check(p.mediaSequence >= old.mediaSequence, "6.2.2", "the media sequence goes back from %d to %d", old.mediaSequence, p.mediaSequence)
	c.check(p.discontinue >= old.discontinue, "6.2.2", "the discontinuity sequence goes back from %d to %d", old.discontinue, p.discontinue)
	if p.mediaSequence > old.mediaSequence && !p.ended() {
		c.check(p.duration() >= 3*h.target()-drift, "6.2.2", "after a segment was removed the playlist lasts %v, target duration %d s", p.duration(), p.target)
	}
}

// note compares each segment with what is known of it, and remembers it.
func (c *Checker) note(h *history, p *playlist) {
	after := p.duration()
	if p.open != nil {
		after += p.open.length()
	}
	for _, s := range p.all() {
		after -= s.length()
		known := h.segments[s.msn]
		if known == nil {
			known = &seen{segment: s, first: c.now.At}
			h.segments[s.msn] = known
			continue
		}
		c.check(known.removed.IsZero(), "6.2.2", "segment %d is back", s.msn)
		c.same(known, &s, after, h.target())
		switch {
		case known.uri == "" || len(s.parts) > 0:
			known.segment = s
		case len(known.parts) > 0 && known.partsGone.IsZero():
			known.partsGone = c.now.At
		}
	}
	for msn, s := range h.segments {
		if msn < p.mediaSequence && s.removed.IsZero() {
			s.removed = c.now.At
			if s.partsGone.IsZero() {
				s.partsGone = c.now.At
			}
		}
	}
}

// same checks that a segment is as it was. after is how much media follows it.
func (c *Checker) same(old *seen, s *segment, after, target time.Duration) {
	const clause = "6.2.1"
	c.check(s.dsn == old.dsn, "6.2.2", "the discontinuity sequence number of segment %d goes from %d to %d", s.msn, old.dsn, s.dsn)
	c.check(s.discontinuity == old.discontinuity, clause, "segment %d has another discontinuity", s.msn)
	c.check(s.at.Equal(old.at), clause, "the date of segment %d goes from %v to %v", s.msn, old.at, s.at)
	c.check(s.init == old.init, clause, "the EXT-X-MAP of segment %d goes from %s to %s", s.msn, old.init, s.init)
	if old.uri != "" {
		c.check(s.uri == old.uri && s.duration == old.duration && s.gap == old.gap && s.byterange == old.byterange, clause,
			"segment %d has changed: %s, %v, gap %v, range %s; it was %s, %v, gap %v, range %s", s.msn,
			s.uri, s.duration, s.gap, s.byterange, old.uri, old.duration, old.gap, old.byterange)
	}
	if len(s.parts) == 0 {
		c.check(len(old.parts) == 0 || s.gap || !old.partsGone.IsZero() || after >= 3*target-drift, "6.2.2", "the parts of segment %d have gone, %v before the end", s.msn, after)
		return
	}
	c.check(len(s.parts) >= len(old.parts), clause, "segment %d had %d parts, now %d", s.msn, len(old.parts), len(s.parts))
	c.check(old.uri == "" || len(s.parts) <= len(old.parts), clause, "segment %d got parts after its end", s.msn)
	for i := range min(len(s.parts), len(old.parts)) {
		c.check(s.parts[i] == old.parts[i], clause, "part %d.%d has changed", s.msn, i)
	}
}

// hinted checks that what came next is what the version before hinted at (RFC 8216bis 4.4.5.3). A
// part may also never come (6.2.6).
func (c *Checker) hinted(h *history, old, p *playlist) {
	uri := ""
	for _, hint := range old.hints {
		if hint["TYPE"] == "PART" {
			uri = resolve(h.path, hint["URI"])
		}
	}
	if uri == "" {
		return
	}
	want := old.end()
	want.part++
	if old.open == nil {
		want.msn, want.part = want.msn+1, 0
	}
	for _, s := range p.all() {
		if s.msn == want.msn && want.part < len(s.parts) {
			came := resolve(h.path, s.parts[want.part].uri)
			c.check(came == uri, "4.4.5.3", "part %d.%d is %s, the hint was %s", s.msn, want.part, came, uri)
		}
	}
}

// paced checks that the playlist grows in time (RFC 8216bis 6.2.1).
func (c *Checker) paced(h *history, old, p *playlist) {
	if old.end().before(p.end()) {
		if p.lowLatency() && !p.ended() && c.Slack > 0 {
			late := c.now.At.Sub(h.partAt) - p.partTarget
			c.check(late <= c.Slack, "6.2.1", "a new part came %v late", late)
		}
		h.partAt = c.now.At
	}
	if len(p.segments) > 0 && (len(old.segments) == 0 || p.segments[len(p.segments)-1].msn > old.segments[len(old.segments)-1].msn) {
		if c.Slack > 0 && !p.ended() {
			late := c.now.At.Sub(h.segmentAt) - 3*h.target()/2
			c.check(late <= c.Slack, "6.2.1", "a new segment came %v late", late)
		}
		h.segmentAt = c.now.At
	}
}
