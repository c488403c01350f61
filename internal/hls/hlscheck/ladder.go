package hlscheck

import (
	"maps"
	"strconv"
)

// across checks a playlist against those of the other renditions (RFC 8216bis 6.2.4), and what it
// reports of them (4.4.5.4).
func (c *Checker) across(h *history, p *playlist) {
	for _, o := range c.playlists {
		if o == h || o.last == nil || o.last.ended() != p.ended() {
			continue
		}
		c.check(o.last.target == p.target, "6.2.4", "target duration %d, that of %s is %d", p.target, o.path, o.last.target)
		c.check(maps.Equal(o.last.control, p.control), "6.2.4", "server control %v, that of %s is %v", p.control, o.path, o.last.control)
		for _, s := range p.all() {
			other := o.segments[s.msn]
			if other == nil {
				continue
			}
			c.check(other.dsn == s.dsn, "6.2.4", "the discontinuity sequence number of segment %d is %d, in %s %d", s.msn, s.dsn, o.path, other.dsn)
			if !s.at.IsZero() && !other.at.IsZero() {
				c.check(s.at.Sub(other.at).Abs() <= drift, "6.2.4", "segment %d begins at %v, in %s at %v", s.msn, s.at, o.path, other.at)
			}
		}
	}
	if p.lowLatency() && !p.framesOnly() && !p.ended() {
		c.reports(h, p)
	}
}

// reports checks that there is a report of each other rendition, and that none is older than by one
// part.
func (c *Checker) reports(h *history, p *playlist) {
	reported := map[string]bool{}
	for _, r := range p.reports {
		name := resolve(h.path, r["URI"])
		reported[name] = true
		if o := c.playlists[name]; o != nil && o.last != nil && !o.last.ended() {
			behind := o.behind(r, c.now)
			c.check(c.Shared || behind <= 1, "4.4.5.4", "the report of %s is %d parts behind: %v", name, behind, r)
		}
	}
	for name := range c.renditions() {
		if _, waits := c.unreported[name]; name != h.path && !reported[name] && !waits {
			c.unreported[name] = c.now.At
		}
	}
}

// behind counts the parts that the client had already seen in a playlist, when it asked for another
// one, after the last one that is reported.
func (h *history) behind(report attributes, r *Response) int {
	msn, part := number(report["LAST-MSN"]), number(report["LAST-PART"])
	known := position{msn: -1}
	for _, p := range h.positions {
		if !p.at.After(r.Asked) {
			known = p
		}
	}
	n := 0
	for ; msn < known.msn; msn++ {
		if s := h.segments[msn]; s != nil {
			n += max(0, len(s.parts)-1-int(part))
		}
		part = -1
	}
	if msn == known.msn {
		n += max(0, known.part-int(part))
	}
	return n
}

// number reads a number, -1 if there is none.
func number(text string) int64 {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	return -1
}

// reportDue checks that a playlist which goes on was in the reports of the others: one that was not
// may have left the ladder.
func (c *Checker) reportDue(name string, p *playlist) {
	if since, ok := c.unreported[name]; ok && c.now.Asked.After(since) && !p.ended() {
		c.report("B.1", "no report of %s in another playlist", name)
		delete(c.unreported, name)
	}
}
